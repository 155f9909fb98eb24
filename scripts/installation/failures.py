"""Explain why an installation failed, from what Python's venv module, uv or pip printed."""

import re
from enum import Enum, auto
from pathlib import Path


class Cause(Enum):
    """What made a program fail, as far as its output says."""

    NO_ROOM = auto()
    NO_ACCESS = auto()
    WRONG_HASH = auto()
    NOT_TRUSTED = auto()
    NO_NETWORK = auto()
    NO_VENV = auto()
    OTHER = auto()

    @property
    def is_before_installation(self) -> bool:
        """Whether nothing was changed: pip and uv download all packages before they install one."""
        return self in {Cause.WRONG_HASH, Cause.NOT_TRUSTED, Cause.NO_NETWORK}


_SIGNS = {
    Cause.NO_ROOM: r"No space left on device|Disk quota exceeded|os error 28|Errno 28",
    Cause.WRONG_HASH: r"Hash mismatch|DO NOT MATCH THE HASHES",
    Cause.NO_VENV: r"ensurepip is not\s+available|No module named '?(venv|ensurepip)",
    Cause.NOT_TRUSTED: r"CERTIFICATE_VERIFY_FAILED|invalid peer certificate",
    Cause.NO_NETWORK: r"error sending request|dns error|name resolution|establish a new connection|timed out|"
    r"Network is unreachable|Connection (refused|reset|aborted|broken)|ProxyError|SSLError|Failed to fetch|"
    r"Failed to download",
    Cause.NO_ACCESS: r"Permission denied|Read-only file system",
}
_TEXTS = {
    Cause.NO_ROOM: (
        "No space is left on the disk of {venv}, of the download cache in your home, or of the temporary files.",
        "Make room: running needs about 0.5 GB, development 1 GB.",
    ),
    Cause.NO_ACCESS: (
        "A file or folder cannot be written (“{line}”).",
        "Grant yourself write access to it, or use a checkout in a folder of yours.",
    ),
    Cause.WRONG_HASH: (
        "A downloaded package has another hash than the lock: the download broke, or the index served another file.",
        "Empty the caches with `uv cache clean` and `pip cache purge`.",
    ),
    Cause.NO_VENV: (
        "This Python has no venv module, or only a part of it.",
        "Install it (Debian, Ubuntu: `apt install python3-venv`), or name another Python in PYTHON.",
    ),
    Cause.NOT_TRUSTED: (
        "The certificate of the package index is not trusted; a proxy may have replaced it.",
        "Name the file of the certificates to trust in PIP_CERT and SSL_CERT_FILE.",
    ),
    Cause.NO_NETWORK: (
        "The packages could not be downloaded.",
        "Check the connection, and HTTPS_PROXY if there is a proxy.",
    ),
    Cause.OTHER: ("{program} failed (“{line}”).", "{log}Correct what it names."),
}


class SetupError(Exception):
    """Explain to people why Coarsefine is not installed, and what to do."""

    def __init__(self, cause: Cause, reason: str, remedy: str) -> None:
        super().__init__(f"{reason} {remedy} Then run the command again.")
        self.cause = cause
        self.reason = reason


def explain(program: str, output: str, venv: Path, log: Path | None = None) -> SetupError:
    """Return the error for a program that failed while it worked on the environment `venv`, from its output.

    `log` is the file that has the output, if there is one.
    """
    cause = next((cause for cause, signs in _SIGNS.items() if re.search(signs, output, re.IGNORECASE)), Cause.OTHER)
    lines = [line.strip() for line in output.splitlines() if line.strip()] or ["it printed nothing"]
    telling = [line for line in lines if re.search(_SIGNS.get(cause, "$"), line, re.IGNORECASE)] or lines
    more = f"All that it printed is in {log}. " if log is not None else ""
    reason, remedy = (text.format(program=program, line=telling[-1], venv=venv, log=more) for text in _TEXTS[cause])
    return SetupError(cause, reason, remedy)
