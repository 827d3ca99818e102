"""Steps of a sequence as an axis: stacking them, and doing all of them at once as one batch."""

import numpy as np


def stack_steps(steps, shape):
    """Stack [batch, ...] into [batch, time, ...]; no steps give an empty array of `shape`."""
    return np.stack(steps, axis=1) if steps else np.zeros(shape)


def before(initial, states):
    """The state in which each step starts: the initial one, then that of the step before."""
    return np.concatenate([initial[:, None], states[:, :-1]], axis=1)


def after(states, final):
    """The same for a run that is reversed in time: that of the step after; `final` at the end."""
    return np.concatenate([states[:, 1:], final[:, None]], axis=1)


def as_batch(steps):
    """[batch, time, ...] -> [batch * time, ...]."""
    return np.reshape(steps, (steps.shape[0] * steps.shape[1],) + steps.shape[2:])


def as_steps(rows, steps):
    """[batch * time, ...] -> [batch, time, ...], with batch and time of `steps`."""
    return np.reshape(rows, steps.shape[:2] + rows.shape[1:])
