"""What a result depends on, versions and machine, found without importing TensorFlow."""

import os
import platform
import shlex
from typing import Any, Dict, Mapping, Optional

import numpy as np

from rnndiff.models.environment import processor, xla_compiles_unasked

try:
    from importlib import metadata
except ImportError:  # Python 3.7
    import importlib_metadata as metadata  # type: ignore[no-redef]

_PREFIXES = ("TF_", "ONEDNN_", "DNNL_", "XLA_", "OPENBLAS_", "NPY_", "MKL_", "OMP_", "RNNDIFF_")
# What TensorFlow logs; and of another program with the same prefix, where they may be secrets.
_LOGGING, _TERRAFORM = ("TF_CPP_",), ("TF_CLI_", "TF_TOKEN_", "TF_VAR_")
_TENSORFLOWS = ("tensorflow", "tensorflow-cpu", "tensorflow-macos", "tensorflow-intel")


def version_of(*names: str) -> Optional[str]:
    """The version of the first of some distributions that is installed, or None."""
    for name in names:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None


def tensorflow_version() -> Optional[str]:
    """The version of TensorFlow that is installed, or None."""
    return version_of(*_TENSORFLOWS)


def versions(mode: str = "") -> Dict[str, str]:
    """What a result depends on besides the case, for a saved case or a report.

    ``environment`` holds every variable that is set and can change a result or names a setting, as
    a shell takes them; ``mode`` is the subject's, by default how a graph of TensorFlow is run then.
    """
    at_hand = processor()
    return {
        "tensorflow": tensorflow_version() or "missing",
        "numpy": np.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": " ".join(filter(None, (at_hand.vendor, at_hand.model))),
        "instruction_set": at_hand.instruction_set,
        "threads": "{} of TensorFlow, {} of NumPy".format(
            "as the mode has it" if mode else 1, _numpy_threads()
        ),
        "mode": mode or ("xla-auto" if xla_compiles_unasked() else "session"),
        "environment": environment(),
    }


def versions_in(notes: Mapping[str, Any]) -> Dict[str, str]:
    """What the notes of a saved case say of it, and what the subject was presumed to be."""
    return {name: str(notes[name]) for name in [*versions(), "premise"] if name in notes}


def environment() -> str:
    """The environment variables that can change a result, a misspelt one too, for a shell."""
    chosen = sorted(
        name
        for name in os.environ
        if name.startswith(_PREFIXES) and not name.startswith(_LOGGING + _TERRAFORM)
    )
    return " ".join("{}={}".format(name, shlex.quote(os.environ[name])) for name in chosen)


def _numpy_threads() -> str:
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        if os.environ.get(name, "").isdigit():
            return os.environ[name]
    return str(os.cpu_count())
