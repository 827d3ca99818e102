"""How accurate the functions of any subject are, measured through cases alone.

A subject is asked for nothing but traces. In small networks a trace shows a function by itself:

==============  =================================================================================
affine tanh     a cell with the identity as kernel and no bias, in its first step: the states are
                the tanh of what it reads
tanh            the attention's features: with a query of one state times a power of two, and one
                1 in the vector that scores them, an energy is the tanh of that product
softmax         the recorded probabilities (alignments) of recorded scores (energies)
log             the loss of one row with a one-hot label, which is minus the log of one recorded
                probability: a case an argument, so there are fewer of them
bias            in every linear map, sums of terms so small that they are lost when added to the
                bias one by one, and are not when the bias is added last
==============  =================================================================================

Arrays are long, so that SIMD kernels fill whole vectors, and short, so that they do not.
"""

from typing import Callable, Collection, Dict, Tuple

from rnndiff.harness.cases.case import smallest_case
from rnndiff.harness.subjects.measure.biases import MAPS
from rnndiff.harness.subjects.measure.functions import (
    sample_alignments,
    sample_log,
    sample_long_tanh,
    sample_short_tanh,
    sample_softmax,
    sample_tanh_of_features,
)
from rnndiff.harness.subjects.measure.networks import CELLS
from rnndiff.harness.subjects.measure.samples import OFFSET, SHIFTED, Measurement, Sample
from rnndiff.harness.subjects.run import run
from rnndiff.harness.subjects.statements import supported
from rnndiff.harness.subjects.subject import Subject

FUNCTIONS = ("tanh", "softmax", "log", "bias")
# At most so many logarithms: each takes a case of its own.
_LOGS = 2000


def reasons_against(subject: Subject, models: Tuple[str, ...]) -> Dict[str, str]:
    """For each model why it cannot be measured, as the subject says it; empty if it can."""
    reasons = {}
    for name in models:
        case = smallest_case(name, {}, {})
        if supported(subject, case):
            outcome = run(subject, case)
            reasons[name] = outcome.error or outcome.signal
        else:
            reasons[name] = "not supported"
    return reasons


def measure_subject(
    subject: Subject,
    models: Tuple[str, ...],
    count: int,
    functions: Collection[str] = FUNCTIONS,
    report: Callable[[str], None] = lambda what: None,
) -> Measurement:
    """Measure a subject.

    Parameters
    ----------
    subject : Subject
    models : names of models that it computes
    count : int
        At how many arguments each function is measured; at some more, and "log" at fewer.
    functions : some of "tanh", "softmax", "log" and "bias"
    report : function of a text
        Called with what was measured last.
    """
    cells = [cell for cell in CELLS if cell.model in models]
    result = Measurement([], [])

    def add(sample: Sample) -> None:
        result.samples.append(sample)
        report("{} in {}".format(sample.function, sample.place))

    for cell in cells if "tanh" in functions else []:
        add(sample_long_tanh(subject, cell, max(1, count // len(cells))))
        add(sample_short_tanh(subject, cell))
    if "tanh" in functions and "attention" in models:
        add(sample_tanh_of_features(subject, count))
    for name in models if "softmax" in functions else []:
        add(sample_softmax(subject, name, max(1, count // len(models))))
        far = sample_softmax(subject, name, max(1, count // len(models) // 8), OFFSET)
        add(far._replace(function=SHIFTED))
    if "softmax" in functions and "attention" in models:
        add(sample_alignments(subject, count))
    for name in models if "log" in functions else []:
        add(sample_log(subject, name, max(1, min(count, _LOGS) // len(models))))
    for linear in MAPS if "bias" in functions else []:
        if linear.model in models:
            result.sums.append(linear.probe(subject))
            report("bias in {}".format(linear.place))
    return result
