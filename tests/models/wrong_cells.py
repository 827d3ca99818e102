"""What people make of the cells: twins with one mistake each, and all else as it should be."""

from typing import Any, NamedTuple

import numpy as np

from rnndiff.models import cells as twins
from rnndiff.models.cells.cell import like
from rnndiff.models.functions import (
    accumulate,
    affine,
    dropout_mask,
    hard_sigmoid,
    interpolate,
    sigmoid,
)


def reordered(cell, *order):
    """A cell that takes its gates for others."""
    load = cell.load

    def load_others(parameters):
        gates = [np.split(array, len(order), axis=-1) for array in parameters[:2]]
        read = [np.concatenate([parts[k] for k in order], axis=-1) for parts in gates]
        return load(read + parameters[2:])

    cell.load = load_others
    return cell


class PeepholesSwapped(twins.LSTMCell):
    """That of i for that of f."""

    def load(self, parameters):
        super().load(parameters)
        if self.use_peepholes:
            self.w_f_diag, self.w_i_diag = self.w_i_diag, self.w_f_diag
        return self


class HardSigmoid(twins.BasicLSTMCell):
    """Keras' former recurrent activation."""

    def __call__(self, inputs, state):
        gates = affine(np.hstack([inputs, state[1]]), self.kernel, self.bias)
        i, j, f, o = np.split(gates, 4, axis=-1)
        forget = hard_sigmoid(f + self.forget_bias)
        c = state[0] * forget + hard_sigmoid(i) * self.activation(j)
        h = self.activation(c) * hard_sigmoid(o)
        return h, (c, h)


class ClippedAfter(twins.LSTMCell):
    """The output is computed from what is not clipped."""

    def __call__(self, inputs, state):
        clip, self.cell_clip = self.cell_clip, None
        output, (c, h) = super().__call__(inputs, state)
        self.cell_clip = clip
        return output, (c if clip is None else np.clip(c, -clip, clip), h)


class ResetAfter(twins.GRUCell):
    """The reset gate is for the product, as Keras' `reset_after` has it, not for the state."""

    def __call__(self, inputs, state):
        r, u = np.split(sigmoid(affine(np.hstack([inputs, state]), *self.gates)), 2, axis=-1)
        kernel, bias = self.candidate
        count = inputs.shape[1]
        candidate = np.matmul(inputs, kernel[:count]) + r * np.matmul(state, kernel[count:])
        state = interpolate(u, state, self.activation(candidate + bias))
        return state, state


class UpdateInverted(twins.GRUCell):
    """The update gate says how much is new."""

    def load(self, parameters):
        signs = np.repeat(np.array([1, -1], np.float32), self.num_units)
        return super().load([parameters[0] * signs, parameters[1] * signs] + parameters[2:])


class SecondBiasLost(twins.GRUCell):
    """The candidate has none."""

    def load(self, parameters):
        return super().load(parameters[:3] + [0.0 * parameters[3]])


class SameInput(twins.MultiRNNCell):
    """All layers read the inputs, as far as they go."""

    def __call__(self, inputs, state):
        steps = [cell(inputs, part) for cell, part in zip(self.cells, state)]
        return steps[-1][0], tuple(state for _, state in steps)


class AddedBefore(twins.BasicRNNCell):
    """A residual within the activation."""

    def __call__(self, inputs, state):
        read = affine(np.hstack([inputs, state]), self.kernel, self.bias)
        state = self.activation(read + inputs)
        return state, state


class AddedToTheState(twins.ResidualWrapper):
    """The state has the residual, too."""

    def __call__(self, inputs, state):
        output, _ = super().__call__(inputs, state)
        return output, output


class QueriedByHAndC(twins.AttentionCellWrapper):
    def load(self, parameters):
        super().load(parameters)
        kernel, bias = self.query_projection
        self.query_projection = np.vstack([kernel[-3:], kernel[:-3]]), bias
        return self


class EpsilonOutside(twins.LayerNormBasicLSTMCell):
    """What is added to the variance is added to its root."""

    def _norm(self, number, x):
        if not self.layer_norm:
            return x
        deviations = x - np.mean(x, axis=-1)[..., None]
        variance = np.mean(np.square(deviations), axis=-1)[..., None]
        scaled = deviations / (np.sqrt(variance) + self.epsilon)
        return self.gains[number] * scaled + self.shifts[number]


class StateNotNormalized(twins.LayerNormBasicLSTMCell):
    def _norm(self, number, x):
        return x if number == 4 else super()._norm(number, x)


class AddedBeforeOutput(twins.ResidualWrapper):
    """Of an LSTM whose output is ``sigmoid(o) tanh(c)``: the inputs are added to c, in the tanh."""

    def __call__(self, inputs, state):
        _, (c, h) = self.cell(inputs, state)
        read = affine(np.hstack([inputs, state[1]]), self.cell.kernel, self.cell.bias)
        o = np.split(read, 4, axis=-1)[3]
        return sigmoid(o) * self.cell.activation(c + inputs), (c, h)


class Dropping(NamedTuple):
    """What has this class in place of the wrapper that drops."""

    DropoutWrapper: Any


class DropsC(twins.DropoutWrapper):
    """Of the state of an LSTM, c is dropped, too."""

    def _dropped_state(self, state):
        mask = dropout_mask(self.state_keep_prob, self.state_noise)
        return like(state, [part / self.state_keep_prob * mask for part in twins.flat(state)])


class MasksSwapped(twins.DropoutWrapper):
    """States are dropped where outputs should be, and outputs where states should be."""

    def take_noise(self, inputs=None, state=None, outputs=None):
        return super().take_noise(inputs, outputs, state)


class NotScaled(twins.DropoutWrapper):
    """What is kept of the inputs is not divided by its probability."""

    def __call__(self, inputs, state):
        return super().__call__(inputs * self.input_keep_prob, state)


class KeepsTheOthers(twins.DropoutWrapper):
    """What is kept is dropped, as by ``noise < keep_prob`` in place of its sum with that."""

    def take_noise(self, inputs=None, state=None, outputs=None):
        noise = [x if x is None else 1 - x for x in (inputs, state, outputs)]
        return super().take_noise(*noise)


class KerasHardSigmoid(twins.keras.LSTMCell):
    """Keras' former recurrent activation, whatever it is."""

    def __init__(self, **given):
        super().__init__(**dict(given, recurrent_activation="hard_sigmoid"))


class KerasResetBefore(twins.keras.GRUCell):
    """The reset gate is for the state, as without `reset_after`."""

    def __call__(self, inputs, state):
        if not self.reset_after:
            return super().__call__(inputs, state)
        size, both = 2 * self.num_units, np.hstack([inputs, state])
        kernel = np.vstack([self.kernel, self.recurrent_kernel])
        biases = [each for bias in self.bias for each in bias]
        gates = accumulate(both, kernel[:, :size], *[bias[:size] for bias in biases])
        z, r = np.split(self.recurrent_activation(gates), 2, axis=-1)
        both = np.hstack([inputs, r * state])
        read = accumulate(both, kernel[:, size:], *[bias[size:] for bias in biases])
        state = interpolate(z, state, self.activation(read))
        return state, state


class KerasSecondBiasLost(twins.keras.GRUCell):
    """That of the recurrent kernel."""

    def load(self, parameters):
        super().load(parameters)
        if self.reset_after:
            self.bias = [bias * np.float32([[1], [0]]) for bias in self.bias]
        return self
