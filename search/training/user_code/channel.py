"""Messages between a worker, the server of its trial processes, and these: JSON objects, one a line, over a socket.

Nothing that user code prints can reach them: standard output and standard error of a trial process go to its log.
"""

import json
import os
import socket
from collections import deque
from typing import Any

VERSION = 1
"""The version of the messages, in the first one of each connection."""
Message = dict[str, Any]
LOST = 97
"""The exit code of a process that can no longer send messages: its own code has closed the socket."""
_BLOCK = 65536
_TEXT_OF = json.JSONEncoder(separators=(",", ":")).encode


class Closed(Exception):  # noqa: N818 - what happened, which need not be an error
    """The other side has closed its end, or its process has ended."""


class Channel:
    """One end of a socket pair."""

    def __init__(self, end: socket.socket) -> None:
        self.socket = end
        self._lines: deque[bytes] = deque()
        """Messages that were read and not taken yet."""
        self._rest = b""
        """The beginning of the next one."""
        self._timeout = end.gettimeout()

    def send(self, message: Message) -> None:
        """Send a message; raise `Closed` if nobody can receive it."""
        line = _TEXT_OF(message).encode() + b"\n"
        try:
            if len(line) > _BLOCK:
                self._set_timeout(None)
            self.socket.sendall(line)  # a short one is sent at once, since the other side waits for it
        except OSError as error:
            raise Closed(str(error)) from error

    def receive(self, seconds: float | None = None) -> Message | None:
        """Return the next message; None if none has come after `seconds`. Raise `Closed` at the end."""
        while not self.has_message:
            try:
                self._set_timeout(seconds)
                block = self._block()
            except (TimeoutError, BlockingIOError):
                return None
            except OSError as error:
                raise Closed(str(error)) from error
            if not block:
                raise Closed("the other end is closed")
            *lines, self._rest = (self._rest + block).split(b"\n")
            self._lines += lines
        message: Message = json.loads(self._lines.popleft())
        return message

    @property
    def has_message(self) -> bool:
        """Return whether a whole message has been read already."""
        return bool(self._lines)

    def close(self) -> None:
        """Close this end."""
        self.socket.close()

    def _block(self) -> bytes:
        return self.socket.recv(_BLOCK)

    def _set_timeout(self, seconds: float | None) -> None:
        if seconds != self._timeout:
            self.socket.settimeout(seconds)
            self._timeout = seconds


class DescriptorChannel(Channel):
    """An end of a socket pair that receives open files with the messages."""

    def __init__(self, end: socket.socket) -> None:
        super().__init__(end)
        self.descriptors: list[int] = []
        """The files that were received and not taken yet."""

    def _block(self) -> bytes:
        block, descriptors, *_ = socket.recv_fds(self.socket, _BLOCK, 8)
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        self.descriptors += descriptors
        return block
