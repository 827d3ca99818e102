"""How a network is run eagerly: one operation after the other, without a graph, by TensorFlow 2.

A network is what its graph was built by, so the code is the same in all modes. Each run asks
for the variables anew, as in the graph, and gives each its numbers at once; they are made once.
"""

import contextlib
import re
from itertools import count
from typing import TYPE_CHECKING, Any, Dict, List, Sequence, Tuple

import numpy as np

from rnndiff.harness.errors import SubjectError, UserError
from rnndiff.harness.numerics.precisions import held

if TYPE_CHECKING:
    from rnndiff.models.graphs import Graph

# By which those of a second layer, or a second run, are told apart.
_NUMBER = re.compile(r"_\d+(?=/|$)")


class Eagerly:
    """The network of a graph, whose tensors stand for what it reads and computes.

    Parameters
    ----------
    models_tf1 : module
        ``rnndiff.models.tf1``.
    graph : rnndiff.models.graphs.Graph

    Raises
    ------
    UserError
        If the graph does not have what it was built by.
    """

    def __init__(self, models_tf1: Any, graph: "Graph") -> None:
        if graph.compute is None:
            raise UserError(
                "A graph that rnndiff.models.graphs.build has not made cannot be run eagerly."
            )
        self._tf1, self._compute = models_tf1.tf1, graph.compute
        self._variables = list(map(_variable, graph.parameters))
        self._parameters: Sequence[np.ndarray] = ()
        # TensorFlow forgets none that it has made once.
        self._made: List[Any] = []
        self._read = {id(tensor): name for name, tensor in graph.data.items()}
        self._written = {id(tensor): name for name, tensor in graph.trace.items()}
        take_one_thread()

    def assign(self, parameters: Sequence[np.ndarray]) -> None:
        """Give the parameters their values."""
        self._parameters = parameters

    def run(self, fetches: Sequence[Any], feeds: Sequence[Any], arrays: Any) -> List[np.ndarray]:
        """The values of tensors of the trace, from arrays for those of the data.

        Raises
        ------
        SubjectError
            If the variables are not those of the graph, in its order.
        """
        from tensorflow.python.ops.variable_scope import EagerVariableStore, variable_creator_scope

        places = count()

        def make(next_creator: Any, **options: Any) -> Any:
            place = next(places)
            if place == len(self._made):
                self._made.append(next_creator(**options))
            variable = self._made[place]
            found, wanted = _variable(variable), self._variables[place:][:1]
            if [found] != wanted:
                raise SubjectError(
                    "WrongVariables: {} comes where the graph has {}".format(found, wanted)
                )
            variable.assign(self._parameters[place])
            return variable

        data = {self._read[id(x)]: self._tf1.constant(a) for x, a in zip(feeds, arrays)}
        # A variable of a name is made but once in such a store, as in a graph.
        with EagerVariableStore().as_default(), variable_creator_scope(make):
            trace = self._compute(data)
        # Where no row has a step, no cell is run.
        made = next(places)
        if 0 < made < len(self._variables):
            missing = self._variables[made:]
            raise SubjectError("WrongVariables: the graph also has {}".format(missing))
        return [held(trace[self._written[id(tensor)]].numpy()) for tensor in fetches]

    def nodes(self, fetches: Sequence[Any], feeds: Sequence[Any], arrays: Any) -> List[Any]:
        """The operations that such a run has, as nodes of a graph."""
        from rnndiff.models import graphs

        _, operations = graphs.operations_of(self.run, fetches, feeds, arrays)
        return [self._tf1.NodeDef(op=kind) for kind, _, _ in operations]

    def close(self) -> None:
        """Release what is kept."""
        self._made.clear()


def _variable(variable: Any) -> Tuple[str, List[int]]:
    """By which a variable is known in the graph and out of it: its name, and its shape."""
    return _NUMBER.sub("", variable.name.partition(":")[0]), variable.shape.as_list()


class OneByOne:
    """The operations of a graph without loops or conditions, each run eagerly.

    Parameters
    ----------
    models_tf1 : module
        ``rnndiff.models.tf1``.
    graph : tf.Graph
    rewritten : InSession
        The same without Grappler, which tells of what oneDNN puts in the place of others: of what
        is run eagerly it does the same, and is not asked.
    """

    def __init__(self, models_tf1: Any, graph: Any, rewritten: Any) -> None:
        self._tf1, self._operations = models_tf1.tf1, graph.get_operations()
        self._rewritten = rewritten
        take_one_thread()

    def run(self, fetches: Sequence[Any], feeds: Sequence[Any], arrays: Any) -> List[np.ndarray]:
        """The values of tensors, from arrays for others, with their types and shapes."""
        values = {x.name: self._tf1.constant(array) for x, array in zip(feeds, arrays)}
        needed = {tensor.op.name for tensor in fetches}
        for operation in reversed(self._operations):
            if operation.name in needed:
                needed.update(x.op.name for x in operation.inputs if x.name not in values)
        for operation in self._operations:
            if operation.name in needed and operation.outputs[0].name not in values:
                outputs = self._outputs(operation, values)
                values.update((x.name, value) for x, value in zip(operation.outputs, outputs))
        return [held(values[tensor.name].numpy()) for tensor in fetches]

    def nodes(self, fetches: Sequence[Any], feeds: Sequence[Any], arrays: Any) -> List[Any]:
        """The nodes that such a run has, after all rewriting."""
        nodes: List[Any] = self._rewritten.nodes(fetches, feeds, arrays)
        return nodes

    def close(self) -> None:
        """Release what is kept."""
        self._rewritten.close()

    def _outputs(self, operation: Any, values: Dict[str, Any]) -> List[Any]:
        from tensorflow.python.eager import context, execute
        from tensorflow.python.framework import tensor_util

        if operation.type == "Const":
            return [self._tf1.constant(tensor_util.MakeNdarray(operation.get_attr("value")))]
        inputs = [values[tensor.name] for tensor in operation.inputs]
        if operation.type == "PlaceholderWithDefault":
            return inputs
        attributes: List[Any] = []
        for name in operation.node_def.attr:
            if not name.startswith("_"):
                value = operation.get_attr(name)
                attributes += [name, getattr(value, "as_datatype_enum", value)]
        outputs: List[Any] = execute.execute(
            operation.type,
            len(operation.outputs),
            inputs,
            tuple(attributes),
            context.context(),
        )
        return outputs


def take_one_thread() -> None:
    """Have what TensorFlow 2 runs without a session take one thread."""
    import tensorflow

    # Once functions have been run, it is too late; and it is but faster.
    with contextlib.suppress(RuntimeError):
        tensorflow.config.threading.set_intra_op_parallelism_threads(1)
        tensorflow.config.threading.set_inter_op_parallelism_threads(1)
