"""Cells of any kind, run over a sequence in both directions: ``bidirectional_dynamic_rnn``."""

from rnndiff.models.birnn import config, oracle

__all__ = ["config", "oracle"]
