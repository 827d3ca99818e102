"""No process outlives the one that started it."""

import ctypes
import os
import signal
import sys
import threading
import time
from typing import Any, Callable, Optional

# Of Linux's prctl.
_PR_SET_PDEATHSIG = 1


def end_with(parent: int) -> None:
    """End this process when its parent is gone, whatever either is doing then.

    On Linux the system sees to it, even if this process is stopped. Elsewhere it takes a second,
    and this process must come back to Python.

    Parameters
    ----------
    parent : int
        The process that started this one; it may be gone already.
    """
    prctl = _prctl()
    if not prctl or prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0):
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    if os.getppid() != parent:
        os._exit(1)


def ending_with_this() -> Optional[Callable[[], None]]:
    """What a child calls before it becomes another program, so that it ends with this thread.

    None where the system does not see to that.
    """
    prctl, parent = _prctl(), os.getpid()

    def end() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return end if prctl else None


def _prctl() -> Any:
    """Linux's function; None elsewhere."""
    try:
        return ctypes.CDLL(None).prctl if sys.platform.startswith("linux") else None
    except (OSError, AttributeError):
        return None


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)
