"""``AttentionCellWrapper`` for TensorFlow 2, on ``tf.compat.v1``.

``tf.contrib`` went with TensorFlow 1.x, and with it this cell. The class here takes the same
arguments, raises the same errors, computes the same bits (tests on TensorFlow 1.15 compare the
two) and names its variables alike, so that a checkpoint of the original loads into it. Use it as a
drop-in replacement::

    from rnndiff.models.cells.attention_tensorflow import AttentionCellWrapper
"""

from rnndiff.models.tf1 import tf1

if hasattr(tf1, "nest"):
    nest = tf1.nest
else:  # TensorFlow 1.13
    from tensorflow.contrib.framework import nest  # type: ignore[no-redef]


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
        super().__init__(_reuse=reuse)
        _check_is_rnn_cell("cell", cell)
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
        self._input_projection = None
        self._query = None
        self._output_projection = None

    @property
    def state_size(self):
        """Sizes of cell state, attention and flattened window, or their sum."""
        sizes = (self._cell.state_size, self._attn_size, self._attn_size * self._attn_length)
        return sizes if self._state_is_tuple else sum(sizes)

    @property
    def output_size(self):
        """The size of an output, `attn_size`."""
        return self._attn_size

    # The initial values that a seed of the graph gives depend on how many operations come before
    # them. So what follows makes the very operations of the original, in its order.

    def call(self, inputs, state):
        """One step: inputs [batch, ...] and the state -> output [batch, attn_size], new state."""
        cell_state, attention, window = state if self._state_is_tuple else self._split(state)
        window = tf1.reshape(window, [-1, self._attn_length, self._attn_size])

        input_size = self._input_size
        if input_size is None:
            input_size = inputs.get_shape().as_list()[1]
        if self._input_projection is None:
            self._input_projection = _Linear([inputs, attention], input_size)
        cell_input = self._input_projection([inputs, attention])
        cell_output, cell_state = self._cell(cell_input, cell_state)

        query = cell_state
        if self._state_is_tuple:
            query = tf1.concat(nest.flatten(cell_state), 1)
        with tf1.variable_scope("attention"):
            attention = self._attend(query, window)
            window = tf1.slice(window, [0, 1, 0], [-1, -1, -1])
        with tf1.variable_scope("attn_output_projection"):
            if self._output_projection is None:
                self._output_projection = _Linear([cell_output, attention], self._attn_size)
            output = self._output_projection([cell_output, attention])

        window = tf1.concat([window, tf1.expand_dims(output, 1)], 1)
        window = tf1.reshape(window, [-1, self._attn_length * self._attn_size])
        state = (cell_state, attention, window)
        return output, state if self._state_is_tuple else tf1.concat(state, 1)

    def _split(self, state):
        """Cell state, attention and flattened window of a state that is their concatenation."""
        parts, start = [], 0
        for size in (self._cell.state_size, self._attn_size, self._attn_size * self._attn_length):
            parts.append(tf1.slice(state, [0, start], [-1, size]))
            start += size
        return parts

    def _attend(self, query, window):
        """The mean of the slots of `window`, weighed by how well they answer `query`."""
        attn_w = tf1.get_variable("attn_w", [1, 1, self._attn_size, self._attn_vec_size])
        attn_v = tf1.get_variable("attn_v", [self._attn_vec_size])
        slots = tf1.reshape(window, [-1, self._attn_length, 1, self._attn_size])
        features = tf1.nn.conv2d(slots, attn_w, strides=[1, 1, 1, 1], padding="SAME")
        if self._query is None:
            self._query = _Linear([query], self._attn_vec_size)
        query = tf1.reshape(self._query([query]), [-1, 1, 1, self._attn_vec_size])
        energies = tf1.reduce_sum(attn_v * tf1.tanh(features + query), [2, 3])
        alignments = tf1.reshape(tf1.nn.softmax(energies), [-1, self._attn_length, 1, 1])
        return tf1.reshape(tf1.reduce_sum(alignments * slots, [1, 2]), [-1, self._attn_size])


class _Linear:
    """An affine map of the concatenation of its arguments, with variables made for `args`.

    The variables are named ``kernel`` and ``bias`` in the scope at hand, as those of
    ``tf.contrib.rnn``'s cells are, and like them start from the scope's initializer and from zero.
    """

    def __init__(self, args, output_size):
        depth, dtype = _depth(args), args[0].dtype
        scope = tf1.get_variable_scope()
        with tf1.variable_scope(scope):
            self._kernel = tf1.get_variable("kernel", [depth, output_size], dtype)
            with tf1.variable_scope(scope) as unpartitioned:
                unpartitioned.set_partitioner(None)
                zeros = tf1.constant_initializer(0.0, dtype=dtype)
                self._bias = tf1.get_variable("bias", [output_size], dtype, initializer=zeros)

    def __call__(self, args):
        joined = args[0] if len(args) == 1 else tf1.concat(args, tf1.constant(1))
        return tf1.nn.bias_add(tf1.matmul(joined, self._kernel), self._bias)


def _depth(args):
    """How many columns the arguments have together."""
    shapes = [arg.get_shape() for arg in args]
    for shape in shapes:
        if shape.ndims != 2:
            raise ValueError("linear is expecting 2D arguments: {}".format(shapes))
        if shape.as_list()[1] is None:
            raise ValueError(
                "linear expects shape[1] to be provided for shape {}, but saw {}".format(
                    shape, shape[1]
                )
            )
    return sum(shape.as_list()[1] for shape in shapes)


def _is_nested(state_size):
    return isinstance(state_size, (list, tuple, dict))


def _check_is_rnn_cell(name, cell):
    errors = []
    if not hasattr(cell, "output_size"):
        errors.append("'output_size' property is missing")
    if not hasattr(cell, "state_size"):
        errors.append("'state_size' property is missing")
    if not hasattr(cell, "get_initial_state") and not hasattr(cell, "zero_state"):
        errors.append("either 'zero_state' or 'get_initial_state' method is required")
    if not callable(cell):
        errors.append("is not callable")
    if errors:
        raise TypeError(
            "The argument {!r} ({}) is not an RNNCell: {}.".format(name, cell, ", ".join(errors))
        )
