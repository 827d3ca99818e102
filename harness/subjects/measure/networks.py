"""Small networks whose traces show what a subject's functions make of chosen arguments."""

from typing import Any, Callable, Dict, Mapping, NamedTuple, Tuple

import numpy as np

from rnndiff.harness.cases.case import Case, smallest_case
from rnndiff.harness.errors import SubjectError, UserError
from rnndiff.harness.numerics.precisions import BFLOAT16
from rnndiff.harness.subjects.run import run
from rnndiff.harness.subjects.statements import arithmetic_of
from rnndiff.harness.subjects.subject import Subject

Trace = Mapping[str, np.ndarray]


def trace_of(subject: Subject, case: Case) -> Dict[str, np.ndarray]:
    """The trace in float64.

    Raises
    ------
    UserError
        If the subject computes none, or one of other arrays or numbers.
    """
    outcome = run(subject, case)
    if outcome.trace is None:
        raise UserError(
            "The subject fails on {}: {}.".format(case, outcome.error or outcome.signal)
        )
    for array in case.model.trace:
        found = outcome.trace.get(array.name)
        if found is None or found.shape != array.shape(case.config):
            raise UserError(
                "The subject returns no {!r} of the shape {} for {}.".format(
                    array.name, list(array.shape(case.config)), case
                )
            )
        try:
            stated = arithmetic_of(subject, case).name
        except SubjectError as error:
            raise UserError("The subject fails on {}: {}.".format(case, error))
        if found.dtype.kind == "f" and (found.dtype.itemsize != 4 or stated == BFLOAT16):
            raise UserError(
                "The subject returns {!r} as {} numbers: only float32 is measured.".format(
                    array.name, stated if stated == BFLOAT16 else found.dtype
                )
            )
    return {name: array.astype(np.float64) for name, array in outcome.trace.items()}


class Cell(NamedTuple):
    """A cell of a model: the scope of its parameters, and where its states are in a trace.

    ``states`` gives of a trace and a number of units [batch, time, units], in the order in which
    the steps are taken.
    """

    model: str
    scope: str
    array: str
    states: Callable[[Trace, int], np.ndarray]
    is_backward: bool = False

    def run(
        self, subject: Subject, inputs: np.ndarray, kernel: np.ndarray, bias: np.ndarray
    ) -> Tuple[np.ndarray, np.ndarray]:
        """What the cell reads [batch, time, inputs], and its states."""
        rows, time, read = inputs.shape
        units = len(bias)
        sizes = dict(batch=rows, time=time, inputs=read, num_units=units)
        numbers = {self.scope + "/kernel": kernel, self.scope + "/bias": bias, "inputs": inputs}
        if self.is_backward:
            numbers["inputs"] = inputs[:, ::-1]
        if self.model == "attention":
            sizes.update(attn_size=1)
            numbers["encoder/kernel"] = np.eye(read + 1, read)
        trace = trace_of(subject, smallest_case(self.model, sizes, numbers))
        return trace.get("encoder_cell_inputs", inputs.astype(float)), self.states(trace, units)


CELLS = (
    Cell("seq2seq", "encoder", "encoder_states", lambda trace, _: trace["encoder_states"]),
    Cell("bidirectional", "forward", "outputs", lambda trace, units: trace["outputs"][..., :units]),
    Cell(
        "bidirectional",
        "backward",
        "outputs, backward",
        lambda trace, units: trace["outputs"][:, ::-1, units:],
        is_backward=True,
    ),
    Cell("attention", "encoder/cell", "encoder_states", lambda trace, _: trace["encoder_states"]),
)

_FIRST_CELL = {"seq2seq": "encoder", "bidirectional": "forward", "attention": "encoder/cell"}
_PROJECTED = {
    "seq2seq": "encoder_states",
    "bidirectional": "outputs",
    "attention": "encoder_outputs",
}


def project(
    subject: Subject, name: str, inputs: np.ndarray, cell: np.ndarray, kernel: Any, bias: np.ndarray
) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One step of a model whose cells have the kernel `cell`, and its projection.

    Returns what is projected [rows, ...], the scores and the probabilities [rows, outputs].
    """
    rows, read = inputs.shape
    units = cell.shape[1]
    sizes = dict(batch=rows, inputs=read, num_units=units, outputs=len(bias))
    numbers = {
        "inputs": inputs[:, None],
        _FIRST_CELL[name] + "/kernel": cell,
        "projection/kernel": kernel,
        "projection/bias": bias,
    }
    if name == "bidirectional":
        numbers["backward/kernel"] = cell
    if name == "attention":
        sizes.update(attn_size=units)
        numbers["encoder/kernel"] = np.eye(read + units, read)
        numbers["encoder/attn_output_projection/kernel"] = np.eye(2 * units, units)
    trace = trace_of(subject, smallest_case(name, sizes, numbers))
    scores, probabilities = (trace[x].reshape(rows, -1) for x in ("scores", "probabilities"))
    return trace[_PROJECTED[name]][:, -1], scores, probabilities
