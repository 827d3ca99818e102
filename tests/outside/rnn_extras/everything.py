"""Every model of this package, and a subject that computes them: the oracle in float32."""

from rnn_extras import gru, lstm, port
from rnndiff import Float32

MODELS = (lstm.LSTM, gru.GRU)


class Everything(Float32):
    """Right in all models."""


class Wrong(port.OtherOrder):
    """Wrong in the LSTM."""
