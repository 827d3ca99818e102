"""Model 2 of the article: a bidirectional RNN that reads a digit row by row."""

from rnndiff.models.bidirectional import config, oracle

__all__ = ["config", "oracle"]
