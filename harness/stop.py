"""Ctrl-C and its like as a wish to end, which is looked at where nothing gets lost."""

import contextlib
import signal
import threading
from types import FrameType
from typing import Any, Dict, Iterator, Optional

try:
    from multiprocessing import resource_tracker
except ImportError:  # Python 3.7
    from multiprocessing import semaphore_tracker as resource_tracker  # type: ignore

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


class Stop:
    """A context manager in which Ctrl-C, SIGTERM and SIGHUP end nothing by themselves.

    Signals that this process ignores, as SIGHUP under ``nohup``, it ignores on. Outside of the main
    thread there is no such wish.

    Attributes
    ----------
    signal : str
        The name of the first that came, or empty.
    """

    def __init__(self) -> None:
        self.signal = ""
        self._before: Dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Stop":
        if threading.current_thread() is threading.main_thread():
            for number in (getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)):
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._before[number] = signal.signal(number, self._come)
        return self

    def __exit__(self, kind: Any, *error: Any) -> None:
        # The same wish again, while Python ends, would change nothing but the exit status.
        is_ending = self.signal and kind is SystemExit
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_IGN if is_ending else handler)

    def _come(self, number: int, frame: Optional[FrameType]) -> None:
        self.signal = self.signal or signal.Signals(number).name


@contextlib.contextmanager
def without_signals_of_a_terminal() -> Iterator[None]:
    """What is started inside is never ended by Ctrl-C, but by this process."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # It is started with the first worker, and lets the signals come again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGHUP])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
