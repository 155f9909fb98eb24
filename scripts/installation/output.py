"""Read what uv and pip print while they install, and say what they do."""

from installation.progress import Progress


class UvOutput:
    """Lines of `uv pip install`; it names only packages that are large enough for a wait."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._downloading: dict[str, str] = {}

    def __call__(self, line: str) -> None:
        """Read a line."""
        match line.split():
            case ["Resolved", count, *_]:
                self._progress.step(f"Downloading what is missing of {count} packages, with uv")
            case ["Downloading", name, size]:
                self._downloading[name] = size.strip("()")
            case ["Downloaded", name]:
                self._downloading.pop(name, None)
            case ["Prepared", count, *_]:
                self._progress.step(f"Installing {count} packages")
                self._downloading.clear()
        self._progress.detail(", ".join(f"{name} {size}" for name, size in self._downloading.items()))


class PipOutput:
    """Lines of `pip install`, which downloads one package after the other."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._downloaded = 0

    def __call__(self, line: str) -> None:
        """Read a line."""
        match line.split():
            case ["Collecting", requirement, *_]:
                self._progress.detail(f"{self._downloaded} downloaded, now {requirement}")
                self._downloaded += 1
            case ["Installing", "collected", "packages:", *names]:
                self._progress.step(f"Installing {len(names)} packages with pip")
