"""Explain why an installation failed, from what Python's venv module, uv or pip printed."""

import re
from enum import Enum, auto
from pathlib import Path

_AGAIN = "Then run the command again."


class Cause(Enum):
    """What made a program fail, as far as its output says."""

    NO_ROOM = auto()
    WRONG_HASH = auto()
    NO_NETWORK = auto()
    NO_VENV = auto()
    OTHER = auto()


_SIGNS = {
    Cause.NO_ROOM: r"No space left on device|Disk quota exceeded|os error 28|Errno 28",
    Cause.WRONG_HASH: r"Hash mismatch|DO NOT MATCH THE HASHES",
    Cause.NO_VENV: r"ensurepip is not available|No module named '?(venv|ensurepip)",
    Cause.NO_NETWORK: r"error sending request|dns error|name resolution|establish a new connection|timed out|"
    r"Network is unreachable|Connection (refused|reset|aborted|broken)|ProxyError|SSLError|Failed to fetch|"
    r"Failed to download",
}
_SENTENCES = {
    Cause.NO_ROOM: "No space is left on the disk of {venv}, of the download cache in your home folder, or of the "
    f"temporary folder. Running needs about 0.5 GB, development 1 GB. Make room. {_AGAIN}",
    Cause.WRONG_HASH: "A downloaded package has another hash than the lock: the download broke, or the index served "
    f"another file. Empty the caches (`uv cache clean`, `pip cache purge`). {_AGAIN}",
    Cause.NO_VENV: "This Python has no venv module, or only a part of it. Install it (Debian, Ubuntu: `apt install "
    f"python3-venv`), or name another Python in PYTHON. {_AGAIN}",
    Cause.NO_NETWORK: "The packages could not be downloaded. Check the connection, and HTTPS_PROXY if there is a "
    f"proxy. {_AGAIN}",
    Cause.OTHER: "{program} failed: {last} (All that it printed is in {venv}/setup.log.)",
}


class SetupError(Exception):
    """Explain to people why Coarsefine is not installed, and what to do."""

    def __init__(self, text: str, cause: Cause = Cause.OTHER) -> None:
        super().__init__(text)
        self.cause = cause


def explain(program: str, output: str, venv: Path) -> SetupError:
    """Return the error for a program that failed while it worked on the environment `venv`, from its output."""
    cause = next((cause for cause, signs in _SIGNS.items() if re.search(signs, output, re.IGNORECASE)), Cause.OTHER)
    last = next((line.strip() for line in reversed(output.splitlines()) if line.strip()), "it printed nothing.")
    return SetupError(_SENTENCES[cause].format(program=program, last=last, venv=venv), cause)
