"""Every model of this package, and a subject that computes them: the oracle in float32."""

import numpy as np

from harness.numerics.arithmetic import arithmetic
from harness.subjects import Subject
from rnn_extras import gru, lstm, port

MODELS = (lstm.LSTM, gru.GRU)


class Everything(Subject):
    """Right in all models."""

    def __call__(self, case):
        """The oracle, in float32."""
        trace = case.oracle(np.float32)
        whole = {name: np.asarray(array) for name, array in trace.items()}
        return {n: x.astype(np.float32) if x.dtype.kind == "f" else x for n, x in whole.items()}

    def arithmetic(self, case):
        """Nothing is stated but the precision."""
        return arithmetic("float32")


class Wrong(port.OtherOrder):
    """Wrong in the LSTM."""
