"""Ctrl-C and its like as a wish to end, which is looked at where nothing gets lost."""

import signal
import threading
from types import FrameType
from typing import Any, Dict, Optional

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
