"""RNN cells in plain NumPy, with the names and constructor arguments of TensorFlow's own.

Those of Keras are in ``rnndiff.models.cells.keras``.

The port of ``AttentionCellWrapper`` to TensorFlow 2 is
``rnndiff.models.cells.attention_tensorflow``; it is not imported here, because it needs TensorFlow.
"""

from rnndiff.models.cells import keras
from rnndiff.models.cells.attention import AttentionCellWrapper
from rnndiff.models.cells.basic import BasicRNNCell
from rnndiff.models.cells.basic_lstm import BasicLSTMCell
from rnndiff.models.cells.cell import Cell, flat
from rnndiff.models.cells.dropout import DropoutWrapper
from rnndiff.models.cells.gru import GRUCell
from rnndiff.models.cells.gru_block import GRUBlockCell
from rnndiff.models.cells.layer_norm_basic_lstm import LayerNormBasicLSTMCell
from rnndiff.models.cells.lstm import LSTMCell
from rnndiff.models.cells.lstm_block import LSTMBlockCell
from rnndiff.models.cells.multi import MultiRNNCell
from rnndiff.models.cells.residual import ResidualWrapper

__all__ = [
    "AttentionCellWrapper",
    "BasicLSTMCell",
    "BasicRNNCell",
    "Cell",
    "DropoutWrapper",
    "GRUBlockCell",
    "GRUCell",
    "LSTMBlockCell",
    "LSTMCell",
    "LayerNormBasicLSTMCell",
    "MultiRNNCell",
    "ResidualWrapper",
    "flat",
    "keras",
]
