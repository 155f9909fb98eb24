"""Start a run or a worker, and end with its first claim: `python -m scales.first_claim run FILE STORAGE`."""

import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from coarsefine import Campaign, Interrupted, Observer, join, run


class _FirstClaim(Observer):
    """Remembers whether something was claimed."""

    claimed = False

    def on_claimed(self, stage: str, numbers: Sequence[int]) -> None:  # noqa: ARG002 - an observer's
        """Note the claim."""
        self.claimed = True


def main(kind: str, file: str, storage: str) -> None:
    """Train with one process until it has claimed a slot."""
    observer = _FirstClaim()
    start: Callable[..., object] = run if kind == "run" else join
    with suppress(Interrupted):
        start(Campaign.load(Path(file)), storage, observer=observer, stop=lambda: observer.claimed)
    if not observer.claimed:
        raise SystemExit("Nothing was claimed.")


if __name__ == "__main__":
    main(*sys.argv[1:])
