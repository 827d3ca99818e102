"""Keras' ``Bidirectional`` around its recurrent layers."""

from rnndiff.models.keras_bidirectional import config, oracle

__all__ = ["config", "oracle"]
