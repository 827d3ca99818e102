"""Model 2 of the article: a bidirectional RNN that reads a digit row by row."""

from models.bidirectional import config, oracle

__all__ = ["config", "oracle"]
