"""Parts of sentences. Processes of user code import this, so it imports nothing."""

from collections.abc import Sequence


def join_words(parts: Sequence[str]) -> str:
    """Return a list as part of a sentence: `a`, `a and b`, `a, b and c`."""
    return " and ".join(part for part in (", ".join(parts[:-1]), parts[-1]) if part)


def counted(number: int, noun: str) -> str:
    """Return a number of things: `1 epoch`, `3 epochs`."""
    return f"{number} {noun}{'s' * (number != 1)}"
