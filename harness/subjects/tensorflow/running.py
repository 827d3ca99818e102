"""How a graph is run: by a session, as a function, or one of its operations after the other.

The function is one of TensorFlow 2, which XLA may compile whole. It is made of the very graph, so
it has the same operations as what ``tf.function`` traces of the same code, and TensorFlow 2's own
ways of rewriting and running them.
"""

import contextlib
from typing import Any, Dict, Iterator, List, Sequence, Union

import numpy as np

from rnndiff.harness.numerics.precisions import BFLOAT16, held
from rnndiff.harness.subjects.tensorflow.eager import OneByOne, take_one_thread
from rnndiff.harness.subjects.tensorflow.modes import MODES, SESSION, Mode, config_of

# The option of ``tf.function`` had another name before.
_JIT_COMPILE = (2, 5)


class InSession:
    """A graph in a session, whose `parameters` are assigned by one run.

    Parameters
    ----------
    models_tf1 : module
        ``rnndiff.models.tf1``.
    graph : tf.Graph
        It is finished by this.
    mode : Mode
    parameters : list of tf.Variable
    rewrites_off : list of str
        What Grappler is not to do, by the names of its options.
    """

    def __init__(
        self,
        models_tf1: Any,
        graph: Any,
        mode: Mode = SESSION,
        parameters: Sequence[Any] = (),
        rewrites_off: Sequence[str] = (),
    ) -> None:
        self._tf1 = models_tf1
        tf1 = models_tf1.tf1
        if parameters:
            with graph.as_default():
                # One array to feed, in place of up to 22, halves the time that assigning takes.
                sizes = [int(np.prod(v.shape.as_list())) for v in parameters]
                values = tf1.placeholder(mode.precision, [sum(sizes)])
                parts = zip(parameters, tf1.split(values, sizes))
                assign = tf1.group(*[tf1.assign(v, tf1.reshape(x, v.shape)) for v, x in parts])
        graph.finalize()
        self._is_bfloat16 = mode.precision == BFLOAT16
        options = config_of(tf1, mode)
        rewrites = options.graph_options.rewrite_options
        for name in rewrites_off:
            setattr(rewrites, name, type(rewrites).OFF)
        self.session = tf1.Session(graph=graph, config=options)
        self._calls: Dict[Any, Any] = {}
        if parameters:
            self._values = [values]
            self._calls["assign"] = models_tf1.ready_to_run(self.session, [values], [assign])

    def assign(self, parameters: Sequence[np.ndarray]) -> None:
        """Give the parameters their values."""
        values = np.concatenate([array.ravel() for array in parameters])
        self._calls["assign"](*self._given(self._values, [values]))

    def run(self, fetches: Sequence[Any], feeds: Sequence[Any], arrays: Any) -> List[np.ndarray]:
        """The values of tensors, from arrays for others, with their types and shapes."""
        key = _key(feeds, fetches)
        if key not in self._calls:
            self._calls[key] = self._tf1.ready_to_run(self.session, feeds, fetches)
        return [held(x) for x in self._calls[key](*self._given(feeds, arrays))]

    def nodes(self, fetches: Sequence[Any], feeds: Sequence[Any], arrays: Any) -> List[Any]:
        """The nodes that such a run has, after all rewriting."""
        return self._tf1.nodes_run(self.session, feeds, fetches, self._given(feeds, arrays))

    def close(self) -> None:
        """Release what is kept."""
        # TensorFlow 1.x releases a call by its session, which must be open, and by a module that is
        # gone at the end of the process.
        self._calls.clear()
        self.session.close()

    def _given(self, tensors: Sequence[Any], arrays: Any) -> Any:
        """Arrays as they are fed: what is held in float32 has a type of its own there."""
        if not self._is_bfloat16:
            return arrays
        return [np.asarray(x, t.dtype.as_numpy_dtype) for t, x in zip(tensors, arrays)]


class AsFunction:
    """A graph as functions of TensorFlow 2, one for each choice of tensors.

    The parameters are those of :class:`InSession`; the mode says whether XLA compiles all of it.
    """

    def __init__(
        self,
        models_tf1: Any,
        graph: Any,
        mode: Mode,
        parameters: Sequence[Any] = (),
        rewrites_off: Sequence[str] = (),
    ) -> None:
        self._tf1, self._graph, self._mode = models_tf1, graph, mode
        self._off = rewrites_off
        take_one_thread()
        self._variables = [(v, _variable(v)) for v in parameters]
        self._functions: Dict[Any, Any] = {}

    def assign(self, parameters: Sequence[np.ndarray]) -> None:
        """Give the parameters their values."""
        for (_, variable), array in zip(self._variables, parameters):
            variable.assign(array)

    def run(self, fetches: Sequence[Any], feeds: Sequence[Any], arrays: Any) -> List[np.ndarray]:
        """The values of tensors, from arrays for others, with their types and shapes."""
        key = _key(feeds, fetches)
        if key not in self._functions:
            self._functions[key] = self._function(fetches, feeds)
        return self._call(self._functions[key], arrays)

    def nodes(self, fetches: Sequence[Any], feeds: Sequence[Any], arrays: Any) -> List[Any]:
        """The nodes that such a run has, after all rewriting; none of what XLA compiles."""
        from tensorflow.python.eager import context

        at_hand = context.context()
        at_hand.ensure_initialized()
        at_hand.enable_graph_collection()
        try:
            # It is told of functions that are called for the first time.
            self._call(self._function(fetches, feeds), arrays)
            told = at_hand.export_run_metadata()
        finally:
            at_hand.disable_graph_collection()
        return [node for graph in told.partition_graphs for node in graph.node]

    def close(self) -> None:
        """Release what is kept."""
        self._functions.clear()

    def _call(self, function: Any, arrays: Any) -> List[np.ndarray]:
        import tensorflow

        with _without(self._off, tensorflow.config.optimizer):
            return [x.numpy() for x in function(*map(tensorflow.constant, arrays))]

    def _function(self, fetches: Sequence[Any], feeds: Sequence[Any]) -> Any:
        import tensorflow

        tf1 = self._tf1.tf1
        definition = tf1.graph_util.extract_sub_graph(
            self._graph.as_graph_def(), list({tensor.op.name: None for tensor in fetches})
        )
        given = {tensor.op.name for tensor in feeds}
        given.update(v.handle.op.name for v, _ in self._variables)
        # What is given in its place is no part of the function: XLA has no kernel for it.
        kept = [node for node in definition.node if node.name not in given]
        del definition.node[:]
        definition.node.extend(kept)
        read = {name.lstrip("^").partition(":")[0] for node in kept for name in node.input}
        self._tell_of_inner_functions(definition)

        def compute(*arrays: Any) -> Any:
            graph = tf1.get_default_graph()
            pairs = [(tensor, array) for tensor, array in zip(feeds, arrays)]
            pairs += [(v.handle, graph.capture(x.handle)) for v, x in self._variables]
            inputs = {tensor.name: x for tensor, x in pairs if tensor.op.name in read}
            fed = {tensor.name: x for tensor, x in pairs}
            names = [tensor.name for tensor in fetches]
            made = tf1.import_graph_def(
                definition, inputs, [x for x in names if x not in fed], name=""
            )
            made = dict(zip([x for x in names if x not in fed], made), **fed)
            return [made[name] for name in names]

        signature = [tensorflow.TensorSpec(x.shape, x.dtype) for x in feeds]
        options = {}
        if self._mode.runner == "xla":
            new = self._tf1.VERSION >= _JIT_COMPILE
            options = {"jit_compile" if new else "experimental_compile": True}
        return tensorflow.function(compute, input_signature=signature, autograph=False, **options)

    def _tell_of_inner_functions(self, definition: Any) -> None:
        from tensorflow.python.eager import context

        # Up to 2.10 at least, a function does not know those that are called in what it imports.
        for function in definition.library.function:
            context.context().add_function_def(function)


def running(
    models_tf1: Any,
    graph: Any,
    mode: Mode,
    parameters: Sequence[Any] = (),
    rewrites_off: Sequence[str] = (),
) -> Union[InSession, AsFunction, OneByOne]:
    """A graph, run as the mode says."""
    if mode.runner == "eager":
        return OneByOne(models_tf1, graph, InSession(models_tf1, graph, MODES["grappler-off"]))
    kind: Any = InSession if mode.runner == "session" else AsFunction
    return kind(models_tf1, graph, mode, parameters, rewrites_off)


def _key(feeds: Sequence[Any], fetches: Sequence[Any]) -> Any:
    # The graph keeps them; to compare tensors may make a new one.
    return tuple(map(id, feeds)), tuple(map(id, fetches))


def _variable(parameter: Any) -> Any:
    import tensorflow

    shape, dtype = parameter.shape, parameter.dtype.base_dtype
    return tensorflow.Variable(tensorflow.zeros(shape, dtype), trainable=False)


@contextlib.contextmanager
def built_for(models_tf1: Any, mode: Mode) -> Iterator[None]:
    """A graph that is built inside has the operations that it is made of in the mode.

    In a graph Keras has loops output whatever a gradient may need; in a function it has not, and
    XLA does not compile such loops.
    """
    if mode.runner not in ("function", "xla"):
        yield
        return
    output_all = models_tf1.tf1.experimental.output_all_intermediates
    output_all(False)
    try:
        yield
    finally:
        output_all(None)


@contextlib.contextmanager
def _without(off: Sequence[str], optimizer: Any) -> Iterator[None]:
    """Functions that are made and called inside do without some of Grappler's rewrites."""
    if not off:
        yield
        return
    before = optimizer.get_experimental_options()
    optimizer.set_experimental_options(dict.fromkeys(off, False))
    try:
        yield
    finally:
        # What was not set is on.
        optimizer.set_experimental_options({name: before.get(name, True) for name in off})
