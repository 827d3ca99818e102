"""A cell of any kind, run over a sequence: ``static_rnn`` and ``dynamic_rnn``."""

from rnndiff.models.rnn import config, oracle

__all__ = ["config", "oracle"]
