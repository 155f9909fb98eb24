"""Say what the installation does now: one line that is drawn again on a terminal, plain lines elsewhere."""

import os
import shutil
import sys
import threading
import time
from typing import Self, TextIO

_SECONDS_BETWEEN_DRAWINGS = 0.2
_ERASE_LINE = "\r\x1b[2K"


class Progress:
    """The steps of an installation, on stderr: stdout is for results."""

    def __init__(self, stream: TextIO = sys.stderr) -> None:
        self.started = time.monotonic()
        self._stream = stream
        self._live = stream.isatty() and os.environ.get("TERM") != "dumb" and not os.environ.get("CI")
        self._step = self._detail = ""
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._clock = threading.Thread(target=self._draw_until_ended, daemon=True)

    def __enter__(self) -> Self:
        if self._live:
            self._clock.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._live:
            self._clock.join()
            self._write(_ERASE_LINE)

    def step(self, text: str) -> None:
        """Start a step: a plain line, or the new text of the live line."""
        self._step, self._detail = text, ""
        if not self._live:
            self.say(f"{text} ...")

    def detail(self, text: str) -> None:
        """Add to the live line what the step works on; plain lines leave it out."""
        self._detail = text

    def say(self, text: str) -> None:
        """Print a line that stays."""
        self._write(f"{_ERASE_LINE if self._live else ''}{text}\n")

    def _draw_until_ended(self) -> None:
        while not self._ended.wait(_SECONDS_BETWEEN_DRAWINGS):
            if self._step:
                text = " · ".join(filter(None, (self._step, f"{time.monotonic() - self.started:.0f} s", self._detail)))
                self._write(_ERASE_LINE + text[: shutil.get_terminal_size().columns - 1])

    def _write(self, text: str) -> None:
        with self._lock:
            self._stream.write(text)
            self._stream.flush()
