"""Whether a subject adds the bias last in its linear maps, as the traces of small networks show."""

from typing import Any, Callable, Iterator, NamedTuple, Tuple

import numpy as np

from rnndiff.harness.cases.case import Case, smallest_case
from rnndiff.harness.subjects.measure.networks import Trace, trace_of
from rnndiff.harness.subjects.measure.samples import UNIT, Sums
from rnndiff.harness.subjects.subject import Subject

# Width of all layers, and rows, where the bias is probed.
_SUMS = ((1, 1), (3, 3), (8, 2), (17, 8), (40, 1), (64, 5), (300, 17))
# How many arrays probe each of these.
_DRAWS = 3
# Biases are between 1/4 and 1/2. A term is a multiple of 2^-36 and less than half of the last place
# of such a bias, and so lost when added to it alone. All of them add up exactly, in any order.
_STEP, _TERMS = 2.0**-36, 2**10


def _probing(random: Any, name: str, width: int, rows: int) -> Case:
    """All sums can be probed in it: each product is a tiny term, and all biases are large.

    The rows are the same, so that one bias can stand for what is probed in all of them.
    """
    sizes = dict.fromkeys(("inputs", "num_units", "outputs"), width)
    sizes.update(batch=rows, time=2)
    if name != "bidirectional":
        sizes.update(output_time=2)
    if name == "attention":
        sizes.update(attn_size=width)
    case = smallest_case(name, sizes, {"inputs": random.randint(0, 4, (2, width)) > 0})
    for parameter in case.model.parameters(case.config):
        array = case.arrays[parameter.name]
        if parameter.name.endswith("bias"):
            array[...] = random.uniform(0.25, 0.5, array.shape)
        elif parameter.name.endswith("attn_v"):
            array[0] = 1
        else:
            array[...] = random.randint(0, _TERMS, array.shape) * _STEP
    return case


def _bias_last(terms: np.ndarray, count: int, bias: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """The sums, if the bias is added last, and where that is certain."""
    # If what is added up is no multiple, it is rounded.
    off = terms * (count * UNIT)
    least, most = ((bias + terms + way * off).astype(np.float32) for way in (-1, 1))
    return least, least == most


class Map(NamedTuple):
    """A linear map of a model, and where a trace shows it.

    ``reads`` gives of a trace what it maps [rows, inputs], and ``gives`` what becomes of it [rows,
    columns], or the tanh of that. ``silent`` is a kernel that must be zero to see it.
    """

    model: str
    place: str
    kernel: str
    bias: str
    reads: Callable[[Trace, np.ndarray], np.ndarray]
    gives: Callable[[Trace], np.ndarray]
    silent: str = ""

    def probe(self, subject: Subject) -> Sums:
        """How often the bias is not added last."""
        random, sums, not_last = np.random.RandomState(0), 0, 0
        for width, rows in _SUMS:
            for _ in range(_DRAWS):
                case = _probing(random, self.model, width, rows)
                if self.silent:
                    case.arrays[self.silent][...] = 0
                trace = trace_of(subject, case)
                read = self.reads(trace, case.inputs.astype(float))
                kernel = case.arrays[self.kernel]
                terms = read @ kernel.reshape(read.shape[1], -1).astype(float)
                wanted, certain = _bias_last(terms, read.shape[1], case.arrays[self.bias])
                # A tanh may differ from row to row, by the lane of a vector that computes it.
                certain &= wanted == wanted[0]
                # What becomes of the right sums in the same place.
                right = case.copy()
                right.arrays[self.kernel][...] = 0
                right.arrays[self.bias][...] = wanted[0]
                differ = self.gives(trace) != self.gives(trace_of(subject, right))
                # An energy shows the first feature alone.
                certain = certain[:, : differ.shape[1]]
                sums += int(np.count_nonzero(certain))
                not_last += int(np.count_nonzero(certain & differ))
        return Sums("{} of {}".format(self.place, self.model), sums, not_last)


def _maps() -> Iterator[Map]:
    """Every linear map of every model, in a step before which there was another."""

    def linear(model: str, place: str, scope: str, reads: Any, gives: Any, silent: str = "") -> Map:
        def joined(trace: Trace, inputs: np.ndarray) -> np.ndarray:
            return np.concatenate(reads(trace, inputs), axis=1)

        return Map(model, place, scope + "/kernel", scope + "/bias", joined, gives, silent)

    def units(trace: Trace) -> int:
        return trace["forward_final_state"].shape[1]

    yield linear(
        "bidirectional",
        "outputs",
        "forward",
        lambda t, x: (x[:, 1], t["outputs"][:, 0, : units(t)]),
        lambda t: t["outputs"][:, 1, : units(t)],
    )
    yield linear(
        "bidirectional",
        "outputs, backward",
        "backward",
        lambda t, x: (x[:, 0], t["outputs"][:, 1, units(t) :]),
        lambda t: t["outputs"][:, 0, units(t) :],
    )
    yield linear(
        "bidirectional",
        "scores",
        "projection",
        lambda t, x: (t["outputs"][:, -1],),
        lambda t: t["scores"],
    )
    yield linear(
        "seq2seq",
        "encoder_states",
        "encoder",
        lambda t, x: (x[:, 1], t["encoder_states"][:, 0]),
        lambda t: t["encoder_states"][:, 1],
    )
    yield linear(
        "seq2seq",
        "decoder_states",
        "decoder",
        lambda t, x: (t["fed_back"][:, 0], t["encoder_states"][:, 1]),
        lambda t: t["decoder_states"][:, 0],
    )
    for model, projected in (("seq2seq", "encoder_states"), ("attention", "encoder_outputs")):
        yield linear(
            model,
            "scores",
            "projection",
            lambda t, x, projected=projected: (t[projected][:, 1],),
            lambda t: t["scores"][:, 0],
        )
    for side in ("encoder", "decoder"):
        yield from _maps_of_attention(side, linear)


def _maps_of_attention(side: str, linear: Callable[..., Map]) -> Iterator[Map]:
    step = 1 if side == "encoder" else 0

    def now(name: str) -> Callable[[Trace], np.ndarray]:
        return lambda trace: trace["{}_{}".format(side, name)][:, step]

    def before(name: str) -> Callable[[Trace], np.ndarray]:
        return lambda trace: trace["encoder_" + name][:, 0 if side == "encoder" else 1]

    def token(trace: Trace, inputs: np.ndarray) -> np.ndarray:
        return inputs[:, 1] if side == "encoder" else trace["fed_back"][:, 0]

    query, features = side + "/attention", side + "/attention/attn_w"
    yield linear(
        "attention",
        side + "_cell_inputs",
        side,
        lambda t, x: (token(t, x), before("attentions")(t)),
        now("cell_inputs"),
    )
    yield linear(
        "attention",
        side + "_states",
        side + "/cell",
        lambda t, x: (now("cell_inputs")(t), before("states")(t)),
        now("states"),
    )
    yield linear(
        "attention",
        side + "_energies, query",
        query,
        lambda t, x: (now("states")(t),),
        now("energies"),
        features,
    )
    # The query is their bias.
    yield Map(
        "attention",
        side + "_energies, features",
        features,
        query + "/bias",
        lambda t, x: before("windows")(t)[:, 0],
        now("energies"),
        query + "/kernel",
    )
    yield linear(
        "attention",
        side + "_outputs",
        side + "/attn_output_projection",
        lambda t, x: (now("states")(t), now("attentions")(t)),
        now("outputs"),
    )


MAPS = tuple(_maps())
