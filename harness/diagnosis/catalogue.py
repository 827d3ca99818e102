"""The catalogue: what people get wrong in recurrent networks, each mistake a row of a table.

In the notation of the oracles an LSTM's gates are i, f, o and the candidate g, which TensorFlow
calls j; a GRU's are r (reset) and u (update, elsewhere z). Some are planted in TensorFlow's graphs,
too, by :mod:`rnndiff.harness.quality.mistakes`.
"""

from itertools import permutations
from typing import Iterator, List, Sequence, Tuple

from rnndiff.harness.diagnosis.planting import Edit, Mistake
from rnndiff.models import Model

_BASIC, _BASIC_LSTM, _LSTM, _GRU = "cells.basic", "cells.basic_lstm", "cells.lstm", "cells.gru"
# The same with weights as other engines lay them out.
_BASIC_LAID_OUT, _LSTM_LAID_OUT, _GRU_LAID_OUT = (
    "cells.layouts:LaidOut{}Cell".format(name) for name in ("RNN", "LSTM", "GRU")
)
_RNN, _BIRNN, _BIDIRECTIONAL = "rnn.oracle", "birnn.oracle", "bidirectional.oracle"
_SEQ2SEQ, _ATTENTION, _WINDOW = "seq2seq.oracle", "attention.oracle", "cells.attention"
_DECODERS = (_SEQ2SEQ, _ATTENTION)

Piece = Tuple[str, str]


def _in(places: Sequence[str], *pieces: Piece) -> Tuple[Edit, ...]:
    """These pieces of each of the places."""
    return tuple(Edit(place, *piece) for place in places for piece in pieces)


def _lstm(
    basic: Sequence[Piece] = (), full: Sequence[Piece] = (), laid_out: Sequence[Piece] = ()
) -> Tuple[Edit, ...]:
    """Pieces of a BasicLSTMCell, of an LSTMCell, and of one in another layout."""
    return _in([_BASIC_LSTM], *basic) + _in([_LSTM], *full) + _in([_LSTM_LAID_OUT], *laid_out)


# --- weights and what is read -------------------------------------------------------------------

_OF_INPUT_AND_H = "np.hstack([inputs, h])"
_OF_INPUT_AND_STATE = "np.hstack([inputs, state])"
_OF_GATES = "affine(np.hstack([inputs, state]), *self.gates)"
_OF_RESET = "affine(np.hstack([inputs, r * state]), *self.candidate)"
_SUMS = "accumulate(np.hstack([inputs, state]), kernel, *self.bias)"

_WEIGHTS = (
    Mistake(
        "kernel-rows-swapped",
        "the kernel is multiplied by [h; x], not by [x; h]",
        "the kernel's first rows are those of the input, its last rows those of the state",
        _in([_BASIC], (_OF_INPUT_AND_STATE, "np.hstack([state, inputs])"))
        + _in([_BASIC_LSTM, _LSTM], (_OF_INPUT_AND_H, "np.hstack([h, inputs])"))
        + _in(
            [_GRU],
            (_OF_INPUT_AND_STATE, "np.hstack([state, inputs])"),
            ("np.hstack([inputs, r * state])", "np.hstack([r * state, inputs])"),
        ),
    ),
    Mistake(
        "bias-left-out",
        "the cell's bias is left out",
        "see that it is loaded, and added in every step",
        _in(
            [_BASIC],
            (
                "affine(np.hstack([inputs, state]), self.kernel, self.bias)",
                "np.matmul(np.hstack([inputs, state]), self.kernel)",
            ),
        )
        + _in(
            [_BASIC_LSTM, _LSTM],
            (
                "affine(np.hstack([inputs, h]), self.kernel, self.bias)",
                "np.matmul(np.hstack([inputs, h]), self.kernel)",
            ),
        )
        + _in(
            [_GRU],
            (_OF_GATES, "np.matmul(np.hstack([inputs, state]), self.gates[0])"),
            (_OF_RESET, "np.matmul(np.hstack([inputs, r * state]), self.candidate[0])"),
        )
        + _in([_BASIC_LAID_OUT, _LSTM_LAID_OUT], (_SUMS, _SUMS.replace(", *self.bias", "")))
        + _in(
            [_GRU_LAID_OUT],
            ("*[bias[:size] for bias in self.bias]", ""),
            ("*bias[1:]", ""),
            ("bias[0], of", "of"),
            ("kernel[:, size:], *bias)", "kernel[:, size:])"),
        ),
    ),
    Mistake(
        "bias-twice",
        "the cell's bias is added twice",
        "an engine with a bias for the input and one for the state has it in one of them",
        _in(
            [_BASIC],
            (
                "affine(np.hstack([inputs, state]), self.kernel, self.bias)",
                "mistakes.accumulate("
                "np.hstack([inputs, state]), self.kernel, self.bias, self.bias)",
            ),
        )
        + _in(
            [_BASIC_LSTM, _LSTM],
            (
                "affine(np.hstack([inputs, h]), self.kernel, self.bias)",
                "mistakes.accumulate(np.hstack([inputs, h]), self.kernel, self.bias, self.bias)",
            ),
        )
        + _in(
            [_BASIC_LAID_OUT, _LSTM_LAID_OUT],
            (_SUMS, _SUMS.replace("*self.bias", "*self.bias, *self.bias")),
        ),
    ),
    Mistake(
        "bias-after-tanh",
        "the cell's bias is added to the tanh, not within it",
        "h' = tanh([x; h] W + b)",
        _in(
            [_BASIC],
            (
                "self.activation(affine(np.hstack([inputs, state]), self.kernel, self.bias))",
                "self.activation(np.matmul(np.hstack([inputs, state]), self.kernel)) + self.bias",
            ),
        ),
    ),
    Mistake(
        "input-bias-left-out",
        "the input's bias is left out",
        "there are two, bias_ih and bias_hh (Wb and Rb), and both are added",
        _in([_BASIC_LAID_OUT, _LSTM_LAID_OUT], (_SUMS, _SUMS.replace("bias", "bias[1:]")))
        + _in(
            [_GRU_LAID_OUT],
            ("*[bias[:size] for bias in self.bias]", "*[bias[:size] for bias in self.bias[1:]]"),
            ("bias[0], of", "of"),
            ("kernel[:, size:], *bias)", "kernel[:, size:], *bias[1:])"),
        ),
    ),
    Mistake(
        "state-bias-left-out",
        "the state's bias is left out",
        "there are two, bias_ih and bias_hh (Wb and Rb), and both are added",
        _in([_BASIC_LAID_OUT, _LSTM_LAID_OUT], (_SUMS, _SUMS.replace("bias", "bias[:1]")))
        + _in(
            [_GRU_LAID_OUT],
            ("*[bias[:size] for bias in self.bias]", "*[bias[:size] for bias in self.bias[:1]]"),
            ("*bias[1:]", ""),
            ("kernel[:, size:], *bias)", "kernel[:, size:], *bias[:1])"),
        ),
    ),
    Mistake(
        "state-kernel-transposed",
        "the state's kernel is transposed",
        "it is square, so that no shape says which way round it lies: h W in TensorFlow and Keras, "
        "W h in PyTorch and ONNX",
        _in(
            [_BASIC],
            (
                "self.kernel, self.bias = parameters",
                "self.kernel, self.bias = parameters\n"
                "        self.kernel = mistakes.state_transposed(self.kernel, self.num_units, 1)",
            ),
        )
        + _in(
            [_BASIC_LSTM],
            (
                "self.kernel, self.bias = parameters",
                "self.kernel, self.bias = parameters\n"
                "        self.kernel = mistakes.state_transposed(self.kernel, self.num_units, 4)",
            ),
        )
        + _in(
            [_LSTM],
            (
                "(self.kernel, self.bias), more = parameters[:2], parameters[2:]",
                "(self.kernel, self.bias), more = parameters[:2], parameters[2:]\n"
                "        self.kernel = mistakes.state_transposed(self.kernel, self.output_size, 4)",
            ),
        )
        + _in(
            [_GRU],
            (
                "self.gates, self.candidate = parameters[0:2], parameters[2:4]",
                "self.gates, self.candidate = "
                "mistakes.gru_state_transposed(parameters, self.num_units)",
            ),
        )
        + _in(
            [_BASIC_LAID_OUT, _LSTM_LAID_OUT, _GRU_LAID_OUT],
            (
                "= kernel, recurrent_kernel, biases",
                "= kernel, mistakes.state_transposed(recurrent_kernel, self.num_units, "
                "len(self.gates)), biases",
            ),
        ),
    ),
    Mistake(
        "kernel-by-columns",
        "the numbers of the kernel are read by columns, not by rows",
        "an array of NumPy's lies in memory row by row; Fortran, MATLAB and Eigen read columns",
        _in(
            [_BASIC, _BASIC_LSTM],
            (
                "self.kernel, self.bias = parameters",
                "self.kernel, self.bias = mistakes.column_major(parameters[0]), parameters[1]",
            ),
        )
        + _in(
            [_LSTM],
            (
                "(self.kernel, self.bias), more = parameters[:2], parameters[2:]",
                "self.kernel, self.bias, more = "
                "mistakes.column_major(parameters[0]), parameters[1], parameters[2:]",
            ),
        )
        + _in(
            [_GRU],
            (
                "self.gates, self.candidate = parameters[0:2], parameters[2:4]",
                "self.gates, self.candidate = (\n"
                "            [mistakes.column_major(parameters[k]), parameters[k + 1]] "
                "for k in (0, 2)\n        )",
            ),
        )
        + _in(
            [_BASIC_LAID_OUT, _LSTM_LAID_OUT, _GRU_LAID_OUT],
            (
                "= np.transpose(kernel), np.transpose(recurrent_kernel)",
                "= mistakes.row_major(np.transpose(kernel)), "
                "mistakes.row_major(np.transpose(recurrent_kernel))",
            ),
        ),
    ),
    Mistake(
        "state-kernel-by-columns",
        "the state's kernel is read as [units, gates * units], not the other way round",
        "PyTorch and ONNX have [gates * units, units], which lies in memory gate by gate",
        _in(
            [_BASIC_LAID_OUT, _LSTM_LAID_OUT, _GRU_LAID_OUT],
            (
                "= np.transpose(kernel), np.transpose(recurrent_kernel)",
                "= np.transpose(kernel), mistakes.row_major(np.transpose(recurrent_kernel))",
            ),
        ),
    ),
    Mistake(
        "state-written-while-read",
        "each unit of the new state is written where the units after it still read the old one",
        "the new state needs an array of its own until all of its units are computed",
        _in(
            [_RNN],
            ("cell(inputs[:, t], state)", "mistakes.unit_by_unit(cell, inputs[:, t], state)"),
        )
        + _in(
            [_BIDIRECTIONAL],
            *(
                (
                    "{0}(inputs[:, t], {0}_state)".format(side),
                    "mistakes.unit_by_unit({0}, inputs[:, t], {0}_state)".format(side),
                )
                for side in ("forward", "backward")
            ),
        ),
    ),
    Mistake(
        "candidate-of-written-units",
        "a GRU's candidate reads the units of the new state that are written already",
        "the new state needs an array of its own until all of its units are computed",
        _in(
            [_GRU],
            (
                "state = interpolate(u, state, candidate)",
                "state = mistakes.written_while_read(u, state, lambda state: self.activation(\n"
                "            affine(np.hstack([inputs, r * state]), *self.candidate)))",
            ),
        )
        + _in(
            [_GRU_LAID_OUT],
            (
                'state = interpolate(of["z"], state, np.tanh(read))',
                'state = mistakes.written_while_read(of["z"], state, lambda state: np.tanh(\n'
                "            accumulate(\n"
                '                inputs, self.kernel[:, size:], bias[0], of["r"] * accumulate(\n'
                "                    state, self.recurrent_kernel[:, size:], *bias[1:]))\n"
                "            if self.reset_after else accumulate(\n"
                '                np.hstack([inputs, of["r"] * state]), kernel[:, size:], *bias)))',
            ),
        ),
    ),
    Mistake(
        "state-lost",
        "every step starts from the zero state",
        "see that the state of a step is that of the step before it",
        _in(
            [_RNN],
            (
                "cell(inputs[:, t], state)",
                "cell(inputs[:, t], cell.zero_state(inputs.shape[0], inputs.dtype))",
            ),
        )
        + _in(
            [_BIDIRECTIONAL],
            (
                "forward(inputs[:, t], forward_state)",
                "forward(inputs[:, t], forward.zero_state(config.batch, inputs.dtype))",
            ),
            (
                "backward(inputs[:, t], backward_state)",
                "backward(inputs[:, t], backward.zero_state(config.batch, inputs.dtype))",
            ),
        ),
    ),
    Mistake(
        "inputs-of-other-rows",
        "the inputs are read as [time, batch, inputs]",
        "they are [batch, time, inputs], as with PyTorch's batch_first and Keras",
        _in([_RNN], ("inputs[:, t]", "mistakes.time_major(inputs)[:, t]"))
        + _in([_BIDIRECTIONAL], ("inputs[:, t]", "mistakes.time_major(inputs)[:, t]"))
        + _in(_DECODERS, ("inputs[:, t]", "mistakes.time_major(inputs)[:, t]")),
    ),
)

# --- functions ----------------------------------------------------------------------------------


def _for_sigmoid(function: str) -> Tuple[Edit, ...]:
    """Another function in place of that of all gates."""
    cells = [_BASIC_LSTM, _LSTM, _GRU, _LSTM_LAID_OUT]
    return _in(cells, (" sigmoid(", " {}(".format(function))) + _in(
        [_GRU_LAID_OUT], ("(sigmoid(of_gates)", "({}(of_gates)".format(function))
    )


def _for_tanh(function: str) -> Tuple[Edit, ...]:
    """Another function in place of the only tanh of a basic cell or a GRU."""
    return (
        _in([_BASIC, _GRU], ("self.activation(affine", function + "(affine"))
        + _in([_BASIC_LAID_OUT], ("self.activation(self.sums", function + "(self.sums"))
        + _in([_GRU_LAID_OUT], ("np.tanh(read)", function + "(read)"))
    )


def _for_tanh_of_candidate(function: str) -> Tuple[Edit, ...]:
    pieces = [("self.activation(j)", function + "(j)")]
    return _lstm(pieces, pieces, [('np.tanh(of["g"])', function + '(of["g"])')])


def _for_tanh_of_c(function: str) -> Tuple[Edit, ...]:
    pieces = [("self.activation(c)", function + "(c)")]
    return _lstm(pieces, pieces, [("np.tanh(c)", function + "(c)")])


_FUNCTIONS = (
    Mistake(
        "no-tanh",
        "there is no tanh",
        "what the cell computes goes through an activation, once",
        _for_tanh(""),
    ),
    Mistake(
        "relu-for-tanh",
        "there is a relu in place of tanh",
        "the activation: PyTorch calls it nonlinearity",
        _for_tanh("mistakes.relu"),
    ),
    Mistake(
        "sigmoid-for-tanh",
        "there is a sigmoid in place of tanh",
        "the activation of the state, or of a GRU's candidate, is tanh",
        _for_tanh("mistakes.sigmoid"),
    ),
    Mistake(
        "activation-not-looked-at",
        "the activation is tanh, whatever it should be",
        "the option activation of the case's config",
        _in([_BASIC, _BASIC_LSTM, _LSTM, _GRU], ("self.activation(", "np.tanh(")),
    ),
    Mistake(
        "hard-sigmoid",
        "the gates are min(max(0.2 x + 0.5, 0), 1), not the logistic sigmoid",
        "Keras had this hard_sigmoid for its recurrent_activation before 2.3",
        _for_sigmoid("mistakes.hard_sigmoid"),
    ),
    Mistake(
        "hard-sigmoid-by-six",
        "the gates are min(max(x / 6 + 0.5, 0), 1), not the logistic sigmoid",
        "PyTorch's Hardsigmoid and Keras 3's hard_sigmoid",
        _for_sigmoid("mistakes.hard_sigmoid_by_six"),
    ),
    Mistake(
        "tanh-for-sigmoid",
        "the gates are a tanh, not a sigmoid",
        "the gates are between 0 and 1: recurrent_activation in Keras",
        _for_sigmoid("np.tanh"),
    ),
    Mistake(
        "candidate-without-tanh",
        "the candidate g does not go through tanh",
        "g = tanh(x W + h R + b) is added to c",
        _for_tanh_of_candidate(""),
    ),
    Mistake(
        "candidate-by-sigmoid",
        "the candidate g goes through a sigmoid, as the gates do, not through tanh",
        "of the four parts three are gates; the candidate has a tanh",
        _for_tanh_of_candidate("mistakes.sigmoid"),
    ),
    Mistake(
        "output-without-tanh",
        "h is o c, not o tanh(c)",
        "c goes through tanh before the output gate",
        _for_tanh_of_c(""),
    ),
    Mistake(
        "output-by-sigmoid",
        "h is o sigmoid(c), not o tanh(c)",
        "c goes through tanh before the output gate",
        _for_tanh_of_c("mistakes.sigmoid"),
    ),
)

# --- LSTMs --------------------------------------------------------------------------------------

_ENGINES = {
    "ifgo": "PyTorch's order, and Keras's",
    "iofg": "ONNX's order",
    "igfo": "TensorFlow's order",
    "ifog": "the order of many textbooks",
}


def _orders() -> Iterator[Mistake]:
    """The gates of an LSTM in any order, those first that somebody has."""
    others = ("".join(order) for order in permutations("ifgo"))
    for order in dict.fromkeys([*_ENGINES, *others]):
        split = ", ".join(order.replace("g", "j"))
        pieces = [("i, j, f, o = np.split", split + " = np.split")]
        laid_out = [("zip(self.gates, np.split(sums", 'zip("{}", np.split(sums'.format(order))]
        whose = " ({})".format(_ENGINES[order]) if order in _ENGINES else ""
        yield Mistake(
            "gates-{}".format(order),
            "the gates are read as {}{}".format(", ".join(order), whose),
            "the order of the gates in kernels and biases, g being the candidate: i, g, f, o in "
            "TensorFlow, i, f, g, o in PyTorch and Keras, i, o, f, g in ONNX",
            _lstm(pieces, pieces, laid_out),
        )


_FORGET = "f + self.forget_bias"
_LSTMS = (
    *_orders(),
    Mistake(
        "forget-bias-left-out",
        "forget_bias is not added to the forget gate",
        "TensorFlow's cells add it, 1 by default, to what stands in the bias",
        _lstm([(_FORGET, "f")], [("f = " + _FORGET, "f = f")]),
    ),
    Mistake(
        "forget-bias-is-1",
        "forget_bias is 1, whatever it should be",
        "the option forget_bias of the case's config",
        _lstm([(_FORGET, "f + 1.0")], [(_FORGET, "f + 1.0")]),
    ),
    Mistake(
        "forget-bias-twice",
        "forget_bias is added to the forget gate twice",
        "it is added in the step, so that it must not stand in the weights, too",
        _lstm(
            [(_FORGET, _FORGET + " + self.forget_bias")],
            [(_FORGET, _FORGET + " + self.forget_bias")],
        ),
    ),
    Mistake(
        "forget-bias-of-1-added",
        "1 is added to the forget gate",
        "TensorFlow's cells have a forget_bias of 1 beside their bias; no other engine does",
        _lstm(laid_out=[('sigmoid(of["f"])', 'sigmoid(of["f"] + 1.0)')]),
    ),
    Mistake(
        "forget-bias-at-input-gate",
        "forget_bias is added to the input gate",
        "the order of the gates where it is added",
        _lstm(
            [(_FORGET, "f"), ("sigmoid(i)", "sigmoid(i + self.forget_bias)")],
            [("f = " + _FORGET, "i = i + self.forget_bias")],
        ),
    ),
    Mistake(
        "forget-bias-at-output-gate",
        "forget_bias is added to the output gate",
        "the order of the gates where it is added",
        _lstm(
            [(_FORGET, "f"), ("sigmoid(o)", "sigmoid(o + self.forget_bias)")],
            [("f = " + _FORGET, "o = o + self.forget_bias")],
        ),
    ),
    Mistake(
        "forget-bias-at-candidate",
        "forget_bias is added to the candidate",
        "the order of the gates where it is added",
        _lstm(
            [(_FORGET, "f"), ("activation(j)", "activation(j + self.forget_bias)")],
            [("f = " + _FORGET, "j = j + self.forget_bias")],
        ),
    ),
    Mistake(
        "forget-gate-left-out",
        "the forget gate is left out: c' = c + i g",
        "that is the LSTM of 1997; all libraries have the forget gate of 2000",
        _lstm(
            [("c * sigmoid(f + self.forget_bias)", "c")],
            [("sigmoid(f) * c", "c")],
            [('sigmoid(of["f"]) * c', "c")],
        ),
    ),
    Mistake(
        "input-gate-left-out",
        "the input gate is left out: c' = f c + g",
        "c' = f c + i g",
        _lstm([("sigmoid(i) * ", "")], [("sigmoid(i) * ", "")], [('sigmoid(of["i"]) * ', "")]),
    ),
    Mistake(
        "output-gate-left-out",
        "the output gate is left out: h = tanh(c)",
        "h = o tanh(c)",
        _lstm([(" * sigmoid(o)", "")], [("sigmoid(o) * ", "")], [('sigmoid(of["o"]) * ', "")]),
    ),
    Mistake(
        "input-gate-coupled",
        "the input gate is 1 - f",
        "input and forget gate are coupled in some variants alone (input_forget of ONNX)",
        _lstm(
            [("sigmoid(i)", "(1 - sigmoid(f + self.forget_bias))")],
            [("sigmoid(i)", "(1 - sigmoid(f))")],
            [('sigmoid(of["i"])', '(1 - sigmoid(of["f"]))')],
        ),
    ),
    Mistake(
        "output-of-old-c",
        "h is computed from the c before the step",
        "h = o tanh(c') of the new c'",
        _lstm(
            [
                ("c = c * sigmoid(f", "old, c = c, c * sigmoid(f"),
                ("activation(c)", "activation(old)"),
            ],
            [
                ("c = sigmoid(f) *", "old, c = c, sigmoid(f) *"),
                ("activation(c)", "activation(old)"),
            ],
            [
                ('c = sigmoid(of["f"])', 'old, c = c, sigmoid(of["f"])'),
                ("np.tanh(c)", "np.tanh(old)"),
            ],
        ),
    ),
    Mistake(
        "output-is-c",
        "the output is c, not h",
        "the state is (c, h) in TensorFlow, (h, c) in PyTorch, ONNX and Keras",
        _lstm(*[[("return h, (c, h)", "return c, (c, h)")]] * 3),
    ),
    Mistake(
        "clipped-after",
        "c is clipped after h is computed from it",
        "h and the output peephole have the clipped c",
        _lstm(
            full=[
                ("c = sigmoid(f) * c", "c = whole = sigmoid(f) * c"),
                ("self.activation(c)", "self.activation(whole)"),
            ]
        ),
    ),
    Mistake(
        "not-clipped",
        "c is not clipped",
        "the option cell_clip",
        _lstm(full=[("if self.cell_clip is not None", "if False")]),
    ),
    Mistake(
        "projection-not-clipped",
        "the projection is not clipped",
        "the option proj_clip",
        _lstm(full=[("if self.proj_clip is not None", "if False")]),
    ),
    Mistake(
        "projection-left-out",
        "h is not projected",
        "the option num_proj, and the parameter projection/kernel",
        _lstm(full=[("h = np.matmul(h, self.projection)", "h = h")]),
    ),
    Mistake(
        "projection-transposed",
        "the projection's kernel is transposed",
        "it is [num_units, num_proj], for h W; in PyTorch weight_hr is [proj_size, hidden_size]",
        _lstm(full=[("(h, self.projection)", "(h, np.transpose(self.projection))")]),
    ),
    Mistake(
        "no-peepholes",
        "the peepholes are left out",
        "the option use_peepholes, and the parameters w_f_diag, w_i_diag and w_o_diag",
        _lstm(
            full=[
                (" + self.w_f_diag * c", ""),
                (" + self.w_i_diag * c", ""),
                (" + self.w_o_diag * c", ""),
            ]
        ),
    ),
    Mistake(
        "peepholes-of-i-and-f-swapped",
        "the peephole of the input gate is taken for that of the forget gate, and that for it",
        "they are in the order f, i, o, which is not that of the gates",
        _lstm(full=[("self.w_f_diag, self.w_i_diag, self", "self.w_i_diag, self.w_f_diag, self")]),
    ),
    Mistake(
        "peephole-of-o-sees-old-c",
        "the peephole of the output gate sees the c before the step",
        "f and i see the old c, o sees the new one",
        _lstm(
            full=[
                ("c = sigmoid(f) * c", "old, c = c, sigmoid(f) * c"),
                ("self.w_o_diag * c", "self.w_o_diag * old"),
            ]
        ),
    ),
)

# --- GRUs ---------------------------------------------------------------------------------------

_GRUS = (
    Mistake(
        "gates-swapped",
        "the reset gate is taken for the update gate, and that for it",
        "the order of the gates in kernels and biases: r, u in TensorFlow and PyTorch, u, r (z, r) "
        "in ONNX and Keras",
        _in([_GRU], ("r, u = np.split", "u, r = np.split"))
        + _in(
            [_GRU_LAID_OUT], ("zip(self.gates, np.split(sig", "zip(self.gates[1::-1], np.split(sig")
        ),
    ),
    Mistake(
        "reset-after",
        "the reset gate is for the product of state and kernel, not for the state",
        "r (h W) in PyTorch, cuDNN and Keras; (r h) W in the paper and TensorFlow's GRUCell: "
        "reset_after in Keras, linear_before_reset in ONNX",
        _in([_GRU], (_OF_RESET, "mistakes.reset_after(inputs, state, r, *self.candidate)")),
    ),
    Mistake(
        "reset-the-other-way",
        "the reset gate is for the state where it should be for its product, or the converse",
        "r (h W) in PyTorch, cuDNN and Keras; (r h) W in the paper and in ONNX by default: "
        "reset_after in Keras, linear_before_reset in ONNX",
        _in([_GRU_LAID_OUT], ("if self.reset_after:", "if not self.reset_after:")),
    ),
    Mistake(
        "reset-after-whatever",
        "the reset gate is for the product of state and kernel, whatever it should be",
        "the option reset_after of the case's config",
        _in([_GRU_LAID_OUT], ("if self.reset_after:", "if True:")),
    ),
    Mistake(
        "reset-before-whatever",
        "the reset gate is for the state, whatever it should be",
        "the option reset_after of the case's config",
        _in([_GRU_LAID_OUT], ("if self.reset_after:", "if False:")),
    ),
    Mistake(
        "state-bias-not-reset",
        "the state's bias of the candidate is added outside of the reset gate's product",
        "n = tanh(x W + b' + r (h R + b''))",
        _in(
            [_GRU_LAID_OUT],
            ("size:], *bias[1:])", "size:])"),
            ("bias[0], of", "*bias, of"),
        ),
    ),
    Mistake(
        "update-inverted",
        "the update gate says how much is new, not how much stays",
        "h' = u h + (1 - u) n; Chung et al. (2014) have it the other way round",
        _in([_GRU], ("(u, state, candidate)", "(u, candidate, state)"))
        + _in([_GRU_LAID_OUT], ("state, np.tanh(read)", "np.tanh(read), state")),
    ),
    Mistake(
        "update-without-complement",
        "the candidate is added whole: h' = u h + n",
        "h' = u h + (1 - u) n",
        _in([_GRU], ("interpolate(u, state, candidate)", "u * state + candidate"))
        + _in(
            [_GRU_LAID_OUT],
            ('interpolate(of["z"], state, np.tanh(read))', 'of["z"] * state + np.tanh(read)'),
        ),
    ),
    Mistake(
        "reset-left-out",
        "the reset gate is left out",
        "the candidate sees r h",
        _in([_GRU], ("r * state", "state")) + _in([_GRU_LAID_OUT], ('of["r"] * ', "")),
    ),
    Mistake(
        "reset-by-update",
        "the update gate takes the place of the reset gate, too",
        "the candidate sees r h",
        _in([_GRU], ("r * state", "u * state"))
        + _in([_GRU_LAID_OUT], ('of["r"] * ', 'of["z"] * ')),
    ),
    Mistake(
        "candidate-from-new-order",
        "the candidate's kernel is multiplied by [r h; x], not by [x; r h]",
        "both kernels have the rows of the input first",
        _in([_GRU], ("np.hstack([inputs, r * state])", "np.hstack([r * state, inputs])")),
    ),
    Mistake(
        "candidate-without-bias",
        "the candidate's bias is left out",
        "the gates have a bias, and the candidate another one",
        _in(
            [_GRU],
            (_OF_RESET, "np.matmul(np.hstack([inputs, r * state]), self.candidate[0])"),
        ),
    ),
    Mistake(
        "gates-without-bias",
        "the gates' bias is left out",
        "the gates have a bias, and the candidate another one",
        _in(
            [_GRU],
            (_OF_GATES, "np.matmul(np.hstack([inputs, state]), self.gates[0])"),
        ),
    ),
)

# --- lengths, initial states and directions -----------------------------------------------------

_IS_IN = "(t < sequence_length)"
_FROZEN = "state = like(state, [np.where(is_in, *parts) for parts in both])"
_RUNS = (
    Mistake(
        "lengths-not-looked-at",
        "every row is taken to be as long as the longest",
        "the data sequence_length",
        _in([_RNN], ("if sequence_length is None:", "if True:")),
    ),
    Mistake(
        "one-step-too-many",
        "rows are taken to be one step longer than they are",
        "a row of length n has the steps 0 to n - 1",
        _in([_RNN], (_IS_IN, "(t <= sequence_length)")),
    ),
    Mistake(
        "one-step-too-few",
        "rows are taken to be one step shorter than they are",
        "a row of length n has the steps 0 to n - 1",
        _in([_RNN], (_IS_IN, "(t + 1 < sequence_length)")),
    ),
    Mistake(
        "outputs-past-the-end",
        "outputs past the end of a row are computed on, not zero",
        "past its end a row's outputs are zero",
        _in([_RNN], ("outputs[t] = np.where(is_in, outputs[t], 0.0)", "pass")),
    ),
    Mistake(
        "outputs-past-the-end-repeated",
        "outputs past the end of a row are the last one, not zero",
        "past its end a row's outputs are zero; Keras repeats the last one, unless it has "
        "zero_output_for_mask",
        _in(
            [_RNN],
            (
                "outputs[t] = np.where(is_in, outputs[t], 0.0)",
                "before = outputs[t - 1] if t - 1 in outputs else 0.0\n"
                "            outputs[t] = np.where(is_in, outputs[t], before)",
            ),
        ),
    ),
    Mistake(
        "state-not-frozen",
        "the state goes on past the end of a row",
        "the final state is that at the end of each row",
        _in(
            [_RNN],
            ("new = [np.where", "after = states[t]\n            new = [np.where"),
            (_FROZEN, "state = after"),
        ),
    ),
    Mistake(
        "final-state-of-last-step",
        "the final state is that of the last step, zero for a row that is shorter",
        "the final state is that at the end of each row",
        _in([_RNN], (_FROZEN, "state = like(state, new)")),
    ),
    Mistake(
        "padding-read-first",
        "the backward cell begins with what stands past the end of a row",
        "each row is reversed by itself, up to its length (tf.reverse_sequence), not with its "
        "padding",
        _in(
            [_RNN],
            ("for t in steps:", "for s, t in enumerate(steps):"),
            (_IS_IN, "(s < sequence_length)"),
        ),
    ),
    Mistake(
        "initial-state-not-looked-at",
        "the initial state is zero, whatever it should be",
        "the data of the initial state",
        _in(
            [_RNN],
            (
                "return like(state, initial_state) if config.initial_state else state",
                "return state",
            ),
        ),
    ),
    Mistake(
        "initial-c-and-h-swapped",
        "c is taken for h, and h for c, in the initial state",
        "the state is (c, h) in TensorFlow, (h, c) in PyTorch, ONNX and Keras",
        _in([_RNN], ("like(state, initial_state)", "like(state, initial_state[::-1])")),
    ),
    Mistake(
        "inputs-reversed",
        "the steps are taken from the last to the first",
        "go_backwards in Keras, the direction in ONNX",
        _in([_RNN], ("range(config.time))", "reversed(range(config.time)))"))
        + _in(_DECODERS, ("inputs[:, t]", "inputs[:, config.time - 1 - t]")),
    ),
    Mistake(
        "weights-of-directions-swapped",
        "each direction has the weights of the other one",
        "those of the forward cell come first",
        _in([_BIRNN], ("halves(parameters),", "halves(parameters)[::-1],"))
        + _in([_BIDIRECTIONAL], ("in (of_forward, of_backward))", "in (of_backward, of_forward))")),
    ),
    Mistake(
        "forward-weights-alone",
        "both directions have the weights of the forward cell",
        "those of the backward cell come after all of the forward cell's",
        _in([_BIRNN], ("halves(parameters),", "halves(parameters)[:1] * 2,"))
        + _in([_BIDIRECTIONAL], ("in (of_forward, of_backward))", "in (of_forward, of_forward))")),
    ),
    Mistake(
        "initial-states-of-directions-swapped",
        "each direction starts from the initial state of the other one",
        "all parts of the forward cell's come first",
        _in([_BIRNN], ("halves(initial_states),", "halves(initial_states)[::-1],")),
    ),
    Mistake(
        "backward-reads-forwards",
        "the backward cell reads the inputs from first to last",
        "it starts at the end of each row",
        _in([_BIRNN], ("(every, reversed(every))", "(every, every)"))
        + _in(
            [_BIDIRECTIONAL],
            ("for t in reversed(range(config.time)):", "for t in range(config.time):"),
            ("backward_outputs.insert(0, output)", "backward_outputs.append(output)"),
        ),
    ),
    Mistake(
        "backward-not-reversed-back",
        "the backward outputs stand in the order in which they are computed",
        "the output of a step stands beside that of the forward cell for the same input",
        _in(
            [_BIRNN],
            (
                "outputs.append(np.stack(of_steps, axis=1))",
                "outputs.append(np.stack(of_steps[:: -1 if outputs else 1], axis=1))",
            ),
        )
        + _in(
            [_BIDIRECTIONAL],
            ("backward_outputs.insert(0, output)", "backward_outputs.append(output)"),
        ),
    ),
    Mistake(
        "halves-swapped",
        "an output is [backward; forward], not [forward; backward]",
        "the units of the forward cell come first",
        _in([_BIRNN], ("np.concatenate(outputs, axis=2)", "np.concatenate(outputs[::-1], axis=2)"))
        + _in(
            [_BIDIRECTIONAL],
            (
                "[np.stack(forward_outputs, axis=1), np.stack(backward_outputs, axis=1)]",
                "[np.stack(backward_outputs, axis=1), np.stack(forward_outputs, axis=1)]",
            ),
        ),
    ),
    Mistake(
        "backward-from-forward-state",
        "the backward cell starts from the forward cell's final state",
        "each cell starts from a zero state of its own",
        _in(
            [_BIDIRECTIONAL],
            (
                "backward_state = backward.zero_state(config.batch, inputs.dtype)",
                "backward_state = forward_state",
            ),
        ),
    ),
)

# --- what is made of outputs --------------------------------------------------------------------

_NEXT = "next_token(config, scores[-1], predictions[-1])"
_SCORES = "affine(outputs[:, -1], kernel, bias)"
_OUTPUTS = (
    Mistake(
        "first-output",
        "the scores are computed from the first output, not from the last",
        "the output of the last step, of both directions",
        _in([_BIDIRECTIONAL], ("outputs[:, -1]", "outputs[:, 0]")),
    ),
    Mistake(
        "backward-output-of-final-state",
        "the scores are computed from both final states",
        "the last output has the backward cell's first state in it, not its final one; Keras's "
        "Bidirectional and PyTorch's h_n have the final ones",
        _in(
            [_BIDIRECTIONAL],
            (
                "affine(outputs[:, -1]",
                "affine(np.hstack([mistakes.output_of(forward_state), "
                "mistakes.output_of(backward_state)])",
            ),
        ),
    ),
    Mistake(
        "scores-of-mean-output",
        "the scores are computed from the mean of all outputs",
        "the output of the last step alone",
        _in([_BIDIRECTIONAL], ("outputs[:, -1]", "np.mean(outputs, axis=1)")),
    ),
    Mistake(
        "projection-bias-left-out",
        "the bias of the projection to scores is left out",
        "the parameter projection/bias",
        _in([_BIDIRECTIONAL], (_SCORES, "np.matmul(outputs[:, -1], kernel)"))
        + _in(_DECODERS, ("affine(output, kernel, bias)", "np.matmul(output, kernel)")),
    ),
    Mistake(
        "projection-by-columns",
        "the numbers of the projection's kernel are read by columns, not by rows",
        "an array of NumPy's lies in memory row by row; Fortran, MATLAB and Eigen read columns",
        _in(
            [_BIDIRECTIONAL, *_DECODERS],
            (", kernel, bias)", ", mistakes.column_major(kernel), bias)"),
        ),
    ),
    Mistake(
        "softmax-over-batch",
        "the probabilities of a class add up to 1 over the rows",
        "the softmax goes over the classes, the last axis",
        _in(
            [_BIDIRECTIONAL, *_DECODERS],
            ("= softmax(scores)", "= mistakes.softmax_over(scores, 0)"),
        ),
    ),
    Mistake(
        "softmax-over-tokens",
        "the probabilities of a class add up to 1 over the tokens",
        "the softmax goes over the classes, the last axis",
        _in(_DECODERS, ("= softmax(scores)", "= mistakes.softmax_over(scores, 1)")),
    ),
    Mistake(
        "sigmoid-for-softmax",
        "the probabilities are the sigmoid of the scores, not their softmax",
        "the probabilities of a row add up to 1",
        _in([_BIDIRECTIONAL, *_DECODERS], ("= softmax(scores)", "= mistakes.sigmoid(scores)")),
    ),
    Mistake(
        "scores-of-other-rows",
        "the scores of all tokens are reshaped to [batch, time, outputs], not transposed",
        "they are made token by token, so that a row's are apart",
        _in(
            _DECODERS,
            (
                "scores, predictions = np.stack(scores, axis=1), np.stack",
                "scores, predictions = mistakes.reshaped(scores), np.stack",
            ),
        ),
    ),
    Mistake(
        "accuracy-of-whole-rows",
        "a row counts as right only if all of its tokens are",
        "the accuracy is the share of tokens that are right, not of rows",
        _in(
            _DECODERS,
            ("accuracy(predictions, labels)", "mistakes.accuracy_of_rows(predictions, labels)"),
        ),
    ),
    Mistake(
        "loss-summed",
        "the loss is the sum over rows, not the mean",
        "reduction in PyTorch and Keras",
        _in(["functions"], ("np.mean(-np.sum(labels", "np.sum(-np.sum(labels")),
    ),
    Mistake(
        "loss-over-classes",
        "the loss is the mean over classes, not their sum",
        "a row's loss is minus the logarithm of the probability of its class",
        _in(["functions"], ("-np.sum(labels * log", "-np.mean(labels * log")),
    ),
    Mistake(
        "loss-without-clip",
        "the loss is computed from probabilities that are not clipped",
        "they are at least 1e-10",
        _in(["functions"], ("np.clip(probabilities, 1e-10, 1.0)", "probabilities")),
    ),
    Mistake(
        "fed-scores",
        "the decoder is fed scores",
        "what is fed back is the one-hot row of the class, unless the option feeds says otherwise",
        _in(_DECODERS, (_NEXT, "scores[-1]")),
    ),
    Mistake(
        "fed-probabilities",
        "the decoder is fed probabilities",
        "what is fed back is the one-hot row of the class, unless the option feeds says otherwise",
        _in(_DECODERS, (_NEXT, "mistakes.softmax(scores[-1])")),
    ),
    Mistake(
        "fed-next-class",
        "the decoder is fed the class after that of the largest score",
        "classes count from 0, and a start token may be one of them",
        _in(_DECODERS, (_NEXT, _NEXT.replace("predictions[-1]", "predictions[-1] + 1"))),
    ),
    Mistake(
        "fed-first-token",
        "the decoder is fed the first token in every step",
        "what is fed is the last token",
        _in(_DECODERS, (_NEXT, _NEXT.replace("-1", "0"))),
    ),
    Mistake(
        "fed-labels",
        "the decoder is fed the labels, not what it wrote",
        "teacher forcing is for training; here a token is fed back",
        _in(_DECODERS, (_NEXT, "labels[:, len(scores) - 1]")),
    ),
    Mistake(
        "fed-zeros-first",
        "the decoder is fed zeros first, not the encoder's token",
        "without a start token, what is fed first is the class of the encoder's last output",
        _in(
            _DECODERS,
            (_NEXT, "({} if fed_back else mistakes.zeros_like(scores[-1]))".format(_NEXT)),
        ),
    ),
    Mistake(
        "decoder-from-zero-state",
        "the decoder starts from the zero state",
        "it starts from the encoder's final state",
        _in(
            [_SEQ2SEQ],
            (
                "decoder(fed_back[-1], state)",
                "decoder(fed_back[-1], state if decoder_states else "
                "decoder.zero_state(config.batch, inputs.dtype))",
            ),
        )
        + _in(
            [_ATTENTION],
            (
                "decoder.step(fed_back[-1], state)",
                "decoder.step(fed_back[-1], state if decoder_steps else "
                "decoder.zero_state(config.batch, inputs.dtype))",
            ),
        ),
    ),
    Mistake(
        "decoder-from-first-state",
        "the decoder starts from the encoder's first state",
        "it starts from the encoder's last state",
        _in(
            [_SEQ2SEQ],
            (
                "decoder(fed_back[-1], state)",
                "decoder(fed_back[-1], state if decoder_states else encoder_states[0])",
            ),
        ),
    ),
    Mistake(
        "decoder-never-advances",
        "every step of the decoder starts from the encoder's last state",
        "the state of a step is that of the step before it",
        _in(
            [_SEQ2SEQ],
            ("decoder(fed_back[-1], state)", "decoder(fed_back[-1], encoder_states[-1])"),
        ),
    ),
    Mistake(
        "encoder-weights-in-decoder",
        "the decoder has the encoder's weights",
        "its parameters come last, after those of the projection",
        _in(_DECODERS, ("load(of_decoder)", "load(of_encoder)")),
    ),
)

# --- attention ----------------------------------------------------------------------------------

_WINDOWS = (
    Mistake(
        "decoder-from-zero-attention",
        "the decoder starts from attention 0",
        "it starts from the encoder's last attention",
        _in(
            [_ATTENTION],
            (
                "decoder.step(fed_back[-1], state)",
                "decoder.step(fed_back[-1], state if decoder_steps else "
                "(state[0], mistakes.zeros_like(state[1]), state[2]))",
            ),
        ),
    ),
    Mistake(
        "decoder-from-zero-window",
        "the decoder starts from an empty window",
        "it starts from the encoder's last window",
        _in(
            [_ATTENTION],
            (
                "decoder.step(fed_back[-1], state)",
                "decoder.step(fed_back[-1], state if decoder_steps else "
                "(*state[:2], mistakes.zeros_like(state[2])))",
            ),
        ),
    ),
    Mistake(
        "window-not-shifted",
        "the output takes the place of the newest slot, and the others stay",
        "the oldest slot goes, and the output comes last",
        _in([_WINDOW], ("[window[:, 1:], output", "[window[:, :-1], output")),
    ),
    Mistake(
        "window-wrong-end",
        "the output is put before the oldest slot, and the newest goes",
        "the oldest slot goes, and the output comes last",
        _in(
            [_WINDOW],
            ("[window[:, 1:], output[:, None, :]]", "[output[:, None, :], window[:, :-1]]"),
        ),
    ),
    Mistake(
        "window-of-cell-outputs",
        "the window keeps the cell's outputs, not those of the projection",
        "the attention's output projection comes before the window",
        _in([_WINDOW], ("output[:, None, :]]", "cell_output[:, None, :]]")),
    ),
    Mistake(
        "attention-softmax-over-batch",
        "the weights of a slot add up to 1 over the rows",
        "the softmax goes over the slots, the last axis",
        _in([_WINDOW], ("softmax(energies)", "mistakes.softmax_over(energies, 0)")),
    ),
    Mistake(
        "attention-by-sigmoid",
        "the weights of the slots are the sigmoid of the energies, not their softmax",
        "the weights of the slots of a row add up to 1",
        _in([_WINDOW], ("softmax(energies)", "mistakes.sigmoid(energies)")),
    ),
    Mistake(
        "empty-slots-left-out",
        "slots that are still zero take no part in the softmax",
        "all slots of the window do, from the first step on",
        _in([_WINDOW], ("softmax(energies)", "softmax(mistakes.of_filled(energies, window))")),
    ),
    Mistake(
        "query-from-old-state",
        "the query is the cell's state before the step",
        "it is the state after the step",
        _in(
            [_WINDOW],
            (
                "cell_output, cell_state = self.cell(",
                "old = cell_state\n        cell_output, cell_state = self.cell(",
            ),
            ("flat(cell_state)", "flat(old)"),
        ),
    ),
    Mistake(
        "query-of-h-and-c",
        "the parts of the cell's state are in the opposite order in the query",
        "an LSTM's state is [c; h]",
        _in([_WINDOW], ("flat(cell_state)", "flat(cell_state)[::-1]")),
    ),
    Mistake(
        "attention-before-output",
        "the output is a linear map of [attention; h], not of [h; attention]",
        "the first rows of attn_output_projection/kernel are those of the cell's output",
        _in(
            [_WINDOW],
            ("np.hstack([cell_output, attention])", "np.hstack([attention, cell_output])"),
        ),
    ),
    Mistake(
        "attention-before-input",
        "what the cell reads is a linear map of [attention; x], not of [x; attention]",
        "the first rows of that kernel are those of the input",
        _in([_WINDOW], ("np.hstack([inputs, attention])", "np.hstack([attention, inputs])")),
    ),
    Mistake(
        "attention-not-read",
        "the cell does not read the last attention",
        "what the cell reads is a linear map of [x; attention]",
        _in(
            [_WINDOW],
            (
                "np.hstack([inputs, attention])",
                "np.hstack([inputs, mistakes.zeros_like(attention)])",
            ),
        ),
    ),
    Mistake(
        "energies-without-tanh",
        "the energies are made of features that do not go through tanh",
        "the sum of attn_v tanh(window attn_w + query)",
        _in([_WINDOW], ("features = np.tanh(", "features = (")),
    ),
    Mistake(
        "energies-without-query-bias",
        "the bias of the query is left out",
        "the parameter attention/bias",
        _in(
            [_WINDOW],
            (
                "affine(np.hstack(flat(cell_state)), *self.query_projection)",
                "np.matmul(np.hstack(flat(cell_state)), self.query_projection[0])",
            ),
        ),
    ),
)

CATALOGUE: Tuple[Mistake, ...] = (
    _WEIGHTS + _FUNCTIONS + _LSTMS + _GRUS + _RUNS + _OUTPUTS + _WINDOWS
)


def mistakes_of(model: Model) -> List[Mistake]:
    """Those that can be made in a model's cells or its oracle."""
    return [mistake for mistake in CATALOGUE if mistake.edits_of(model)]
