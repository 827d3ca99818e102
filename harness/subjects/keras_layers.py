"""Which configs are those of layers of Keras', Keras 2's in TensorFlow or Keras 3's."""

from typing import Any


def has_layer(config: Any) -> bool:
    """Whether a config, or a class of them, is that of a layer of Keras'."""
    kind = getattr(config, "kind", None)
    return bool(kind and kind.layer)


def is_of_keras(config: Any, **options: Any) -> bool:
    """Whether a config is that of a layer of Keras' with these options."""
    return has_layer(config) and all(
        getattr(config, name, value) == value for name, value in options.items()
    )


def is_unrolled(config: Any, **options: Any) -> bool:
    """Whether such a layer is unrolled into the graph."""
    return is_of_keras(config, **options) and config.runner.endswith("unrolled")
