"""Where Keras 3 is known to be wrong, by its backends, as data."""

from dataclasses import replace
from functools import lru_cache, partial
from typing import Any, Dict, Tuple

import numpy as np

from rnndiff.harness.cases.case import Case
from rnndiff.harness.judging.excuses import Entry, KnownError, KnownRewrite, Minimal
from rnndiff.harness.subjects.keras_backends import JAX, TENSORFLOW, TORCH
from rnndiff.harness.subjects.keras_layers import is_of_keras, is_unrolled
from rnndiff.harness.subjects.tensorflow.divergences import ENTRIES
from rnndiff.harness.subjects.tensorflow.modes import NOTHING
from rnndiff.models import Model
from rnndiff.models.cells.cell import flat, like
from rnndiff.models.environment import has_onednn
from rnndiff.models.keras.oracle import run


def _has_zeros(case: Case) -> bool:
    """Whether masked steps have the output zero: in ``Bidirectional``, if all are returned."""
    config = case.config
    return bool(getattr(config, "zero_output_for_mask", config.return_sequences))


def _goes_backwards(case: Case) -> bool:
    return case.model.family == "keras-bidirectional" or case.config.go_backwards


def _without_zeros(
    cell: Any, inputs: Any, mask: Any, state: Any, go_backwards: bool, zero_output_for_mask: bool
) -> Any:
    """As Keras takes the steps, but that no output is set to zero."""
    return run(cell, inputs, mask, state, go_backwards, False)


def _with_states(
    cell: Any, inputs: Any, mask: Any, state: Any, go_backwards: bool, zero_output_for_mask: bool
) -> Any:
    """The same, but that a masked step yields the state before it, the initial one, too."""
    taken, steps = range(inputs.shape[1]), []
    for t in reversed(taken) if go_backwards else taken:
        _, new = cell(inputs[:, t], state)
        parts = zip(flat(new), flat(state))
        steps.append([np.where(mask[:, t, None], *pair) for pair in parts])
        state = like(state, steps[-1])
    return steps, state


@lru_cache(maxsize=None)
def _run_by(model: Model, steps: Any) -> Model:
    return model._replace(oracle=partial(model.oracle, run=steps))


def _computes(steps: Any, case: Case) -> Case:
    return replace(case, model=_run_by(case.model, steps))


_ON_JAX = (
    KnownRewrite(
        name="keras-jax-unrolled-without-zeros",
        what="on JAX, a layer that is unrolled has no zeros for masked steps, but what the step "
        "before had, as in Bidirectional",
        where="Keras 3.15 on JAX 0.10.2",
        covers=lambda case: is_unrolled(case.config, mask=True) and _has_zeros(case),
        computes=partial(_computes, _without_zeros),
        minimal=Minimal(
            "keras-simple-rnn",
            {"time": 2, "runner": "layer, unrolled", "mask": True, "zero_output_for_mask": True},
            {"cell/bias": {(0,): 1}, "mask": {(0, 1): 0}},
        ),
    ),
    KnownRewrite(
        name="keras-jax-masked-output-is-initial-state",
        what="on JAX, masked steps before all others have the initial state as their output, not "
        "zero",
        where="Keras 3.15 on JAX 0.10.2",
        covers=lambda case: (
            is_of_keras(case.config, mask=True, initial_state=True)
            and not (is_unrolled(case.config) or _has_zeros(case))
        ),
        computes=partial(_computes, _with_states),
        minimal=Minimal(
            "keras-simple-rnn",
            {"mask": True, "initial_state": True},
            {"initial_h": {(0, 0): 1}, "mask": {(0, 0): 0}},
        ),
    ),
)

_ON_TORCH = (
    KnownError(
        name="keras-torch-unrolled-mask-backwards",
        what="on PyTorch, a layer that is unrolled and goes backwards, as in Bidirectional, raises "
        "an error if it is given a mask",
        where="Keras 3.15 on PyTorch 2.13",
        covers=lambda case: is_unrolled(case.config, mask=True) and _goes_backwards(case),
        error="'tuple' object has no attribute 'shape'",
        minimal=Minimal(
            "keras-simple-rnn",
            {"runner": "layer, unrolled", "go_backwards": True, "mask": True},
            {},
        ),
    ),
)

_OF_TENSORFLOW = {entry.name: entry for entry in ENTRIES}
# What Keras leaves to TensorFlow (softmax), or has in the same words as Keras 2.
_ON_TENSORFLOW = (
    _OF_TENSORFLOW["softmax-zero-beside-nan"],
    _OF_TENSORFLOW["unrolled-mask-is-not-reversed"],
)

_ON: Dict[str, Tuple[Entry, ...]] = {TENSORFLOW: _ON_TENSORFLOW, JAX: _ON_JAX, TORCH: _ON_TORCH}


def known_on(name: str, backend: Any) -> Tuple[Entry, ...]:
    """The entries of Keras on a backend: its name, and the package as it was imported."""
    if name != TENSORFLOW:
        return _ON[name]
    major, minor = backend.__version__.split(".")[:2]
    version = int(major), int(minor)
    where = version, has_onednn(version), NOTHING
    return tuple(entry for entry in _ON_TENSORFLOW if entry.where.holds(*where))
