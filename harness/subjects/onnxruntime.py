"""Onnxruntime's operators, as a subject."""

from typing import Any, Dict, List, Tuple

import numpy as np

from rnndiff.harness.cases.case import Case
from rnndiff.harness.judging.excuses import (
    Entry,
    Instead,
    KnownDivergence,
    KnownEnding,
    Minimal,
    Trace,
)
from rnndiff.harness.judging.verdict import ArrayVerdict
from rnndiff.harness.numerics.accuracy import Accuracy
from rnndiff.harness.numerics.arithmetic import Arithmetic, arithmetic
from rnndiff.harness.subjects.engine import arrays_of_cells
from rnndiff.harness.subjects.onnx import Onnx, Session, where_nan
from rnndiff.harness.subjects.weights import Plain, plain_cell
from rnndiff.models.cells.layouts import GRU, LSTM, RNN

# As `rnndiff ulp --subject onnxruntime` measured onnxruntime 1.32 on 2.3 million arguments and
# 2,538 sums, and half as much again; on an Intel Xeon with AVX-512. Of 94 million numbers, no tanh
# was off by more than 0.65 ULP + 1.4e-7.
ARITHMETIC = arithmetic(
    "float32",
    {
        "tanh": Accuracy(1.9, 1.6e-07),
        "softmax": Accuracy(1.4, 2.0**-126),
        "log": Accuracy(2.4, 2.0**-126),
    },
    bias_anywhere=True,
)
# Of 400,001 arguments, the tanh of its operator GRU is off by 10.1 ULP at most (6e-7 at -9.93), and
# half as much again.
OF_GRU = arithmetic("float32", {"tanh": Accuracy(15.2, 1.6e-07)})


def _empty_row(case: Case, trace: Trace, array: ArrayVerdict) -> Instead:
    """Zeros in rows of length 0."""
    covered = np.zeros(array.actual.shape, bool)
    if case.config.sequence_length:
        covered[case.arrays["sequence_length"] == 0] = True
    return Instead(covered, np.zeros(array.actual.shape))


def _ends_the_process(case: Case) -> bool:
    """Whether an operator with gates reads no rows, or one of GRU no inputs."""
    plain, config = plain_cell(case.config), case.config
    if plain is None or plain.cell == RNN:
        return False
    return config.batch == 0 or (plain.cell == GRU and config.inputs == 0)


_DIVERGENCES: Tuple[Entry, ...] = (
    KnownEnding(
        name="onnxruntime-gates-of-no-rows",
        what="LSTM of no rows, and GRU of no rows or no inputs, end the process",
        where="onnxruntime 1.32",
        covers=_ends_the_process,
        signals=("SIGABRT",),
        minimal=Minimal("rnn-gru", {"batch": 0}, {}),
    ),
    KnownDivergence(
        name="onnxruntime-gates-read-nan-as-largest",
        what="LSTM and GRU read NaN, where all terms of a gate are added up, as the largest "
        "number, to which they clip it: its sigmoid or tanh is 1",
        where="onnxruntime 1.32",
        arrays=arrays_of_cells("rnn", "birnn"),
        instead=where_nan,
        minimal=Minimal("rnn-basic-lstm", {}, {"cell/bias": {(2,): np.nan}}),
    ),
    KnownDivergence(
        name="onnxruntime-row-of-length-0-loses-its-state",
        what="of a row of length 0 the final state is 0, not the initial one",
        where="onnxruntime 1.32",
        arrays=tuple(x for x in arrays_of_cells("rnn", "birnn") if "final" in x),
        instead=_empty_row,
        minimal=Minimal(
            "rnn-basic",
            {"initial_state": True, "sequence_length": True},
            {"initial_h": {(0, 0): 1}, "sequence_length": {(0,): 0}},
        ),
    ),
)


class OnnxRuntime(Onnx):
    """The onnxruntime at hand, on one thread of the processor.

    Raises
    ------
    UserError
        If onnx or onnxruntime cannot be imported.
    """

    name_of_package = "onnxruntime"
    known = _DIVERGENCES

    def prepare(self) -> None:
        """Import what evaluates graphs."""
        import onnxruntime

        self._runtime = onnxruntime

    def session(self, model: Any) -> Session:
        """A function from the arrays that a model reads to those that it gives."""
        options = self._runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session = self._runtime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

        def run(feed: Dict[str, np.ndarray]) -> List[np.ndarray]:
            return list(session.run(None, feed))

        return run

    def has(self, plain: Plain, config: Any) -> bool:
        """What there is: of cells with gates, those of tanh, and no LSTM of no inputs.

        That one adds to memory in which anything may stand: a second call gives other numbers.
        """
        if plain.cell == LSTM and not config.inputs:
            return False
        return super().has(plain, config) and (plain.cell == RNN or plain.activation == "tanh")

    def arithmetic(self, case: Case) -> Arithmetic:
        """Float32, and its functions as they were measured."""
        plain = plain_cell(case.config)
        assert plain is not None
        return {RNN: ARITHMETIC, LSTM: arithmetic("float32"), GRU: OF_GRU}[plain.cell]
