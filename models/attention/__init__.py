"""Model 3 of the article: the encoder-decoder with attention cells."""

from rnndiff.models.attention import config, oracle

__all__ = ["config", "oracle"]
