"""The cells of PyTorch, as its documentation writes them, in plain NumPy."""

import numpy as np


def sigmoid(x):
    return np.float32(1) / (np.float32(1) + np.exp(-x))


def rnn(x, h, w_ih, w_hh, b_ih, b_hh):
    """``torch.nn.RNNCell``."""
    h = np.tanh(x @ w_ih.T + b_ih + h @ w_hh.T + b_hh)
    return h, h


def lstm(x, state, w_ih, w_hh, b_ih, b_hh, order="ifgo"):
    """``torch.nn.LSTMCell``."""
    h, c = state
    parts = np.split(x @ w_ih.T + b_ih + (h @ w_hh.T + b_hh), 4, axis=1)
    gate = dict(zip(order, parts))
    c = sigmoid(gate["f"]) * c + sigmoid(gate["i"]) * np.tanh(gate["g"])
    h = sigmoid(gate["o"]) * np.tanh(c)
    return h, (h, c)


def gru(x, h, w_ih, w_hh, b_ih, b_hh):
    """``torch.nn.GRUCell``."""
    i_r, i_z, i_n = np.split(x @ w_ih.T + b_ih, 3, axis=1)
    h_r, h_z, h_n = np.split(h @ w_hh.T + b_hh, 3, axis=1)
    r, z = sigmoid(i_r + h_r), sigmoid(i_z + h_z)
    n = np.tanh(i_n + r * h_n)
    h = (1 - z) * n + z * h
    return h, h


def unrolled(cell, parts, weights, inputs):
    batch, units = len(inputs), weights[1].shape[1]
    state = tuple(np.zeros((batch, units), np.float32) for _ in range(parts))
    state, outputs = state if parts > 1 else state[0], []
    for t in range(inputs.shape[1]):
        output, state = cell(inputs[:, t], state, *weights)
        outputs.append(output)
    return np.stack(outputs, axis=1)
