"""A cell run over a sequence, as the textbook writes it."""

from typing import Any, Dict

import numpy as np

from rnndiff.models.cells.cell import flat, like


def oracle(
    config: Any, parameters: Any, inputs: Any, sequence_length: Any, *more: Any
) -> Dict[str, Any]:
    """Run the cell from the initial state to the end of every row.

    Parameters
    ----------
    config : Config
    parameters : list of arrays
        In TensorFlow's order.
    inputs : array [batch, time, inputs]
    sequence_length : array [batch] of whole numbers, or None
    more : arrays [batch, units], or None
        The parts of the initial state, such as c and h, then the noise of a cell that takes any.

    Returns
    -------
    dict of str to array
        For each part of the state, such as c and h, ``states_PART`` [batch, time, units] and
        ``final_PART`` [batch, units]; "outputs" [batch, time, units]. Past the end of a row its
        states and outputs are zero.
    """
    parts = len(config.kind.state)
    initial_state, noise = more[:parts], more[parts:]
    cell = config.kind.cell(config, noise).load(parameters)
    state = start(cell, config, inputs, initial_state)
    states, outputs, state = run(cell, inputs, sequence_length, state, range(config.time))
    return {
        **config.kind.stacked("states", states),
        "outputs": np.stack(outputs, axis=1),
        **config.kind.named("final", state),
    }


def start(cell: Any, config: Any, inputs: Any, initial_state: Any) -> Any:
    """The initial state, of parts [batch, units]: zeros, if they are not given."""
    state = cell.zero_state(config.batch, inputs.dtype)
    return like(state, initial_state) if config.initial_state else state


def run(cell: Any, inputs: Any, sequence_length: Any, state: Any, steps: Any) -> Any:
    """Take these steps: states and outputs in the order of time, and the state after the last one.

    ``inputs`` [batch, time, inputs]; parts of states, and outputs, [batch, units].
    A step past the end of a row yields zeros, and leaves its state as it was.
    """
    states, outputs = {}, {}
    for t in steps:
        outputs[t], states[t] = cell(inputs[:, t], state)
        if sequence_length is None:
            state = states[t]
        else:
            is_in = (t < sequence_length)[:, None]
            outputs[t] = np.where(is_in, outputs[t], 0.0)
            new = [np.where(is_in, part, 0.0) for part in flat(states[t])]
            both = zip(new, flat(state))
            states[t] = like(state, new)
            state = like(state, [np.where(is_in, *parts) for parts in both])
    return [states[t] for t in sorted(states)], [outputs[t] for t in sorted(outputs)], state
