"""Differential testing of recurrent neural networks.

Cases are drawn, a *subject* (TensorFlow, another engine, your port) and a NumPy *oracle* compute
the same network, and every number must agree within a rounding-error bound that is proved.

    import rnndiff

    @rnndiff.port("bidirectional")
    def test_my_port(parameters, inputs):
        ...  # float32 arrays -> the scores, or {name of an array: array}

A port that computes more than one model is a class derived from ``rnndiff.Subject``.

The names that `__init__.pyi` lists are public, as are :mod:`rnndiff.strategies` (for Hypothesis),
:mod:`rnndiff.models.functions` and :mod:`rnndiff.models.layout` (what a model is written with) and
:mod:`rnndiff.models.cells`; all else may change from one version to the next. In pytest there are
the fixtures `check` and `subject`. Nothing is imported before it is asked for.
"""

import os

import lazy_loader

_HERE = os.path.dirname(os.path.abspath(__file__))
if __name__ == "rnndiff" and not os.path.isdir(os.path.join(_HERE, "models")):
    # In a checkout, the folders that are installed below this one lie beside it.
    __path__.append(os.path.dirname(_HERE))

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
