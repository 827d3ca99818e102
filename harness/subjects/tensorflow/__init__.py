"""The TensorFlow at hand, as a subject."""

import contextlib
import time
import weakref
from collections import OrderedDict
from dataclasses import replace
from functools import partial
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    FrozenSet,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Tuple,
)

import numpy as np

from rnndiff.harness.cases.another_batch import is_open
from rnndiff.harness.cases.case import Case
from rnndiff.harness.errors import SubjectError, UserError, optional_import
from rnndiff.harness.judging.verdict import Verdict
from rnndiff.harness.numerics.accuracy import worst
from rnndiff.harness.numerics.arithmetic import Arithmetic, arithmetic
from rnndiff.harness.numerics.precisions import precision_of
from rnndiff.harness.subjects.endings import Endings
from rnndiff.harness.subjects.keras_layers import has_layer
from rnndiff.harness.subjects.subject import TENSORFLOW, TIMEOUT, Subject, in_mode
from rnndiff.harness.subjects.tensorflow.divergences import known_in
from rnndiff.harness.subjects.tensorflow.eager import Eagerly
from rnndiff.harness.subjects.tensorflow.kernels import Biased, fused
from rnndiff.harness.subjects.tensorflow.modes import (
    MODES,
    Mode,
    Option,
    check,
    compiled_in,
    prepare,
)
from rnndiff.harness.subjects.tensorflow.premises import Premises, premises_of
from rnndiff.harness.subjects.tensorflow.repro import Finding, script
from rnndiff.harness.subjects.tensorflow.running import built_for, running
from rnndiff.models import Model

if TYPE_CHECKING:
    from rnndiff.models.graphs import Graph

GRAPHS_KEPT = 64
BYTES_KEPT = 2**28
# What a graph with its session takes beside its numbers: 10 to 17 KiB for each operation, measured
# on the graphs of random configs, up to the article's sizes, on TensorFlow 1.15 and 2.21.
_BYTES_OF_AN_OPERATION = 2**14
# The precisions in which 1.x has no kernels for a kind of cell, as tried on 1.13 and 1.15; that of
# layer normalization has another epsilon in float16.
_LACKED = {
    "gru-block": ("float64", "float16"),
    "lstm-block": ("float64",),
    "layer-norm-lstm": ("float16",),
}
# Operations that hand tensors on.
_PLUMBING = ("_Arg", "_Retval", "_Send", "_Recv", "_HostSend", "_HostRecv")
FUNCTIONS = ("tanh", "exp", "log", "sigmoid", "softmax")


class GraphKernels(NamedTuple):
    """What computes the affine maps of a graph as it is run, and the functions of them.

    ``plain_tanh``: some tanh by the operation Tanh. ``fused_tanh``: some inside the product.
    ``plain_sigmoid``, ``fused_sigmoid``: the same of the sigmoid, of any argument.
    ``biased``: the operations that fuse anything with a product or a convolution, and what.
    ``compiled``: some part by XLA.
    """

    plain_tanh: bool
    fused_tanh: bool
    plain_sigmoid: bool
    fused_sigmoid: bool
    biased: FrozenSet[Biased]
    compiled: bool


class TensorFlow(Subject):
    """The TensorFlow at hand, one graph and session for each config, whatever an open batch is.

    Parameters
    ----------
    graphs_kept, bytes_kept : int
        How many graphs are kept ready, and how many bytes they may take by an estimate; the least
        recently used one goes first. The one in use stays, whatever its size.
    build : function of a Case to a ``rnndiff.models.graphs.Graph``, optional
        What is tested, in the precision of the mode; by default that of the case's model.
    timeout : float
        Seconds that a case which is known to end the process has in one of its own.
    mode : str
        One of :data:`rnndiff.harness.subjects.tensorflow.modes.MODES`.

    Raises
    ------
    UserError
        If TensorFlow cannot be imported, or has no such mode, or was imported in another one that
        it cannot leave; later, if a model has no graph.
    """

    modes = {name: mode.what for name, mode in MODES.items()}

    def __init__(
        self,
        graphs_kept: int = GRAPHS_KEPT,
        bytes_kept: int = BYTES_KEPT,
        build: Optional[Callable[[Case], Any]] = None,
        timeout: float = TIMEOUT,
        *,
        mode: str = "session",
    ) -> None:
        prepare(mode)
        tf1 = tensorflow()
        check(tf1, mode)
        self._tf1, self._mode = tf1, MODES[mode]
        self.name = TENSORFLOW
        self.version = tf1.VERSION
        self._looked_up: Optional[Premises] = None
        self.known = known_in(
            self.version,
            tf1.ONEDNN,
            compiled_in(tf1, self._mode),
            self._mode.grappler,
            self._mode.precision,
        )
        self._endings = Endings()
        self._graphs_kept, self._bytes_kept = graphs_kept, bytes_kept
        self.precision = self._mode.precision
        self._build = build or partial(_graph, precision=self.precision)
        self.timeout = timeout
        self._ready: OrderedDict[Any, _Ready] = OrderedDict()

    def __call__(self, case: Case) -> Dict[str, np.ndarray]:
        """Compute every array of the trace, each with the shape of the oracle's.

        Raises
        ------
        SubjectError
            If TensorFlow raises an error.
        """
        with self._errors():
            return self._session(case).run(case)

    def fresh(self) -> "TensorFlow":
        """Itself: what it keeps are graphs, and every call gives those all numbers anew."""
        return self

    def supports(self, model: Model, config: Any) -> bool:
        """All but what TensorFlow has not.

        That is ``tf.contrib`` in 2.x, kernels of a precision, and what Keras had not before 1.15.
        """
        kind = getattr(config, "kind", None)
        if has_layer(config) and self.version < (1, 15):
            return self.precision == "float32" and not _keras_raises_error(config)
        if kind is None or not kind.contrib:
            return True
        return self.version < (2, 0) and self.precision not in _LACKED.get(kind.name, ())

    def ended_by(self, case: Case) -> Optional[str]:
        """The signal by which a case ends the process, of those known to; None for all others."""
        return self._endings.signal_of(self, case)

    def arithmetic(self, case: Case) -> Arithmetic:
        """The arithmetic in which this TensorFlow computes the graph of the case's config.

        Raises
        ------
        SubjectError
            If TensorFlow raises an error.
        """
        with self._errors():
            kernels = self._session(case).kernels(case)
        functions = {name: self._premises.of(name) for name in FUNCTIONS}
        tanh = ["tanh"] * kernels.plain_tanh + ["fused tanh"] * kernels.fused_tanh
        functions["affine tanh"] = worst(self._premises.of(name) for name in tanh or ["tanh"])
        sigmoid = ["sigmoid"] * kernels.plain_sigmoid + ["fused sigmoid"] * kernels.fused_sigmoid
        functions["sigmoid"] = worst(self._premises.of(name) for name in sigmoid or ["sigmoid"])
        bias_anywhere = kernels.compiled or not kernels.biased <= self._premises.bias_last
        sums = self._premises.sums
        found = arithmetic(self.precision, functions, bias_anywhere=bias_anywhere, sums=sums)
        return found._replace(recomputes=kernels.compiled)

    def script(self, case: Case, verdict: Verdict, notes: Mapping[str, Any]) -> str:
        """One that needs NumPy and TensorFlow alone; of a session, so there is none of others."""
        if self._mode.runner != "session":
            return ""
        case = case.of_precision(self.precision)
        return script(Finding(case, verdict, dict(notes), self.options))

    def kernels(self, case: Case) -> Tuple[str, ...]:
        """The operations that Grappler, oneDNN and XLA have put in the place of others.

        With what they compute besides: "_FusedMatMul+BiasAdd+Relu".
        """
        with self._errors():
            nodes = self._session(case).nodes(case)
        replaced = [node for node in nodes if node.op.startswith("_") and node.op not in _PLUMBING]
        return tuple(sorted({"+".join([node.op, *sorted(fused(node))]) for node in replaced}))

    @property
    def options(self) -> Tuple[Option, ...]:
        """Those of its sessions."""
        return self._mode.options

    @property
    def title(self) -> str:
        """With its version and, unless it is the default, its mode."""
        said = "TensorFlow {}.{}".format(*self.version)
        return in_mode(said, self.mode)

    @property
    def premise(self) -> str:
        """How accurate TensorFlow is taken to be, and why."""
        return self._premises.text

    @property
    def _premises(self) -> Premises:
        # Not before they are asked for: what only computes needs none.
        if self._looked_up is None:
            self._looked_up = premises_of(self._tf1, self._mode)
        return self._looked_up

    def seconds_of_a_run(self, case: Case, runs: int) -> List[float]:
        """What ``session.run`` takes of the graph of `case`, its weights assigned before."""
        self(case)
        return self._session(case).seconds(case, runs)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except self._tf1.tf1.errors.OpError as error:
            raise SubjectError("{}: {}".format(type(error).__name__, error.message)) from error

    def _session(self, case: Case) -> "_Ready":
        key = (case.model.name, _of_graph(case.config))
        if key in self._ready:
            self._ready.move_to_end(key)
        else:
            with built_for(self._tf1, self._mode):
                graph = self._build(case)
            self._ready[key] = _Ready(self._tf1, graph, self._mode)
            while self._is_crowded():
                self._ready.popitem(last=False)[1].close()
        return self._ready[key]

    def _is_crowded(self) -> bool:
        taken = sum(ready.bytes for ready in self._ready.values())
        too_many = len(self._ready) > self._graphs_kept or taken > self._bytes_kept
        return too_many and len(self._ready) > 1


def _of_graph(config: Any) -> Any:
    """The config of the graph: the same for all batches of one that is open."""
    return replace(config, batch=0) if is_open(config) else config


def _graph(case: Case, precision: str) -> Any:
    if not case.model.graph_module:
        raise UserError(
            "The model {} has no graph for TensorFlow: name what computes it by --subject.".format(
                case.model.name
            )
        )
    # A graph of another package may be of float32 alone.
    known = {} if precision == "float32" else {"precision": precision}
    return case.model.graph().build(case.config, **known)


def _keras_raises_error(config: Any) -> bool:
    """Whether Keras has no such layer in TensorFlow 1.13 and 1.14, and says so.

    It takes the initial states of a Bidirectional for lists, and unrolls no single step.
    """
    is_bidirectional = hasattr(config, "merge_mode")
    unrolls_one = config.runner.endswith("unrolled") and config.time == 1
    return unrolls_one or (is_bidirectional and config.initial_state)


class _Ready:
    """The graph of one config with a session, its weights assigned by one run."""

    def __init__(self, models_tf1: Any, graph: "Graph", mode: Mode) -> None:
        self.graph, self._precision = graph, mode.precision
        self._compiled = mode.runner == "xla"
        sizes = [int(np.prod(v.shape.as_list())) for v in graph.parameters]
        self._running: Any
        if mode.runner == "eager":
            self._running = Eagerly(models_tf1, graph)
        else:
            self._running = running(models_tf1, graph.graph, mode, graph.parameters)
        operations = len(graph.graph.get_operations())
        of_numbers = precision_of(self._precision).width // 8 * sum(sizes)
        self.bytes = operations * _BYTES_OF_AN_OPERATION + of_numbers
        self._feeds, self._fetches = list(graph.data.values()), list(graph.trace.values())
        # At the end of the process, too, while there are modules.
        self.close = weakref.finalize(self, self._running.close)
        self._kernels: Optional[GraphKernels] = None

    def run(self, case: Case) -> Dict[str, np.ndarray]:
        case = case.of_precision(self._precision)
        self._running.assign(case.parameters)
        values = self._running.run(self._fetches, self._feeds, self._arrays(case))
        return dict(zip(self.graph.trace, values))

    def _arrays(self, case: Case) -> List[np.ndarray]:
        return [case.arrays[name] for name in self.graph.data]

    def seconds(self, case: Case, runs: int) -> List[float]:
        feed = dict(zip(self._feeds, self._arrays(case.of_precision(self._precision))))
        taken = []
        for _ in range(runs):
            started = time.perf_counter()
            self._running.session.run(self.graph.trace, feed)
            taken.append(time.perf_counter() - started)
        return taken

    def nodes(self, case: Case) -> List[Any]:
        """The nodes that are run for a case, after all rewriting."""
        case = case.of_precision(self._precision)
        self._running.assign(case.parameters)
        return self._running.nodes(self._fetches, self._feeds, self._arrays(case))

    def kernels(self, case: Case) -> GraphKernels:
        """Which kernels compute the graph; `case` is computed to see it.

        Grappler rewrites a graph before it runs, so only the rewritten graph can tell: it has
        ``_FusedMatMul`` nodes (with oneDNN: ``_MklNativeFusedMatMul``) in place of MatMul, BiasAdd
        and Tanh where it fused them.
        """
        if self._kernels is None:
            nodes = self.nodes(case)
            biased = [(node.op, fused(node)) for node in nodes if fused(node)]
            in_products = sum("Tanh" in fused(node) for node in nodes)
            written = sum(
                operation.type == "Tanh" and operation.inputs[0].op.type == "BiasAdd"
                for operation in self.graph.graph.get_operations()
            )
            compiled = self._compiled or any(node.op == "_XlaRun" for node in nodes)
            self._kernels = GraphKernels(
                # In the body of a loop only the nodes that are run can tell.
                plain_tanh=in_products < written or any(node.op == "Tanh" for node in nodes),
                fused_tanh=in_products > 0,
                plain_sigmoid=compiled or any(node.op == "Sigmoid" for node in nodes),
                # A swish is computed by that of oneDNN, too.
                fused_sigmoid=any(
                    "Sigmoid" in fused(node) or node.op == "_MklSwish" for node in nodes
                ),
                biased=frozenset(biased),
                compiled=compiled,
            )
        return self._kernels


def tensorflow() -> Any:
    """The module ``rnndiff.models.tf1``.

    Raises
    ------
    UserError
        If TensorFlow cannot be imported.
    """
    with optional_import("TensorFlow", "tensorflow"):
        try:
            from rnndiff.models import tf1
        except ImportError as error:
            if "tf_keras" in str(error) or "TF_USE_LEGACY_KERAS" in str(error):
                # It says itself what to do.
                raise UserError("{}.".format(error))
            raise
    return tf1
