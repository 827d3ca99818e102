"""What is computed: the recurrent networks of the article, each as config, oracle and graph.

``MODELS`` maps a model's name to its :class:`Model`; :func:`register` adds one. ``ARTICLE`` has the
names of the article's three.
Nothing here imports TensorFlow until :meth:`Model.graph` is called.
"""

import importlib
import warnings
from functools import lru_cache
from typing import Any, Callable, Dict, Iterable, List, Mapping, NamedTuple, Tuple

import numpy as np

from rnndiff.models import (
    attention,
    bidirectional,
    birnn,
    keras,
    keras_bidirectional,
    rnn,
    seq2seq,
    stackbirnn,
)
from rnndiff.models.cells.kinds import KERAS_KINDS, KINDS, PLAIN, Kind
from rnndiff.models.cells.layouts import laid_out
from rnndiff.models.layout import Field, Traced


class Model(NamedTuple):
    """What is computed, and all that is known of it.

    Parameters
    ----------
    name : str
        As in files and on the command line.
    Config : dataclass
        Sizes and options, each a field that says what it may be: see
        :func:`rnndiff.models.layout.size`.
    article : Config
        The largest that is drawn; of the shipped models, that of the article.
    parameters : function of a Config -> tuple of Field
        In the order in which TensorFlow creates its variables.
    data : tuple of Field
        The other arguments of the oracle, "inputs" among them. In the place of one that a config
        is without, the oracle gets None.
    trace : tuple of Traced
        What the oracle returns. Of arrays that hold the same number, the first one defines it.
    oracle : function of (config, parameters, all of the data) -> dict of str to array
        In plain NumPy.
    graph_module : str
        The module whose ``build(config, precision="float32")`` makes the graph for TensorFlow, of
        numbers of that precision; empty if there is none.
    """

    name: str
    Config: Any
    article: Any
    parameters: Callable[[Any], Tuple[Field, ...]]
    data: Tuple[Field, ...]
    trace: Tuple[Traced, ...]
    oracle: Callable[..., Dict[str, Any]]
    graph_module: str = ""

    @property
    def family(self) -> str:
        """The name without that of the kind of its cells: "seq2seq" of "seq2seq-lstm"."""
        kind = getattr(self.Config, "kind", None)
        return self.name[: -len(kind.name)].rstrip("-") if kind and kind.name else self.name

    def fields(self, config: Any) -> Tuple[Field, ...]:
        """Every array of a case: the parameters in TensorFlow's order, then the data."""
        return self.parameters(config) + self.data_of(config)

    def data_of(self, config: Any) -> Tuple[Field, ...]:
        """The data that a config has."""
        return tuple(x for x in self.data if not x.when or getattr(config, x.when))

    def arguments(self, config: Any, data: Mapping[str, Any]) -> List[Any]:
        """All data, as the oracle takes them behind config and parameters, from what there is."""
        there = {field.name for field in self.data_of(config)}
        return [data[x.name] if x.name in there else None for x in self.data]

    def compute(self, config: Any, parameters: Any, *data: Any) -> Dict[str, Any]:
        """The oracle's trace, in the arithmetic of the arrays, with the empty ones of no steps."""
        with np.errstate(all="ignore"), warnings.catch_warnings():
            # Of no rows accuracy and loss are NaN, which NumPy warns of.
            warnings.simplefilter("ignore", RuntimeWarning)
            trace = self.oracle(config, parameters, *data)
        for array in self.trace:
            if array.name not in trace and 0 in array.shape(config):
                trace[array.name] = np.zeros(array.shape(config), getattr(data[0], "dtype", None))
        return trace

    def traced(self, name: str) -> Traced:
        """What is known of an array of the trace."""
        return next(array for array in self.trace if array.name == name)

    def place(self, config: Any, name: str, index: Tuple[int, ...]) -> str:
        """What stands at an index of an array of the trace, in words."""
        return self.traced(name).place(index, config)

    def graph(self) -> Any:
        """The module that builds the TensorFlow graph.

        Raises
        ------
        ImportError
            Without TensorFlow, or if there is no such module.
        """
        if not self.graph_module:
            raise ImportError("the model {} has no graph for TensorFlow".format(self.name))
        return importlib.import_module(self.graph_module)


MODELS: Dict[str, Model] = {}


def register(model: Model) -> Model:
    """Make a model known by its name, to strategies, commands and files; return it.

    Raises
    ------
    ValueError
        If another model has the name, or none of its data is called "inputs".
    """
    if "inputs" not in [field.name for field in model.data]:
        raise ValueError("none of the data of {!r} is called 'inputs'".format(model.name))
    if MODELS.setdefault(model.name, model) != model:
        raise ValueError("there is another model called {!r}".format(model.name))
    return model


def find(name: str) -> Model:
    """The registered model of a name, or with weights of a layout: "rnn-lstm@pytorch".

    See :data:`rnndiff.models.cells.layouts.LAYOUTS`; those of "tensorflow" are the model's own.

    Raises
    ------
    KeyError
        If there is no such model.
    ValueError
        If there is no such layout, or not of this model.
    """
    base, at, layout = name.partition("@")
    return _in_layout(MODELS[base], layout) if at and layout != "tensorflow" else MODELS[base]


@lru_cache(maxsize=None)
def _in_layout(model: Model, layout: str) -> Model:
    if model.family not in _PACKAGES:
        raise ValueError(
            "layouts are of the models {}, not of {!r}".format(", ".join(_PACKAGES), model.name)
        )
    return _model(_PACKAGES[model.family], laid_out(model.Config.kind, layout))


def load_entry_points() -> None:
    """Import the models of other packages, which name them under the entry point of this group.

    A module that is named there registers its models when it is imported.
    """
    for entry_point in entry_points("rnndiff.models"):
        entry_point.load()


def modules() -> List[str]:
    """The modules that another process has to import to know the same models."""
    found = set()
    for model in MODELS.values():
        for part in (model.Config, model.parameters, model.oracle):
            found.add(getattr(part, "__module__", "__main__"))
    return sorted(found - {"__main__"})


def load_modules(names: Iterable[str]) -> None:
    """Import what another process says by :func:`modules`; whatever that raises is raised."""
    for name in names:
        importlib.import_module(name)


def entry_points(group: str) -> Any:
    """The entry points of a group, of all packages that are installed."""
    try:
        from importlib import metadata
    except ImportError:  # Python 3.7, on which click needs the backport.
        import importlib_metadata as metadata  # type: ignore
    found = metadata.entry_points()
    return found.select(group=group) if hasattr(found, "select") else found.get(group, ())


def _model(package: Any, kind: Kind) -> Model:
    """The model of a package with cells of this kind."""
    name = package.__name__.rpartition(".")[2].replace("_", "-")
    Config = package.config.config_of(kind)
    return Model(
        name="{}-{}".format(name, kind.name).replace("-@", "@") if kind.name else name,
        Config=Config,
        article=Config(**package.config.ARTICLE),
        parameters=package.config.parameters,
        data=package.config.data_of(kind),
        trace=package.config.trace_of(kind),
        oracle=package.oracle.oracle,
        graph_module="" if "@" in kind.name else package.__name__ + ".graph",
    )


# The article's own come first.
for _package in (seq2seq, bidirectional, attention):
    register(_model(_package, PLAIN))
ARTICLE = tuple(MODELS)
# The packages that have cells of any kind, by the families of their models.
_PACKAGES = {
    "rnn": rnn,
    "birnn": birnn,
    "stackbirnn": stackbirnn,
    "seq2seq": seq2seq,
    "bidirectional": bidirectional,
    "attention": attention,
}
for _package in _PACKAGES.values():
    for _kind in KINDS.values():
        # What a cell drops is the matter of the functions that run cells.
        if not _kind.noise or _package in (rnn, birnn):
            register(_model(_package, _kind))
for _package in (keras, keras_bidirectional):
    for _kind in KERAS_KINDS.values():
        register(_model(_package, _kind))
