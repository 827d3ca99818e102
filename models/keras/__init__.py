"""Keras' recurrent layers: ``SimpleRNN``, ``LSTM``, ``GRU``."""

from rnndiff.models.keras import config, oracle

__all__ = ["config", "oracle"]
