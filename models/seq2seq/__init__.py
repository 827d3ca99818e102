"""Model 1 of the article: an encoder-decoder of basic RNN cells that adds numbers."""

from rnndiff.models.seq2seq import config, oracle

__all__ = ["config", "oracle"]
