"""Messages between processes of which any may be ended in the middle of one."""

import contextlib
import pickle
import socket
import struct
from typing import Any, List, Optional

_LENGTH = struct.Struct("!Q")


class Channel:
    """What goes through one ``end`` of a pair of sockets.

    Unlike a ``multiprocessing.Connection`` it never waits for the rest of a message, whose sender
    may have been ended or stopped.
    """

    def __init__(self, end: socket.socket) -> None:
        self.end = end
        self._held = b""

    def close(self) -> None:
        """Close this end."""
        self.end.close()

    def send(self, message: Any) -> None:
        """Send anything that pickles; an OSError if the other end is gone."""
        content = pickle.dumps(message, 4)
        self.end.sendall(_LENGTH.pack(len(content)) + content)

    def read(self) -> Optional[List[Any]]:
        """The messages that are whole by now, once there is anything to read; None at the end."""
        read = b""
        with contextlib.suppress(ConnectionResetError):
            read = self.end.recv(1 << 20)
        if not read:
            return None
        self._held += read
        messages = []
        while len(self._held) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._held)
            end = _LENGTH.size + length
            if len(self._held) < end:
                break
            messages.append(pickle.loads(self._held[_LENGTH.size : end]))
            self._held = self._held[end:]
        return messages

    @property
    def waits(self) -> bool:
        """Whether a message has begun to come that is not whole."""
        return bool(self._held)
