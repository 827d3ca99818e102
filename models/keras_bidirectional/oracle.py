"""Two recurrent layers of Keras', one in each direction, and what is made of their outputs."""

from typing import Any, Dict

import numpy as np

from rnndiff.models.birnn.config import DIRECTIONS, halves
from rnndiff.models.keras.oracle import run
from rnndiff.models.rnn.oracle import start


def oracle(
    config: Any, parameters: Any, inputs: Any, mask: Any, *initial_states: Any, run: Any = run
) -> Dict[str, Any]:
    """Run one cell from the first step to the last one, and one from there to the first.

    Parameters
    ----------
    config : Config
    parameters : list of arrays
        In TensorFlow's order.
    inputs : array [batch, time, inputs]
    mask : array [batch, time], or None
        Zero where a step of a row is masked.
    initial_states : arrays [batch, units], or None
        The parts of that of the forward cell, then of the backward one.
    run : function
        What takes the steps: :func:`rnndiff.models.keras.oracle.run`.

    Returns
    -------
    dict of str to array
        "outputs" [batch, steps, units], twice as many units if they are side by side, of all steps
        or of the last one that each direction takes; and for each direction and part of the state,
        such as h and c, ``DIRECTION_final_PART`` [batch, units].
    """
    trace, outputs = {}, []
    for direction, weights, initial_state in zip(
        DIRECTIONS, halves(parameters), halves(initial_states)
    ):
        is_backward = direction == "backward"
        cell = config.kind.cell(config).load(weights)
        state = start(cell, config, inputs, initial_state)
        go_backwards = config.go_backwards != is_backward
        steps, state = run(cell, inputs, mask, state, go_backwards, config.return_sequences)
        steps = [output for output, *_ in (steps if config.return_sequences else steps[-1:])]
        outputs.append(np.stack(steps[::-1] if is_backward else steps, axis=1))
        trace.update(config.kind.named(direction + "_final", state))
    return dict(trace, outputs=merged(config.merge_mode, *outputs))


def merged(mode: Any, forward: Any, backward: Any) -> Any:
    """The outputs [batch, steps, units] of both directions as one array, twice as wide if none."""
    if mode == "sum":
        return forward + backward
    if mode == "mul":
        return forward * backward
    if mode == "ave":
        return (forward + backward) / 2
    return np.concatenate([forward, backward], axis=2)
