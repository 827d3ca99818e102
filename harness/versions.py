"""Versions of what a result depends on, found without importing it."""

import platform
from typing import Dict, Optional

import numpy as np

try:
    from importlib import metadata
except ImportError:  # Python 3.7
    import importlib_metadata as metadata  # type: ignore[no-redef]

_TENSORFLOWS = ("tensorflow", "tensorflow-cpu", "tensorflow-macos", "tensorflow-intel")


def tensorflow_version() -> Optional[str]:
    """The version of TensorFlow that is installed, or None."""
    for name in _TENSORFLOWS:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None


def versions() -> Dict[str, str]:
    """Versions and platform, for a saved case or a report."""
    return {
        "tensorflow": tensorflow_version() or "missing",
        "numpy": np.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
    }
