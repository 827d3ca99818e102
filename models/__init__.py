"""What is computed: the recurrent networks of the article, each as config, oracle and graph.

``models.MODELS`` maps a model's name to its :class:`Model`. Nothing here imports TensorFlow until
:meth:`Model.graph` is called.
"""

import importlib
import warnings
from typing import Any, Callable, Dict, NamedTuple, Tuple

import numpy as np

from models import attention, bidirectional, seq2seq
from models.layout import Field, Traced


class Model(NamedTuple):
    """The three rooms of one model."""

    name: str
    Config: Any
    article: Any
    parameters: Callable[[Any], Tuple[Field, ...]]
    data: Tuple[Field, ...]
    trace: Tuple[Traced, ...]
    oracle: Callable

    def fields(self, config: Any) -> Tuple[Field, ...]:
        """Every array of a case: the parameters in TensorFlow's order, then inputs and labels."""
        return self.parameters(config) + self.data

    def compute(self, config: Any, parameters: Any, *data: Any) -> Dict[str, Any]:
        """The oracle's trace, in the arithmetic of the arrays, with the empty ones of no steps."""
        with np.errstate(all="ignore"), warnings.catch_warnings():
            # Of no rows accuracy and loss are NaN, which NumPy warns of.
            warnings.simplefilter("ignore", RuntimeWarning)
            trace = self.oracle(config, parameters, *data)
        for array in self.trace:
            shape = array.shape(config)
            if 0 in shape and array.name not in trace:
                trace[array.name] = np.zeros(shape)
        return trace

    def place(self, config: Any, name: str, index: Tuple[int, ...]) -> str:
        """What stands at an index of an array of the trace, in words."""
        return next(array for array in self.trace if array.name == name).place(index, config)

    def graph(self) -> Any:
        """The module that builds the TensorFlow graph; raises ImportError without TensorFlow."""
        return importlib.import_module("models.{}.graph".format(self.name))


def _model(package: Any) -> Model:
    return Model(
        name=package.__name__.rpartition(".")[2],
        Config=package.config.Config,
        article=package.config.ARTICLE,
        parameters=package.config.parameters,
        data=package.config.DATA,
        trace=package.config.TRACE,
        oracle=package.oracle.oracle,
    )


MODELS: Dict[str, Model] = {
    model.name: model for model in map(_model, (seq2seq, bidirectional, attention))
}
