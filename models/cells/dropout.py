"""A cell of whose inputs, states and outputs some are dropped."""

from rnndiff.models.cells.cell import flat, like
from rnndiff.models.cells.wrapper import Wrapper
from rnndiff.models.functions import dropout_mask


class DropoutWrapper(Wrapper):
    """What is dropped of a cell's inputs, states and outputs is 0, the rest over its probability.

    ``x / p * floor(p + noise)``, where p is the probability to be kept.

    The NumPy twin of ``tf.compat.v1.nn.rnn_cell.DropoutWrapper``, of which what is random is given:
    either everything is kept, or the same is dropped in all steps (Gal and Ghahramani, *A
    theoretically grounded application of dropout in recurrent neural networks*, arXiv 1512.05287),
    by the noise that TensorFlow draws when it makes the cell, see :meth:`take_noise`. Of the state
    of an LSTM, c is never dropped.

    Parameters
    ----------
    cell : Cell
    input_keep_prob, output_keep_prob, state_keep_prob : float
        How likely inputs, outputs and states are kept.
    variational_recurrent : bool
        Whether the same is dropped in all steps.

    Raises
    ------
    ValueError
        If anything is dropped that is not the same in all steps: no number of two programs would
        be the same.
    """

    def __init__(
        self,
        cell,
        input_keep_prob=1.0,
        output_keep_prob=1.0,
        state_keep_prob=1.0,
        variational_recurrent=False,
    ):
        super().__init__(cell)
        keeps_all = input_keep_prob == output_keep_prob == state_keep_prob == 1
        if not keeps_all and not variational_recurrent:
            raise ValueError(
                "what is dropped is random: all keep probabilities must be 1, or "
                "variational_recurrent true, and the noise given"
            )
        self.input_keep_prob, self.output_keep_prob = input_keep_prob, output_keep_prob
        self.state_keep_prob = state_keep_prob

    def take_noise(self, inputs=None, state=None, outputs=None):
        """Take the random numbers by which is dropped; return self.

        Parameters
        ----------
        inputs, outputs : arrays [batch or 1, size], from 0 up to 1
            None if all of them are kept.
        state : array, or list of an array for each part of the state
            One array is for all parts; that for c of an LSTM is never used.
        """
        self.input_noise, self.state_noise, self.output_noise = inputs, state, outputs
        return self

    def __call__(self, inputs, state):
        """One step: [batch, inputs] and the state -> output, new state, of the cell's shapes."""
        if self.input_keep_prob < 1:
            inputs = _dropped(inputs, self.input_keep_prob, self.input_noise)
        output, state = self.cell(inputs, state)
        if self.state_keep_prob < 1:
            state = self._dropped_state(state)
        if self.output_keep_prob < 1:
            output = _dropped(output, self.output_keep_prob, self.output_noise)
        return output, state

    def _dropped_state(self, state):
        parts = flat(state)
        noise = self.state_noise
        noise = noise if isinstance(noise, (list, tuple)) else [noise] * len(parts)
        names = [name for name, _ in self.state_parts]
        dropped = [
            part if name.split("_")[-1] == "c" else _dropped(part, self.state_keep_prob, of_part)
            for name, part, of_part in zip(names, parts, noise)
        ]
        return like(state, dropped)


def _dropped(values, keep_prob, noise):
    return values / keep_prob * dropout_mask(keep_prob, noise)
