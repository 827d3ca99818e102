"""Layers of cells of any kind, each run in both directions: ``stack_bidirectional_dynamic_rnn``."""

from rnndiff.models.stackbirnn import config, oracle

__all__ = ["config", "oracle"]
