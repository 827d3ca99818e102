"""What subjects have in common that are libraries with recurrent layers of their own.

What moves numbers (the arg max, lengths of 0, the tokens that are fed back) is NumPy's here; all
else a library computes itself.
"""

from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from rnndiff.harness.cases.case import Case
from rnndiff.harness.subjects.endings import Endings
from rnndiff.harness.subjects.subject import Subject
from rnndiff.harness.subjects.weights import Plain, Weights, plain_cell, weights_of
from rnndiff.models import MODELS, Model
from rnndiff.models.birnn.config import DIRECTIONS
from rnndiff.models.cells.kinds import part_of
from rnndiff.models.layout import CHOICE, divide

# By the names of parts, "h" and of an LSTM "c".
State = Dict[str, np.ndarray]


class LayerResult(NamedTuple):
    """What a layer gives of one direction.

    ``outputs`` [batch, time, output]; ``final`` parts of the state [batch, size]; ``states`` other
    parts of it than the output of all steps [batch, time, size], if they are known.
    """

    outputs: np.ndarray
    final: State
    states: State = {}


class Engine(Subject):
    """A library, by what it has of its own: derive from it, and say how it computes that.

    Computed are the article's bidirectional RNN and encoder-decoder, and the models "rnn" and
    "birnn" with those plain cells, in any layout, that :meth:`has` says.
    """

    def __init__(self) -> None:
        self._endings = Endings()

    def has(self, plain: Plain, config: Any) -> bool:
        """Whether there is a layer of such cells that takes these sizes and options."""
        raise NotImplementedError

    def layer(
        self,
        cells: Sequence[Weights],
        inputs: np.ndarray,
        lengths: Optional[np.ndarray],
        initial: Optional[Sequence[State]],
    ) -> List[LayerResult]:
        """Run a layer.

        Parameters
        ----------
        cells : one, or two that run in opposite directions
        inputs : array [batch, time, inputs]
        lengths : array [batch] of int32, from 0 up to time, or None
        initial : a state for each of the cells, or None

        Returns
        -------
        For each of the cells, in the order of time. Past the end of a row outputs are zero.
        """
        raise NotImplementedError

    def affine(self, x: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
        """``x @ kernel + bias``: [rows, inputs], [inputs, outputs], [outputs]."""
        raise NotImplementedError

    def softmax(self, scores: np.ndarray) -> np.ndarray:
        """That of the last axis."""
        raise NotImplementedError

    def loss(self, probabilities: np.ndarray, labels: np.ndarray) -> Any:
        """:func:`rnndiff.models.functions.log_loss`."""
        raise NotImplementedError

    def supports(self, model: Model, config: Any) -> bool:
        """What :meth:`has` says, of the models that are computed."""
        plain = plain_cell(config)
        known = model.name in _ARTICLE or model.family in _OF_CELLS
        return bool(known and plain and self.has(plain, config))

    def __call__(self, case: Case) -> Mapping[str, np.ndarray]:
        """The arrays of the trace that the layers give."""
        compute = _ARTICLE.get(case.model.name) or _OF_CELLS[case.model.family]
        return compute(self, case)

    def ended_by(self, case: Case) -> Optional[str]:
        """The signal by which a case ends the process, of those known to; None for all others."""
        return self._endings.signal_of(self, case)

    def score_arrays(self, scores: np.ndarray, labels: np.ndarray) -> Dict[str, np.ndarray]:
        """What is made of scores [..., outputs]."""
        return score_arrays(self.softmax, self.loss, scores, labels)


def score_arrays(
    softmax: Callable[[Any], Any],
    loss: Callable[[Any, Any], Any],
    scores: np.ndarray,
    labels: np.ndarray,
) -> Dict[str, np.ndarray]:
    """What is made of scores [..., outputs], by a library's softmax and loss."""
    probabilities, predictions = softmax(scores), np.argmax(scores, axis=-1)
    correct = predictions == np.argmax(labels, axis=-1)
    with np.errstate(invalid="ignore"):
        return {
            "scores": scores,
            "probabilities": probabilities,
            "predictions": predictions,
            "accuracy": np.float32(np.sum(correct)) / np.float32(correct.size),
            "loss": loss(probabilities, labels),
        }


def _bidirectional(engine: Engine, case: Case) -> Dict[str, np.ndarray]:
    parameters = case.parameters
    cells = [weights_of(case.config, parameters[at : at + 2]) for at in (0, 2)]
    forward, backward = engine.layer(cells, case.inputs, None, None)
    outputs = np.concatenate([forward.outputs, backward.outputs], axis=2)
    return dict(
        engine.score_arrays(engine.affine(outputs[:, -1], *parameters[4:6]), case.labels),
        outputs=outputs,
        forward_final_state=forward.final["h"],
        backward_final_state=backward.final["h"],
    )


def _seq2seq(engine: Engine, case: Case) -> Dict[str, np.ndarray]:
    parameters, config = case.parameters, case.config
    encoder = [weights_of(config, parameters[0:2])]
    (ran,) = engine.layer(encoder, case.inputs, None, None)
    states = [ran.final["h"]]
    classes = np.eye(config.outputs, dtype=np.float32)
    scores, tokens = [engine.affine(states[-1], *parameters[2:4])], []
    for _ in range(config.output_time - 1):
        tokens.append(classes[np.argmax(scores[-1], axis=-1)])
        decoder = [weights_of(config, parameters[4:6])]
        (step,) = engine.layer(decoder, tokens[-1][:, None], None, [{"h": states[-1]}])
        states.append(step.final["h"])
        scores.append(engine.affine(states[-1], *parameters[2:4]))
    return dict(
        engine.score_arrays(np.stack(scores, axis=1), case.labels),
        encoder_states=ran.outputs,
        decoder_states=stacked(states[1:], (config.batch, 0, config.num_units)),
        fed_back=stacked(tokens, (config.batch, 0, config.outputs)),
    )


def _of_cells(engine: Engine, case: Case) -> Dict[str, np.ndarray]:
    config, kind = case.config, case.config.kind
    directions = [each + "_" for each in DIRECTIONS] if case.model.family == "birnn" else [""]
    fields = case.model.parameters(config)
    of_each = [fields[: len(fields) // len(directions)]] * len(directions)
    cells = [weights_of(config, part) for part in divide(case.parameters, of_each)]
    initial = None
    if config.initial_state:
        initial = [
            {part: case.arrays[part_of(each + "initial", part)] for part, _ in kind.state}
            for each in directions
        ]
    lengths = case.arrays.get("sequence_length")
    ran = engine.layer(cells, case.inputs, lengths, initial)
    trace = {"outputs": np.concatenate([each.outputs for each in ran], axis=2)}
    for direction, each in zip(directions, ran):
        states = dict(each.states, h=each.outputs)
        for part, _ in kind.state:
            trace[part_of(direction + "final", part)] = each.final[part]
            if part in states:
                trace[part_of(direction + "states", part)] = states[part]
    return trace


_ARTICLE = {"bidirectional": _bidirectional, "seq2seq": _seq2seq}
_OF_CELLS = {"rnn": _of_cells, "birnn": _of_cells}


def arrays_of_cells(*families: str) -> Tuple[str, ...]:
    """All arrays of numbers of the models of these families."""
    found = (x for m in MODELS.values() if m.family in families for x in m.trace)
    return tuple(sorted({x.name for x in found if x.role != CHOICE}))


def stacked(steps: List[np.ndarray], shape: Tuple[int, ...]) -> np.ndarray:
    """[batch, ...] of each step -> [batch, steps, ...]; of none, an empty array."""
    return np.stack(steps, axis=1) if steps else np.zeros(shape, np.float32)
