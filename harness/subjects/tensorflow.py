"""The TensorFlow at hand, as a subject."""

import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Callable, Dict, FrozenSet, List, Optional, Tuple

import numpy as np

from harness.accuracy import Accuracy, accuracies
from harness.alone import ended_by
from harness.arithmetic import Arithmetic, arithmetic
from harness.case import Case
from harness.divergences import Ending, known_in
from harness.errors import SubjectError, UserError
from harness.subjects.subject import Subject

if TYPE_CHECKING:
    from models.graphs import Graph

GRAPHS_KEPT = 64
BYTES_KEPT = 2**28
# What a graph with its session takes beside its numbers: 10 to 17 KiB for each operation, measured
# on the graphs of random configs, up to the article's sizes, on TensorFlow 1.15 and 2.21.
_BYTES_OF_AN_OPERATION = 2**14
PLAIN, FUSED = "plain", "fused"


class TensorFlow(Subject):
    """The TensorFlow at hand, one thread, one graph and session for each config.

    Parameters
    ----------
    graphs_kept, bytes_kept : int
        How many graphs are kept ready, and how many bytes they may take by an estimate; the least
        recently used one goes first. The one in use stays, whatever its size.
    build : function of a Case to a ``models.graphs.Graph``, optional
        What is tested; by default ``case.model.graph().build(case.config)``.

    Raises
    ------
    UserError
        If TensorFlow cannot be imported.
    """

    def __init__(
        self,
        graphs_kept: int = GRAPHS_KEPT,
        bytes_kept: int = BYTES_KEPT,
        build: Callable[[Case], Any] = lambda case: case.model.graph().build(case.config),
    ) -> None:
        tf1 = tensorflow()
        self._tf1, self._ready_to_run = tf1.tf1, tf1.ready_to_run
        self.version = tf1.VERSION
        self._onednn, self._xla = tf1.ONEDNN, tf1.XLA
        self.known = known_in(self.version, tf1.ONEDNN, tf1.XLA)
        self._ended_by: Dict[Tuple[str, str], Optional[str]] = {}
        self._graphs_kept, self._bytes_kept = graphs_kept, bytes_kept
        self._build = build
        self._ready: OrderedDict[Any, _Ready] = OrderedDict()

    def __call__(self, case: Case) -> Dict[str, np.ndarray]:
        """Compute every array of the trace, each with the shape of the oracle's.

        Raises
        ------
        SubjectError
            If TensorFlow raises an error.
        """
        try:
            return self._session(case).run(case)
        except self._tf1.errors.OpError as error:
            raise SubjectError("{}: {}".format(type(error).__name__, error.message)) from error

    def ended_by(self, case: Case) -> Optional[str]:
        """The signal by which a case ends the process, of those known to; None for all others."""
        for entry in self.known:
            if isinstance(entry, Ending) and entry.covers(case):
                kind = entry.name, case.model.name
                if kind not in self._ended_by:
                    self._ended_by[kind] = ended_by(case)
                return self._ended_by[kind]
        return None

    def arithmetic(self, case: Case) -> Arithmetic:
        """The arithmetic in which this TensorFlow computes the graph of the case's config."""
        functions = dict(accuracies(self.version, onednn=self._onednn))
        plain, fused = functions["tanh"], functions.get("fused tanh", functions["tanh"])
        kernels = self._session(case).affine_tanh_kernels()
        affine = [fused if kernel == FUSED else plain for kernel in kernels] or [plain]
        for unused in ("reciprocal", "fused tanh"):
            functions.pop(unused, None)
        functions["affine tanh"] = Accuracy(
            max(accuracy.ulp for accuracy in affine), max(accuracy.absolute for accuracy in affine)
        )
        return arithmetic("float32", functions, bias_anywhere=self._xla or FUSED in kernels)

    def seconds_of_a_run(self, case: Case, runs: int) -> List[float]:
        """What ``session.run`` takes of the graph of `case`, its weights assigned before."""
        self(case)
        return self._session(case).seconds(case, runs)

    def _session(self, case: Case) -> "_Ready":
        key = (case.model.name, case.config)
        if key in self._ready:
            self._ready.move_to_end(key)
        else:
            self._ready[key] = _Ready(self._tf1, self._ready_to_run, self._build(case))
            while self._is_crowded():
                self._ready.popitem(last=False)[1].session.close()
        return self._ready[key]

    def _is_crowded(self) -> bool:
        taken = sum(ready.bytes for ready in self._ready.values())
        too_many = len(self._ready) > self._graphs_kept or taken > self._bytes_kept
        return too_many and len(self._ready) > 1


class _Ready:
    """The graph of one config with a session, its weights assigned by one run."""

    def __init__(self, tf1: Any, ready_to_run: Callable, graph: "Graph") -> None:
        with graph.graph.as_default():
            # One array to feed, in place of up to 22, halves the time that assigning takes.
            sizes = [int(np.prod(v.shape.as_list())) for v in graph.parameters]
            values = tf1.placeholder(tf1.float32, [sum(sizes)])
            parts = zip(graph.parameters, tf1.split(values, sizes))
            assign = tf1.group(*[tf1.assign(v, tf1.reshape(x, v.shape)) for v, x in parts])
        graph.graph.finalize()
        self.graph = graph
        operations = len(graph.graph.get_operations())
        self._numbers = sum(sizes)
        self.bytes = operations * _BYTES_OF_AN_OPERATION + 4 * self._numbers
        options = tf1.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
        self.session = tf1.Session(graph=graph.graph, config=options)
        self._assign = ready_to_run(self.session, [values], [assign])
        fetches = list(graph.trace.values())
        self._compute = ready_to_run(self.session, [graph.inputs, graph.labels], fetches)
        self._kernels: Optional[FrozenSet[str]] = None
        self._tf1 = tf1

    def run(self, case: Case) -> Dict[str, np.ndarray]:
        self._assign(np.concatenate([array.ravel() for array in case.parameters]))
        return dict(zip(self.graph.trace, self._compute(case.inputs, case.labels)))

    def seconds(self, case: Case, runs: int) -> List[float]:
        feed = {self.graph.inputs: case.inputs, self.graph.labels: case.labels}
        taken = []
        for _ in range(runs):
            started = time.perf_counter()
            self.session.run(self.graph.trace, feed)
            taken.append(time.perf_counter() - started)
        return taken

    def affine_tanh_kernels(self) -> FrozenSet[str]:
        """Which kernels compute ``tanh(matrix product + bias)`` in the graph as it is run.

        Grappler rewrites a graph before it runs, so only the rewritten graph can tell: it has
        ``_FusedMatMul`` nodes (with oneDNN: ``_MklNativeFusedMatMul``) in place of MatMul, BiasAdd
        and Tanh where it fused them.
        """
        if self._kernels is None:
            options = self._tf1.RunOptions(output_partition_graphs=True)
            seen = self._tf1.RunMetadata()
            graph = self.graph
            feed = {
                tensor: np.zeros(tensor.shape.as_list(), np.float32)
                for tensor in (graph.inputs, graph.labels)
            }
            # No kernel depends on the weights, but before they have values nothing runs.
            self._assign(np.zeros(self._numbers, np.float32))
            self.session.run(graph.trace, feed, options=options, run_metadata=seen)
            fused = sum(
                node.op.endswith("FusedMatMul") and b"Tanh" in node.attr["fused_ops"].list.s
                for partition in seen.partition_graphs
                for node in partition.node
            )
            written = sum(
                operation.type == "Tanh" and operation.inputs[0].op.type == "BiasAdd"
                for operation in graph.graph.get_operations()
            )
            self._kernels = frozenset(
                ([FUSED] if fused else []) + ([PLAIN] if fused < written else [])
            )
        return self._kernels


def tensorflow() -> Any:
    """The module ``models.tf1``.

    Raises
    ------
    UserError
        If TensorFlow cannot be imported.
    """
    try:
        from models import tf1
    except ImportError as error:
        raise UserError(_how_to_install(error))
    return tf1


def _how_to_install(error: ImportError) -> str:
    if "tf_keras" in str(error) or "TF_USE_LEGACY_KERAS" in str(error):
        return "{}.".format(error)
    return (
        "This needs TensorFlow ({}): "
        "run pip install '.[tensorflow]' in the folder of rnndiff.".format(error)
    )
