"""What of the machine and of the environment decides which kernels compute a graph."""

import contextlib
import os
import platform
from functools import lru_cache
from typing import Dict, FrozenSet, NamedTuple, Tuple

# From the smallest to the largest, each with the flags of Linux that it needs.
INSTRUCTION_SETS = (
    ("sse41", {"sse4_1"}),
    ("avx", {"avx"}),
    ("avx2", {"avx2", "fma"}),
    ("avx512", {"avx512f", "avx512bw", "avx512dq", "avx512vl"}),
    ("amx", {"amx_tile", "amx_bf16", "amx_int8"}),
)
# By default, and on Linux, the versions that do not tell use oneDNN where the processor has one.
_MADE_FOR = {"avx512_vnni", "avx512_bf16", "avx_vnni", "amx_tile", "amx_int8", "amx_bf16"}


class Processor(NamedTuple):
    """A processor.

    ``vendor`` is "GenuineIntel", "AuthenticAMD" or "" where it is not known, ``instruction_set``
    the largest of ``INSTRUCTION_SETS`` that it has together with all smaller ones, elsewhere than
    on x86-64 the name of the architecture.
    """

    vendor: str
    model: str
    instruction_set: str
    flags: FrozenSet[str]


@lru_cache(maxsize=None)
def processor() -> Processor:
    """The processor at hand, as far as Linux or Python tell."""
    said = _cpuinfo()
    flags = frozenset(said.get("flags", "").split())
    largest = platform.machine().lower()
    for name, needed in INSTRUCTION_SETS:
        if not needed <= flags:
            break
        largest = name
    model = said.get("model name") or platform.processor() or platform.machine()
    return Processor(said.get("vendor_id", ""), model, largest, flags)


def _cpuinfo() -> Dict[str, str]:
    """What Linux says of the first processor."""
    said: Dict[str, str] = {}
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as file:
        for line in file:
            name, _, value = line.partition(":")
            if not value:
                break
            said[name.strip()] = value.strip()
    return said


def has_onednn(version: Tuple[int, int]) -> bool:
    """Whether oneDNN's kernels stand in for Eigen's in the TensorFlow at hand, of that version.

    They can from TensorFlow 2.5 on, and do by default from 2.9 on, on processors that they are made
    for; the environment variable TF_ENABLE_ONEDNN_OPTS decides otherwise. TensorFlow tells from
    2.12 on; what it does before that is written in its ``IsMKLEnabled``.
    """
    if version < (2, 5):
        return False
    if version < (2, 12):
        chosen = {"1": True, "true": True, "0": False, "false": False}
        default = version >= (2, 9) and not _MADE_FOR.isdisjoint(processor().flags)
        return chosen.get(os.environ.get("TF_ENABLE_ONEDNN_OPTS", "").lower(), default)
    from tensorflow.python.util import _pywrap_util_port

    return bool(_pywrap_util_port.IsMklEnabled())


def xla_compiles_unasked() -> bool:
    """Whether XLA compiles graphs that do not ask for it: on processors, that takes two flags.

    They stand in the environment variable TF_XLA_FLAGS, or in the file that it names.
    """
    words = os.environ.get("TF_XLA_FLAGS", "")
    if words and not words.lstrip().startswith("-"):
        with contextlib.suppress(OSError), open(words) as file:
            words = file.read()
    level, on_processors = "0", False
    for word in words.split():
        name, _, value = word.partition("=")
        if name == "--tf_xla_auto_jit" and not value.startswith("single-gpu"):
            level = value
        elif name == "--tf_xla_cpu_global_jit":
            on_processors = value != "false"
    return on_processors and level not in ("0", "-1", "")
