"""``AttentionCellWrapper`` for TensorFlow 2, on ``tf.compat.v1``.

``tf.contrib`` went with TensorFlow 1.x, and with it this cell. The class here takes the same
arguments, raises the same errors, computes the same bits (tests on TensorFlow 1.15 compare the
two) and names its variables alike, so that a checkpoint of the original loads into it. Use it as a
drop-in replacement::

    from models.cells.attention_tensorflow import AttentionCellWrapper
"""

from models.tf1 import tf1


class AttentionCellWrapper(tf1.nn.rnn_cell.RNNCell):
    """Attention over the last `attn_length` outputs of a cell (arXiv 1601.06733).

    Parameters
    ----------
    cell : RNNCell
        The cell to which attention is added.
    attn_length : int
        How many outputs the window keeps.
    attn_size : int, optional
        The size of an output, of the attention and of a window slot; ``cell.output_size`` by
        default.
    attn_vec_size : int, optional
        The size of the features that are scored; `attn_size` by default.
    input_size : int, optional
        The size of what `cell` reads; the size of the input by default.
    state_is_tuple : bool
        Whether the state is the tuple (cell state [batch, ...], attention [batch, attn_size],
        window [batch, attn_length * attn_size]) or the concatenation of the three.
    reuse : bool, optional
        Whether to reuse variables of an existing scope.

    Raises
    ------
    TypeError
        If `cell` is not an RNNCell.
    ValueError
        If `cell` has a state of several parts and `state_is_tuple` is false, or if `attn_length`
        is zero or less.
    """

    def __init__(
        self,
        cell,
        attn_length,
        attn_size=None,
        attn_vec_size=None,
        input_size=None,
        state_is_tuple=True,
        reuse=None,
    ):
        super(AttentionCellWrapper, self).__init__(_reuse=reuse)
        _check_is_rnn_cell(cell)
        if _is_nested(cell.state_size) and not state_is_tuple:
            raise ValueError(
                "Cell returns tuple of states, but the flag state_is_tuple is not set. "
                "State size is: {}".format(cell.state_size)
            )
        if attn_length <= 0:
            raise ValueError("attn_length should be greater than zero, got {}".format(attn_length))
        self._cell = cell
        self._attn_length = attn_length
        self._attn_size = cell.output_size if attn_size is None else attn_size
        self._attn_vec_size = self._attn_size if attn_vec_size is None else attn_vec_size
        self._input_size = input_size
        self._state_is_tuple = state_is_tuple
        self._input_projection = _Linear()
        self._query = _Linear()
        self._output_projection = _Linear()

    @property
    def state_size(self):
        """Sizes of cell state, attention and flattened window, or their sum."""
        sizes = (self._cell.state_size, self._attn_size, self._attn_size * self._attn_length)
        return sizes if self._state_is_tuple else sum(sizes)

    @property
    def output_size(self):
        """The size of an output, `attn_size`."""
        return self._attn_size

    def call(self, inputs, state):
        """One step: inputs [batch, ...] and the state -> output [batch, attn_size], new state."""
        if not self._state_is_tuple:
            sizes = [self._cell.state_size, self._attn_size, self._attn_size * self._attn_length]
            state = tf1.split(state, sizes, axis=1)
        cell_state, attention, window = state
        window = tf1.reshape(window, [-1, self._attn_length, self._attn_size])

        input_size = self._input_size
        if input_size is None:
            input_size = inputs.get_shape().as_list()[1]
        cell_input = self._input_projection([inputs, attention], input_size)
        cell_output, cell_state = self._cell(cell_input, cell_state)

        query = tf1.concat(tf1.nest.flatten(cell_state), 1)
        with tf1.variable_scope("attention"):
            attention = self._attend(query, window)
        with tf1.variable_scope("attn_output_projection"):
            output = self._output_projection([cell_output, attention], self._attn_size)

        window = tf1.concat([window[:, 1:], tf1.expand_dims(output, 1)], 1)
        window = tf1.reshape(window, [-1, self._attn_length * self._attn_size])
        state = (cell_state, attention, window)
        return output, state if self._state_is_tuple else tf1.concat(state, 1)

    def _attend(self, query, window):
        """Weigh the slots of `window` by a softmax over their scores against `query`."""
        attn_w = tf1.get_variable("attn_w", [1, 1, self._attn_size, self._attn_vec_size])
        attn_v = tf1.get_variable("attn_v", [self._attn_vec_size])
        slots = tf1.reshape(window, [-1, self._attn_length, 1, self._attn_size])
        query = self._query([query], self._attn_vec_size)
        query = tf1.reshape(query, [-1, 1, 1, self._attn_vec_size])
        features = tf1.nn.conv2d(slots, attn_w, strides=[1, 1, 1, 1], padding="SAME")
        scores = tf1.reduce_sum(attn_v * tf1.tanh(features + query), [2, 3])
        weights = tf1.reshape(tf1.nn.softmax(scores), [-1, self._attn_length, 1, 1])
        return tf1.reshape(tf1.reduce_sum(weights * slots, [1, 2]), [-1, self._attn_size])


class _Linear:
    """An affine map of the concatenation of its arguments; creates its variables when first used.

    The variables are named ``kernel`` and ``bias`` in the scope of that first use, as those of
    ``tf.contrib.rnn``'s cells are, and like them start from the scope's initializer and from zero.
    """

    def __init__(self):
        self._kernel = None
        self._bias = None

    def __call__(self, args, output_size):
        if self._kernel is None:
            depth = sum(arg.get_shape().as_list()[1] for arg in args)
            zeros = tf1.constant_initializer(0.0, dtype=args[0].dtype)
            scope = tf1.get_variable_scope()
            with tf1.variable_scope(scope):
                self._kernel = tf1.get_variable("kernel", [depth, output_size], args[0].dtype)
                with tf1.variable_scope(scope) as unpartitioned:
                    unpartitioned.set_partitioner(None)
                    self._bias = tf1.get_variable(
                        "bias", [output_size], args[0].dtype, initializer=zeros
                    )
        joined = args[0] if len(args) == 1 else tf1.concat(args, 1)
        return tf1.nn.bias_add(tf1.matmul(joined, self._kernel), self._bias)


def _is_nested(state_size):
    return isinstance(state_size, (list, tuple, dict))


def _check_is_rnn_cell(cell):
    missing = [name for name in ("output_size", "state_size", "zero_state") if not hasattr(cell, name)]
    if missing or not callable(cell):
        raise TypeError(
            "The argument 'cell' ({}) is not an RNNCell: {}".format(
                cell, "it has no " + missing[0] if missing else "it cannot be called"
            )
        )
