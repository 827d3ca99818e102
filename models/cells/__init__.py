"""RNN cells in plain NumPy, with the names and constructor arguments of TensorFlow's own.

The port of ``AttentionCellWrapper`` to TensorFlow 2 is
``rnndiff.models.cells.attention_tensorflow``; it is not imported here, because it needs TensorFlow.
"""

from rnndiff.models.cells.attention import AttentionCellWrapper
from rnndiff.models.cells.basic import BasicRNNCell

__all__ = ["AttentionCellWrapper", "BasicRNNCell"]
