"""A case as one script that needs NumPy and TensorFlow alone: what a bug report is made of.

The network of the script is the very code of ``models``, so that TensorFlow sees the same graph and
takes the same kernels.
"""

import inspect
from types import ModuleType
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

import numpy as np

from rnndiff.harness.cases.another_batch import is_open
from rnndiff.harness.cases.case import Case
from rnndiff.harness.judging.verdict import DISAGREE, ArrayVerdict, Verdict
from rnndiff.harness.numerics.precisions import precision_of
from rnndiff.harness.subjects.tensorflow.modes import SESSION, Option
from rnndiff.harness.text import plain, printable


class Finding(NamedTuple):
    """What a script is to show: the verdict on a case, and the versions that it was found with.

    ``options`` are those of the session.
    """

    case: Case
    verdict: Verdict
    versions: Dict[str, str]
    options: Tuple[Option, ...] = SESSION.options

    def array_to_show(self) -> Optional[ArrayVerdict]:
        """The first array that disagrees; if it can be, as the free-running oracle has it.

        That owes nothing to what TensorFlow computed in earlier steps. None if TensorFlow raised an
        error or ended the process, and so computed nothing.
        """
        wrong = self.verdict.first_wrong()
        if wrong is None:
            return None
        same = [array for array in self.verdict.arrays if array.name == wrong.name]
        return [array for array in same if array.status == DISAGREE][-1]

    def what(self) -> str:
        """One sentence."""
        name, version = self.case.model.name, plain(self.versions.get("tensorflow", "?"))
        wrong = self.array_to_show()
        if wrong is None:
            return "TensorFlow {}, {}: {}".format(version, name, self.verdict.error)
        return "TensorFlow {}, {}: {!r} is wrong in {} of {} elements".format(
            version, name, wrong.name, np.count_nonzero(wrong.wrong), wrong.wrong.size
        )


def script(finding: Finding) -> str:
    """The source of a script that exits with 1 while TensorFlow computes what it should not."""
    case, wrong = finding.case, finding.array_to_show()
    parts = [_HEADER.format(what=_in_docstring(finding.what()))]
    parts.extend(_network(case))
    parts.append(_case(case))
    options = ["options.{} = {!r}".format(*option) for option in finding.options]
    shape = "[None, *x.shape[1:]]" if is_open(case.config) else "x.shape"
    run = _RUN.format(options="\n    ".join(options), shape=shape, precision=case.precision)
    if not precision_of(case.precision).is_own_type:
        run = _HELD.format(precision=case.precision) + run
    if wrong is None:
        parts.append(run + _NOTHING_EXPECTED.format(error=finding.verdict.error))
    else:
        expected = _EXPECTED.format(
            name=wrong.name,
            run=wrong.run,
            of=_OF_RUN[wrong.run],
            expected=literal(wrong.expected),
            bound=literal(wrong.bound),
            signs=_SIGNS if wrong.exact else "",
            precision=case.precision,
        )
        parts.append(run + expected)
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _in_docstring(text: str) -> str:
    """`text`, which may quote an error of TensorFlow's, as it may stand between three quotes."""
    return printable(text).replace("\\", "\\\\").replace('"', "'")


def issue(finding: Finding) -> str:
    """A Markdown issue with versions and script, for TensorFlow's issue tracker."""
    versions = "\n".join(
        "| {} | `{}` |".format(plain(name), plain(version))
        for name, version in sorted(finding.versions.items())
    )
    return _ISSUE.format(
        what=finding.what(),
        summary=finding.verdict.summary(),
        versions=versions,
        script=script(finding),
    )


def _network(case: Case) -> Iterator[str]:
    from rnndiff.models import graphs
    from rnndiff.models.birnn.config import halves
    from rnndiff.models.cells import attention_tensorflow, cell, kinds
    from rnndiff.models.cells import tensorflow as tensorflow_cells
    from rnndiff.models.cells.keras import tensorflow as keras_cells

    graph, kind = case.model.graph(), case.config.kind
    yield _NEST
    yield inspect.getsource(cell.flat)
    yield inspect.getsource(kinds.part_of)
    if hasattr(graph, "attention_cell_wrapper"):
        yield from _sources(attention_tensorflow)
        yield _WRAPPER
    yield from _sources(graphs, without=("Graph", "build", "_placeholder"))
    yield _GRAPHS
    made = kind.make(_Words(), **kind.arguments(case.config))
    if kind.layer:
        yield _KERAS.format(
            cell="{}.{}({}, **options)".format(made.library, made.name, made.arguments()),
            layer="{}.{}({}, **options)".format(made.library, kind.layer, made.arguments()),
        )
        yield inspect.getsource(keras_cells.weights_of)
        yield inspect.getsource(keras_cells.Recorded)
    else:
        yield inspect.getsource(tensorflow_cells.Recorded)
        yield inspect.getsource(tensorflow_cells.state_of)
        yield inspect.getsource(tensorflow_cells.take_noise)
        library = "tensorflow.contrib.rnn" if kind.contrib else "tf1.nn.rnn_cell"
        yield _CELL.format(library=library, cell=made)
    yield _KIND.format(state=kind.state, output=kind.output)
    yield inspect.getsource(halves)
    if hasattr(graph, "stacks"):
        from rnndiff.models.stackbirnn import tensorflow as stacks

        yield from _sources(stacks)
        yield _STACKS
    yield from _sources(graph, without=("attention_cell_wrapper", "stacks"))


_OF_KERAS = "keras.layers"


class _Words:
    """Cells whose making is written down, in place of TensorFlow's own."""

    def __init__(self, library: str = "cells") -> None:
        self._library = library

    @property
    def keras(self) -> "_Words":
        """Those of Keras."""
        return _Words(_OF_KERAS)

    def __getattr__(self, name: str) -> Callable[..., "_Made"]:
        return lambda *args, **given: _Made(self._library, name, args, given)


class _Made(NamedTuple):
    library: str
    name: str
    args: Tuple[Any, ...]
    given: Dict[str, Any]

    def arguments(self) -> str:
        """As they are written. Keras takes an activation by its name."""
        words = [repr(each) for each in self.args]
        for name, value in self.given.items():
            is_function = name == "activation" and self.library != _OF_KERAS
            word = "ACTIVATIONS[{!r}]" if is_function else "{!r}"
            words.append("{}={}".format(name, word.format(value)))
            if name == "variational_recurrent":
                words.append("input_size=tf1.TensorShape([1]), dtype=tf1.float32")
        return ", ".join(words)

    def __repr__(self) -> str:
        return "{}.{}({})".format(self.library, self.name, self.arguments())


def _sources(module: ModuleType, without: Tuple[str, ...] = ()) -> Iterator[str]:
    """The functions and classes that a module defines."""
    for name, value in vars(module).items():
        if getattr(value, "__module__", None) == module.__name__ and name not in without:
            yield inspect.getsource(value)


def _case(case: Case) -> str:
    lines: List[str] = ["class config:"]
    lines.extend("    {} = {!r}".format(*item) for item in vars(case.config).items())
    lines.append("    kind = Kind")
    lines.append("    sizes = staticmethod(lambda: {!r})".format(case.config.sizes()))
    lines.append("\n\n# The weights, in the order in which TensorFlow creates its variables.")
    lines.append("parameters = [")
    for field in case.model.parameters(case.config):
        lines.append("    {},  # {}".format(literal(case.arrays[field.name]), field.name))
    lines.append("]")
    lines.append("# What the network reads; None for what this one is without.")
    lines.append("data = [")
    for field in case.model.data:
        array = case.arrays.get(field.name)
        shown = "None" if array is None else literal(array)
        lines.append("    {},  # {}".format(shown, field.name))
    lines.append("]")
    return "\n".join(lines)


def literal(array: Any) -> str:
    """The array in Python's words, every number in full, zeros with their signs."""
    array = np.asarray(array)
    dtype = "np.{}".format(array.dtype.name)
    if array.size and array.tobytes() != array.size * array.flat[0].tobytes() and array.ndim:
        return "np.array({}, {})".format(_nested(array), dtype)
    if not array.size or (array.flat[0] == 0 and not np.signbit(array).any()):
        return "np.zeros({}, {})".format(array.shape, dtype)
    return "np.full({}, {}, {})".format(array.shape, _number(array.flat[0]), dtype)


def _nested(array: Any) -> str:
    if not array.ndim:
        return _number(array)
    return "[{}]".format(", ".join(_nested(row) for row in array))


def _number(value: Any) -> str:
    # The shortest text that reads back as the same number of its precision.
    return str(value)


_OF_RUN = {
    "free-running": "from the zero state to the end",
    "teacher-forced": "from what that TensorFlow had computed in the steps before",
}

_HEADER = '''
"""{what}.

This script needs NumPy and TensorFlow alone (from TensorFlow 2.16 on, also tf_keras). It exits with
1 while TensorFlow computes what it should not. Found by rnndiff.
"""

import importlib.util
import os
import sys
import warnings
from types import SimpleNamespace
from typing import Any, Dict, List

import numpy as np

if importlib.util.find_spec("tf_keras") is not None:
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
# To hear what TensorFlow says of itself, set it to 0.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
warnings.filterwarnings("ignore", ".*rnn_cell", UserWarning)

import tensorflow

tf1 = tensorflow.compat.v1
tf1.logging.set_verbosity(tf1.logging.ERROR)
nan, inf = float("nan"), float("inf")
'''

_GRAPHS = """
DATA, data_of = None, lambda kind: None
graphs = SimpleNamespace(
    projection=projection,
    judged=judged,
    decoded=decoded,
    stack_steps=stack_steps,
    stack_states=stack_states,
    batch_of=batch_of,
    operations_of=operations_of,
    swapped=swapped,
    build=lambda config, data, network, precision="float32": network,
)
"""

_NEST = """
if hasattr(tf1, "nest"):
    nest = tf1.nest
else:
    from tensorflow.contrib.framework import nest
"""

_CELL = """
ACTIVATIONS = {{
    "tanh": tf1.tanh,
    "relu": tf1.nn.relu,
    "sigmoid": tf1.sigmoid,
    "linear": tf1.identity,
}}


def tensorflow_cell(config, noise=()):
    cells = {library}
    cell = {cell}
    if noise:
        take_noise(cell, *noise)
    return cell
"""

_KERAS = """
keras = tensorflow.keras


def keras_cell(config, **options):
    return {cell}


def keras_layer(config, **options):
    return {layer}
"""

_KIND = """
DIRECTIONS = ("forward", "backward")


class Kind:
    state = {state!r}
    output = {output!r}

    @staticmethod
    def named(name, state):
        return {{part_of(name, part): x for (part, _), x in zip(Kind.state, flat(state))}}
"""

_WRAPPER = """
def attention_cell_wrapper():
    try:
        from tensorflow.contrib.rnn import AttentionCellWrapper as genuine
    except ImportError:
        return AttentionCellWrapper
    return genuine
"""

_STACKS = """
def stacks():
    try:
        from tensorflow.contrib import rnn
    except ImportError:
        return SimpleNamespace(
            stack_bidirectional_rnn=stack_bidirectional_rnn,
            stack_bidirectional_dynamic_rnn=stack_bidirectional_dynamic_rnn,
        )
    return rnn
"""

_HELD = """
# NumPy has none of these numbers: they are written as others, which they are, too.
kind = tf1.as_dtype({precision!r}).as_numpy_dtype
parameters = [array.astype(kind) for array in parameters]
data = [x if x is None or x.dtype.kind != "f" else x.astype(kind) for x in data]

"""

_RUN = """
with tf1.Graph().as_default():
    tf1.get_variable_scope().set_dtype(tf1.as_dtype({precision!r}))
    feeds = [x if x is None else tf1.placeholder(x.dtype, {shape}) for x in data]
    trace = build(config)(config, *feeds)
    variables = tf1.global_variables()
    values = [tf1.placeholder(array.dtype, array.shape) for array in parameters]
    assign = tf1.group(*[tf1.assign(v, value) for v, value in zip(variables, values)])
    options = tf1.ConfigProto()
    {options}
    with tf1.Session(config=options) as session:
        session.run(assign, dict(zip(values, parameters)))
        fed = dict(each for each in zip(feeds, data) if each[0] is not None)
        trace = session.run(trace, fed)
"""

_NOTHING_EXPECTED = """
# When this was found, TensorFlow did not come so far: {error!r}.
print("TensorFlow", tensorflow.__version__, "computed the whole network.")
"""

_EXPECTED = """
# What a NumPy implementation in float64 gives ({run}, that is
# {of}), and for each element the largest rounding error
# that any correct {precision} evaluation can have, in whatever order it adds up.
expected = {expected}
bound = {bound}

actual = np.asarray(trace[{name!r}], np.float64)
right = (actual == expected) | (np.isnan(actual) & np.isnan(expected)) | np.isinf(bound)
with np.errstate(invalid="ignore"):
    right |= np.abs(actual - expected) <= bound
{signs}print("TensorFlow", tensorflow.__version__)
print("{name} as TensorFlow computes it:", actual, sep="\\n")
print("as it should be:", expected, sep="\\n")
print("up to a rounding error of:", bound, sep="\\n")
print(np.count_nonzero(~right), "of", right.size, "elements are wrong")
sys.exit(0 if right.all() else 1)
"""

_SIGNS = """\
# These numbers are only moved, so that even the sign of a zero is known.
right &= (actual != 0) | (np.signbit(actual) == np.signbit(expected))
"""

_ISSUE = """\
**{what}**

{summary}

| | version |
|---|---|
{versions}

The following script exits with 1 while this is so. It prints what TensorFlow computes, what it
should, and the largest rounding error that any correct evaluation can have.

```python
{script}```
"""
