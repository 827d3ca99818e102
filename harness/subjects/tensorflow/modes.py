"""The modes in which TensorFlow is run, as data: what they set, and what they need."""

import os
import sys
from typing import Any, Dict, Mapping, NamedTuple, Optional, Tuple, Union

from rnndiff.harness.errors import UserError
from rnndiff.models.environment import INSTRUCTION_SETS, processor

# An option of a ConfigProto, as it is written after a dot, and its value.
Option = Tuple[str, Union[bool, int]]

# How much of a graph XLA compiles: nothing, the parts that it chooses, or all of it.
NOTHING, PARTS, WHOLE = "nothing", "parts", "whole"

_ONE_THREAD = (("intra_op_parallelism_threads", 1), ("inter_op_parallelism_threads", 1))


class Mode(NamedTuple):
    """A way to run a graph.

    ``what`` is a sentence, ``options`` are those of the session. Without ``grappler`` a graph is
    run as it was written, but for what oneDNN and XLA do to it. ``precision`` is that of the graph.
    ``environment`` are variables that TensorFlow reads when it is imported. ``runner`` is what runs
    the graph: a "session", a "function", or a function that "xla" compiles; "eager" is to run what
    makes the graph. ``onednn`` says whether oneDNN's kernels stand in, where the mode decides it,
    and ``instruction_set`` the one that the processor has to have. ``first`` is the version from
    which TensorFlow has such a mode.
    """

    what: str
    options: Tuple[Option, ...] = _ONE_THREAD
    grappler: bool = True
    precision: str = "float32"
    environment: Tuple[Tuple[str, str], ...] = ()
    runner: str = "session"
    onednn: Optional[bool] = None
    instruction_set: str = ""
    first: Tuple[int, int] = (1, 13)

    @property
    def is_any_session(self) -> bool:
        """Whether a session is all that it takes, in a process with sessions of other modes."""
        return self.runner == "session" and not self.environment


def _of_instruction_set(asked: str, name: str) -> Mode:
    return Mode(
        "OneDNN takes no larger instruction set than {}.".format(asked),
        environment=(("TF_ENABLE_ONEDNN_OPTS", "1"), ("ONEDNN_MAX_CPU_ISA", asked)),
        onednn=True,
        instruction_set=name,
        first=(2, 5),
    )


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
        first=(1, 14),
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
    # Before, its products are cut off, not rounded (1.15, 2.4, 2.7), and Conv2D has no kernel (2.4)
    # or one that fails (2.7).
    "bfloat16": Mode("The graph is built in bfloat16.", precision="bfloat16", first=(2, 10)),
    "onednn-off": Mode(
        "Eigen's kernels compute all, none of oneDNN's.",
        environment=(("TF_ENABLE_ONEDNN_OPTS", "0"),),
        onednn=False,
        first=(2, 5),
    ),
    "onednn-on": Mode(
        "OneDNN's kernels stand in for Eigen's, as by default from 2.9 on.",
        environment=(("TF_ENABLE_ONEDNN_OPTS", "1"),),
        onednn=True,
        first=(2, 5),
    ),
    "isa-sse41": _of_instruction_set("SSE41", "sse41"),
    "isa-avx": _of_instruction_set("AVX", "avx"),
    "isa-avx2": _of_instruction_set("AVX2", "avx2"),
    "isa-avx512": _of_instruction_set("AVX512_CORE", "avx512"),
    "xla-auto": Mode(
        "XLA compiles the parts of a graph that it chooses.",
        environment=(("TF_XLA_FLAGS", "--tf_xla_auto_jit=2 --tf_xla_cpu_global_jit"),),
        first=(1, 15),
    ),
    "xla": Mode(
        "XLA compiles all of it: tf.function with jit_compile=True.",
        grappler=False,
        runner="xla",
        first=(2, 1),
    ),
    "function": Mode("The graph is a tf.function.", runner="function", first=(2, 0)),
    # Before, TensorFlow does not tell what it runs, and the weights of an attention are not known.
    "eager": Mode(
        "There is no graph: each operation is run by itself, as the network is written.",
        grappler=False,
        runner="eager",
        first=(2, 1),
    ),
}
SESSION = MODES["session"]

# What this process has set for a mode: TensorFlow is imported but once.
_SET_FOR_A_MODE: Dict[str, str] = {}


def prepare(name: str) -> None:
    """Set what TensorFlow reads when it is imported, before it is.

    Raises
    ------
    UserError
        If it was imported without, or the processor is too small.
    """
    mode = MODES[name]
    names = [each for each, _ in INSTRUCTION_SETS]
    largest = processor().instruction_set
    has = names[: names.index(largest) + 1] if largest in names else []
    if mode.instruction_set and mode.instruction_set not in has:
        needed = mode.instruction_set.upper()
        raise UserError("The mode {!r} needs a processor with {}.".format(name, needed))
    unset = [each for each in mode.environment if os.environ.get(each[0]) != each[1]]
    others = [
        each
        for each, value in _SET_FOR_A_MODE.items()
        if each not in dict(mode.environment) and os.environ.get(each) == value
    ]
    if (unset or others) and "tensorflow" in sys.modules:
        raise UserError(
            "TensorFlow was imported in another mode than {0!r}, and takes that when it is "
            "imported: run --mode {0} by itself.".format(name)
        )
    for other in others:
        del os.environ[other]
    os.environ.update(unset)
    _SET_FOR_A_MODE.update(unset)


def check(tf1: Any, name: str) -> None:
    """See that the TensorFlow at hand has a mode.

    Parameters
    ----------
    tf1 : module
        ``rnndiff.models.tf1``.
    name : str

    Raises
    ------
    UserError
        If it has not.
    """
    mode = MODES[name]
    if tf1.VERSION < mode.first:
        raise UserError(
            "TensorFlow {}.{} has no mode {!r}, only {}.{} and later have.".format(
                *tf1.VERSION, name, *mode.first
            )
        )
    if mode.onednn not in (None, tf1.ONEDNN):
        said = "without" if mode.onednn else "with"
        raise UserError("This TensorFlow runs {} oneDNN in the mode {!r}.".format(said, name))


def compiled_in(tf1: Any, mode: Mode) -> str:
    """How much of a graph XLA compiles in a mode: NOTHING, PARTS or WHOLE.

    Parameters
    ----------
    tf1 : module
        ``rnndiff.models.tf1``.
    mode : Mode
    """
    if mode.runner == "xla":
        return WHOLE
    return PARTS if tf1.XLA and mode.runner != "eager" else NOTHING


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
