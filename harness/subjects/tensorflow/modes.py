"""The modes in which TensorFlow is run, as data: what they set in the session of a graph."""

from typing import Any, Mapping, NamedTuple, Tuple, Union

# An option of a ConfigProto, as it is written after a dot, and its value.
Option = Tuple[str, Union[bool, int]]

_ONE_THREAD = (("intra_op_parallelism_threads", 1), ("inter_op_parallelism_threads", 1))


class Mode(NamedTuple):
    """A way to run a graph.

    ``what`` is a sentence, ``options`` are those of the session. Without ``grappler`` a graph is
    run as it was written, but for what oneDNN and XLA do to it. ``precision`` is that of the graph.
    """

    what: str
    options: Tuple[Option, ...] = _ONE_THREAD
    grappler: bool = True
    precision: str = "float32"


# The first one is the default.
MODES: Mapping[str, Mode] = {
    "session": Mode("A session of one thread."),
    "grappler-off": Mode(
        "Grappler rewrites nothing: no operations are fused, joined or computed beforehand.",
        (*_ONE_THREAD, ("graph_options.rewrite_options.disable_meta_optimizer", True)),
        grappler=False,
    ),
    "subnormals-kept": Mode(
        "Operations run in the caller's thread, which does not flush subnormals to zero.",
        (("intra_op_parallelism_threads", 1), ("inter_op_parallelism_threads", -1)),
    ),
    "threads-2": Mode(
        "Two threads compute an operation.",
        (("intra_op_parallelism_threads", 2), ("inter_op_parallelism_threads", 1)),
    ),
    "threads-4": Mode(
        "Four threads compute an operation.",
        (("intra_op_parallelism_threads", 4), ("inter_op_parallelism_threads", 1)),
    ),
    "float64": Mode("The graph is built in float64.", precision="float64"),
    "float16": Mode("The graph is built in float16.", precision="float16"),
}
SESSION = MODES["session"]


def config_of(tf1: Any, mode: Mode) -> Any:
    """The ``ConfigProto`` of a session in a mode."""
    config = tf1.ConfigProto()
    for name, value in mode.options:
        *parents, option = name.split(".")
        message = config
        for parent in parents:
            message = getattr(message, parent)
        setattr(message, option, value)
    return config
