"""The functions of ``tf.contrib.rnn`` that stack layers; TensorFlow 2 has none."""

from rnndiff.models.tf1 import tf1


def stack_bidirectional_rnn(
    cells_fw,
    cells_bw,
    inputs,
    initial_states_fw=None,
    initial_states_bw=None,
    dtype=None,
    sequence_length=None,
):
    """A port of ``tf.contrib.rnn.stack_bidirectional_rnn``, which names variables as that does.

    Parameters
    ----------
    cells_fw, cells_bw : lists of cells
        One for each layer.
    inputs : list of arrays [batch, inputs]
        One for each step.
    initial_states_fw, initial_states_bw : lists of states, optional
        One for each layer; by default zeros, of `dtype`.
    dtype : type
    sequence_length : array [batch] of whole numbers, optional

    Returns
    -------
    outputs, states_fw, states_bw : list of arrays, two tuples of states
        Of each step the outputs of the last layer, the forward ones first; of each layer the final
        states.
    """
    layers = _cells_and_states(cells_fw, cells_bw, initial_states_fw, initial_states_bw)
    states = []
    with tf1.variable_scope("stack_bidirectional_rnn"):
        for number, (cell_fw, cell_bw, *initial_states) in enumerate(layers):
            with tf1.variable_scope("cell_{}".format(number)) as scope:
                inputs, *final = tf1.nn.static_bidirectional_rnn(
                    cell_fw,
                    cell_bw,
                    inputs,
                    *initial_states,
                    dtype=dtype,
                    sequence_length=sequence_length,
                    scope=scope,
                )
            states.append(final)
    return (inputs, *zip(*states))


def stack_bidirectional_dynamic_rnn(
    cells_fw,
    cells_bw,
    inputs,
    initial_states_fw=None,
    initial_states_bw=None,
    dtype=None,
    sequence_length=None,
    time_major=False,
):
    """A port of ``tf.contrib.rnn.stack_bidirectional_dynamic_rnn``.

    Parameters and results as of :func:`stack_bidirectional_rnn`, but that inputs and outputs are
    arrays [batch, time, ...], or [time, batch, ...] if `time_major`.
    """
    layers = _cells_and_states(cells_fw, cells_bw, initial_states_fw, initial_states_bw)
    states = []
    with tf1.variable_scope("stack_bidirectional_rnn"):
        for number, (cell_fw, cell_bw, *initial_states) in enumerate(layers):
            with tf1.variable_scope("cell_{}".format(number)):
                outputs, final = tf1.nn.bidirectional_dynamic_rnn(
                    cell_fw,
                    cell_bw,
                    inputs,
                    sequence_length,
                    *initial_states,
                    dtype=dtype,
                    time_major=time_major,
                )
                inputs = tf1.concat(outputs, 2)
            states.append(final)
    return (inputs, *zip(*states))


def _cells_and_states(cells_fw, cells_bw, initial_states_fw, initial_states_bw):
    """Of each layer both cells, and the initial state of each, or None."""
    none = [None] * len(cells_fw)
    return zip(cells_fw, cells_bw, initial_states_fw or none, initial_states_bw or none)
