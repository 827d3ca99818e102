"""What all three TensorFlow graphs have in common."""

import warnings
from typing import Any, Callable, Dict, List, NamedTuple, Optional

from rnndiff.models.cells.cell import flat
from rnndiff.models.cells.kinds import part_of
from rnndiff.models.layout import Field
from rnndiff.models.tf1 import tf1


class Graph(NamedTuple):
    """A model built in TensorFlow.

    ``data`` are placeholders for the data that its config has, by their names; ``parameters`` are
    TensorFlow's global variables in creation order; ``trace`` holds a tensor for every array of the
    oracle's trace, under the same name. ``compute`` is what it was built by, a function of tensors
    for the data, by their names, to the trace: where TensorFlow runs it eagerly, it makes variables
    and numbers. A graph that was built in another way may have none.
    """

    graph: Any
    data: Dict[str, Any]
    parameters: List[Any]
    trace: Dict[str, Any]
    compute: Optional[Callable[[Dict[str, Any]], Dict[str, Any]]] = None


def build(config: Any, data: Any, network: Any, precision: str = "float32") -> Graph:
    """Build ``network(config, *data) -> trace`` in a graph of its own, of numbers of `precision`.

    The network takes that from its data.
    """

    def compute(tensors: Dict[str, Any]) -> Dict[str, Any]:
        with warnings.catch_warnings():
            # TensorFlow 2 says of every such cell that it is deprecated: that is why it is here.
            # Up to 2.9, and of what the cell itself calls.
            warnings.filterwarnings("ignore", ".*(rnn_cell|layer.add_variable)", UserWarning)
            computed: Dict[str, Any] = network(config, *[tensors.get(x.name) for x in data])
        return computed

    graph = tf1.Graph()
    with graph.as_default():
        # Of variables that do not follow what they are multiplied by.
        tf1.get_variable_scope().set_dtype(tf1.as_dtype(precision))
        placeholders = [_placeholder(field, config, precision) for field in data]
        named = {field.name: x for field, x in zip(data, placeholders) if x is not None}
        trace = compute(named)
        parameters = tf1.get_collection(tf1.GraphKeys.GLOBAL_VARIABLES)
    return Graph(graph, named, parameters, trace, compute)


def _placeholder(field: Field, config: Any, precision: str) -> Any:
    if field.when and not getattr(config, field.when):
        return None
    shape: List[Any] = list(field.shape(config))
    if getattr(config, "open_batch", False):
        shape = [None if "batch" in axis else size for axis, size in zip(field.axes, shape)]
    dtype = field.dtype if field.counts else precision
    return tf1.placeholder(dtype, shape, name=field.name)


def operations_of(function: Any, *args: Any) -> Any:
    """What a function returns that is run eagerly, and the operations: type, inputs, outputs."""
    from tensorflow.python.framework import op_callbacks

    run = []

    def note(kind: Any, inputs: Any, attributes: Any, outputs: Any, *_: Any, **__: Any) -> None:
        # On 2.1 some are told by bytes.
        run.append((kind if isinstance(kind, str) else kind.decode(), inputs, outputs))

    op_callbacks.add_op_callback(note)
    try:
        return function(*args), run
    finally:
        op_callbacks.remove_op_callback(note)


def batch_of(config: Any, inputs: Any) -> Any:
    """How many rows there are; of an open batch a tensor, which knows when it is computed."""
    return tf1.shape(inputs)[0] if config.open_batch else config.batch


def projection(inputs: Any, outputs: int) -> Any:
    """A function that maps [batch, inputs] to scores [batch, outputs] by two new variables."""
    with tf1.variable_scope("projection"):
        kernel = tf1.get_variable("kernel", [inputs, outputs])
        bias = tf1.get_variable("bias", [outputs], initializer=tf1.zeros_initializer())
    return lambda rows: tf1.nn.bias_add(tf1.matmul(rows, kernel), bias)


def judged(scores: Any, labels: Any) -> Dict[str, Any]:
    """Probabilities, predictions, accuracy and log loss, as the article computes them."""
    probabilities = tf1.nn.softmax(scores)
    predictions = tf1.argmax(scores, -1)
    correct = tf1.equal(predictions, tf1.argmax(labels, -1))
    clipped = tf1.clip_by_value(probabilities, 1e-10, 1.0)
    return {
        "scores": scores,
        "probabilities": probabilities,
        "predictions": predictions,
        "accuracy": tf1.reduce_mean(tf1.cast(correct, scores.dtype)),
        "loss": tf1.reduce_mean(-tf1.reduce_sum(labels * tf1.log(clipped), axis=-1)),
    }


def decoded(config: Any, project: Any, output: Any, step: Any, labels: Any, training: bool) -> Any:
    """Write ``output_time`` tokens, each step fed the one-hot arg max of the scores before it.

    Or what else the config says, see :class:`rnndiff.models.decoding.Decoding`. ``step(token)``
    returns the next output. With `training`, the tokens are the labels instead. Returns what
    :func:`judged` does, and the tokens that were fed back.
    """
    start, feeds = getattr(config, "start_token", None), getattr(config, "feeds", "one-hots")
    scores, tokens = [project(output)] if start is None else [], []
    while len(scores) < config.output_time:
        if not scores:
            token = start_token(start, labels[:, 0], config.outputs)
        elif training:
            token = labels[:, len(scores) - 1]
        elif feeds == "scores":
            token = scores[-1]
        elif feeds == "probabilities":
            token = tf1.nn.softmax(scores[-1])
        else:
            token = tf1.cast(tf1.one_hot(tf1.argmax(scores[-1], -1), config.outputs), labels.dtype)
        tokens.append(token)
        scores.append(project(step(token)))
    trace = judged(tf1.stack(scores, axis=1), labels)
    trace["fed_back"] = stack_steps(tokens, [batch_of(config, labels), 0, config.outputs])
    return trace


def start_token(start: Any, rows: Any, outputs: int) -> Any:
    """The start token for each of these rows [batch, outputs]."""
    if start == "zeros":
        return tf1.zeros_like(rows)
    place = 0 if start == "first class" else outputs - 1
    return tf1.zeros_like(rows) + tf1.cast(tf1.one_hot(place, outputs), rows.dtype)


def stack_states(name: str, states: List[Any], config: Any, batch: Any) -> Dict[str, Any]:
    """The parts of the states of all steps, by their names; of no steps empty ones."""
    steps, sizes = [flat(state) for state in states], config.sizes()
    return {
        part_of(name, part): stack_steps([x[place] for x in steps], [batch, 0, sizes[size]])
        for place, (part, size) in enumerate(config.kind.state)
    }


def stack_steps(steps: List[Any], shape: List[Any]) -> Any:
    """Stack [batch, ...] into [batch, time, ...]; no steps give an empty array of `shape`."""
    return tf1.stack(steps, axis=1) if steps else tf1.zeros(shape)


def swapped(array: Any) -> Any:
    """Rows first instead of steps, or the other way round."""
    return tf1.transpose(array, [1, 0, 2])
