"""A recurrent layer of Keras', as its documentation has it."""

from typing import Any, Dict

import numpy as np

from rnndiff.models.cells.cell import flat, like
from rnndiff.models.cells.kinds import part_of
from rnndiff.models.rnn.oracle import start


def run(
    cell: Any, inputs: Any, mask: Any, state: Any, go_backwards: bool, zero_output_for_mask: bool
) -> Any:
    """What all steps yield, in the order in which they are taken, and the state after the last one.

    ``inputs`` [batch, time, inputs], ``mask`` [batch, time], parts of the state [batch, units].
    A step yields the parts of the state after it, of which the first one is the output. If it is
    masked, it yields what the one before it does, or zeros, and leaves the state as it was.
    """
    taken = range(inputs.shape[1])
    steps = []
    nothing = [0.0] * len(flat(state))
    for t in reversed(taken) if go_backwards else taken:
        _, new = cell(inputs[:, t], state)
        if mask is None:
            state = new
            steps.append(flat(new))
            continue
        is_in = mask[:, t, None]
        before = nothing if zero_output_for_mask or not steps else steps[-1]
        steps.append([np.where(is_in, *parts) for parts in zip(flat(new), before)])
        state = like(state, [np.where(is_in, *parts) for parts in zip(steps[-1], flat(state))])
    return steps, state


def oracle(
    config: Any, parameters: Any, inputs: Any, mask: Any, *initial_state: Any, run: Any = run
) -> Dict[str, Any]:
    """Run the cell over all steps.

    Parameters
    ----------
    config : Config
    parameters : list of arrays
        In TensorFlow's order.
    inputs : array [batch, time, inputs]
    mask : array [batch, time], or None
        Zero where a step of a row is masked.
    initial_state : arrays [batch, units], or None
        The parts of it, such as h and c.
    run : function
        What takes the steps: :func:`run`.

    Returns
    -------
    dict of str to array
        "outputs" [batch, steps, units], of all steps in the order in which they are taken or of the
        last one alone; of an LSTM "states_c", the same of c where an output is that of h; and for
        each part of the state, ``final_PART`` [batch, units].
    """
    cell = config.kind.cell(config).load(parameters)
    state = start(cell, config, inputs, initial_state)
    steps, state = run(cell, inputs, mask, state, config.go_backwards, config.zero_output_for_mask)
    steps = steps if config.return_sequences else steps[-1:]
    outputs, *others = [np.stack(part, axis=1) for part in zip(*steps)]
    return {
        "outputs": outputs,
        **{part_of("states", part): x for (part, _), x in zip(config.kind.state[1:], others)},
        **config.kind.named("final", state),
    }
