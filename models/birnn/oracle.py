"""Two cells run over a sequence, one in each direction (Schuster and Paliwal 1997)."""

from typing import Any, Dict

import numpy as np

from rnndiff.models.birnn.config import DIRECTIONS, halves
from rnndiff.models.rnn.oracle import run, start


def oracle(
    config: Any, parameters: Any, inputs: Any, sequence_length: Any, *more: Any
) -> Dict[str, Any]:
    """Run one cell from the first step to the end of each row, and one from there to the first.

    Parameters
    ----------
    config : Config
    parameters : list of arrays
        In TensorFlow's order.
    inputs : array [batch, time, inputs]
    sequence_length : array [batch] of whole numbers, or None
    more : arrays [batch, units], or None
        The parts of the initial state of the forward cell, then of the backward one; then the noise
        of each, if they take any.

    Returns
    -------
    dict of str to array
        For each direction and part of the state, such as c and h, ``DIRECTION_states_PART``
        [batch, time, units] and ``DIRECTION_final_PART`` [batch, units]; "outputs" [batch, time,
        2 * units]. Past the end of a row its states and outputs are zero.
    """
    trace, outputs = {}, []
    parts = len(DIRECTIONS) * len(config.kind.state)
    initial_states, noise = more[:parts], more[parts:]
    every = range(config.time)
    for direction, weights, initial_state, of_cell, steps in zip(
        DIRECTIONS,
        halves(parameters),
        halves(initial_states),
        halves(noise),
        (every, reversed(every)),
    ):
        cell = config.kind.cell(config, of_cell).load(weights)
        state = start(cell, config, inputs, initial_state)
        states, of_steps, state = run(cell, inputs, sequence_length, state, steps)
        outputs.append(np.stack(of_steps, axis=1))
        trace.update(config.kind.stacked(direction + "_states", states))
        trace.update(config.kind.named(direction + "_final", state))
    trace["outputs"] = np.concatenate(outputs, axis=2)
    return trace
