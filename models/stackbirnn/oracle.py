"""Layers of cells, each run in both directions (Graves, Jaitly and Mohamed 2013)."""

from typing import Any, Dict

import numpy as np

from rnndiff.models.birnn.oracle import oracle as both_directions
from rnndiff.models.layout import divide
from rnndiff.models.stackbirnn.config import parts


def oracle(
    config: Any, parameters: Any, inputs: Any, sequence_length: Any, *initial_states: Any
) -> Dict[str, Any]:
    """Run each layer over the outputs of both directions of the one below, side by side.

    Parameters
    ----------
    config : Config
    parameters : list of arrays
        In TensorFlow's order.
    inputs : array [batch, time, inputs]
    sequence_length : array [batch] of whole numbers, or None
    initial_states : arrays [batch, layers, units], or None
        The parts of those of the forward cells, then of the backward ones.

    Returns
    -------
    dict of str to array
        For each direction and part of the state, such as c and h, ``DIRECTION_states_PART``
        [batch, time, layers, units] and ``DIRECTION_final_PART`` [batch, layers, units]; "outputs"
        [batch, time, 2 * units], those of the last layer. Past the end of a row its states and
        outputs are zero.
    """
    layers, read = [], inputs
    for number, weights in enumerate(divide(parameters, parts(config))):
        initial = [x[:, number] if config.initial_state else None for x in initial_states]
        layers.append(both_directions(config, weights, read, sequence_length, *initial))
        read = layers[-1]["outputs"]
    trace = {
        name: np.stack([layer[name] for layer in layers], axis=-2)
        for name in layers[0]
        if name != "outputs"
    }
    return dict(trace, outputs=read)
