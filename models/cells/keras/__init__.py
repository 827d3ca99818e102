"""The cells of Keras' recurrent layers in plain NumPy, with Keras' names and arguments.

They are those of ``tf.keras`` up to TensorFlow 2.15 and of ``tf_keras`` from then on. What a layer
has beside its cell is in ``rnndiff.models.keras``.
"""

from rnndiff.models.cells.keras.gru import GRUCell
from rnndiff.models.cells.keras.lstm import LSTMCell
from rnndiff.models.cells.keras.simple_rnn import SimpleRNNCell

__all__ = ["GRUCell", "LSTMCell", "SimpleRNNCell"]
