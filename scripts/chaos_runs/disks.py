"""Fill the disk, or limit the file size, at many points of a run; then make room and resume."""

import resource
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from chaos_runs.campaigns import Run, calm, outcome, plain, resumed
from chaos_runs.findings import Plan, Row
from chaos_runs.places import Place
from coarsefine import StorageError, run
from coarsefine.search.campaign.campaign import Campaign

_CAUSES = ("disk is full", "disk I/O error", "File too large", "No space left", "unable to open")
_EXIT_CODE = StorageError.exit_code
_EPOCHS = 3
_SMALLEST = 0.2
"""Fraction of the space of a whole campaign below which even the tables do not fit."""


def disks(plan: Plan, database: str) -> list[Row]:
    """Fill the disk at points throughout a run on SQLite, in both ways that the system allows."""
    if database != "SQLite":
        return []
    text = plain(plan.seed, _EPOCHS)
    size = _size(plan, text)
    rows = [_row(plan, "file-size limit", _limited(plan, text, size), plan.full_disks)]
    if not _may_mount(plan.folder):
        plan.say("A disk cannot be filled here: mounting a small tmpfs is not allowed.")
        return rows
    return [*rows, _row(plan, "disk full", _filled(plan, text, size), plan.full_disks)]


def _row(plan: Plan, what: str, broken: list[list[str]], n: int) -> Row:
    kept = sum(not lines for lines in broken)
    plan.say(f"SQLite: {what} at {n} points")
    return Row(
        what, "SQLite", f"{n} points", f"exit 5, reported, resumed to N in {kept} of {n}",
        "exit 5, cause and path named, none FAILed, N on resuming", [line for lines in broken for line in lines],
    )  # fmt: skip


def _size(plan: Plan, text: str) -> int:
    """Return the size of the studies of a whole campaign."""
    with plan.databases.new("SQLite") as place:
        file = place.folder / "chaos.toml"
        file.write_text(text, "utf-8")
        run(Campaign.load(file), place.address)
        return Path(place.address).stat().st_size


def _points(plan: Plan, size: int, key: int) -> list[int]:
    """Return one random size from each of `n` equal intervals."""
    shares = (plan.random(5, key).uniform(size=plan.full_disks) + range(plan.full_disks)) / plan.full_disks
    return [int(size * (_SMALLEST + share * (0.97 - _SMALLEST))) for share in shares]


def _limited(plan: Plan, text: str, size: int) -> list[list[str]]:
    broken = []
    for number, point in enumerate(_points(plan, size, 0)):
        with plan.databases.new("SQLite") as place:
            stopped = Run(place, text, 1 + number % 2, preexec_fn=_limit(point))
            broken.append(_faults_of_end(stopped, text, f"at {point:,} bytes of a file") or resumed(place, text))
    return broken


def _limit(size: int) -> Callable[[], None]:
    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return limit


def _filled(plan: Plan, text: str, size: int) -> list[list[str]]:
    broken = []
    for number, point in enumerate(_points(plan, size, 1)):
        with _small_disk(plan.folder, point) as disk, plan.databases.new("SQLite", disk) as place:
            stopped = Run(place, text, 1 + number % 2)
            wrong = _faults_of_end(stopped, text, f"on a disk of {point:,} bytes")
            _mount("-o", "remount,size=100m", str(disk))
            broken.append(wrong or resumed(place, text))
    return broken


def _faults_of_end(stopped: Run, text: str, where: str) -> list[str]:
    """Return what was wrong with the end of a run on a full disk."""
    code, stderr, place = stopped.end(), stopped.stderr, stopped.place
    wrong = [f"exit code {code}"] if code != _EXIT_CODE else []
    wrong += [] if str(place.folder) in stderr else ["the path is not named"]
    wrong += [] if any(cause in stderr for cause in _CAUSES) else ["the cause is not named"]
    wrong += ["it printed a traceback"] if "Traceback" in stderr else []
    wrong += _failed(place, text)
    return [f"SQLite, {where}: {'; '.join(wrong)}: {stderr.strip()[-600:]}"] if wrong else []


def _failed(place: Place, text: str) -> list[str]:
    if not Path(place.address).exists():
        return []
    expected = calm(text).trials
    found = outcome(place.location.url).trials
    failed = [key for key, trial in found.items() if trial["state"] == "FAIL" and trial != expected[key]]
    return [f"{study} slot {number} FAILed: {found[study, number]['reason']}" for study, number in failed]


def _may_mount(folder: Path) -> bool:
    try:
        with _small_disk(folder, 100_000):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


@contextmanager
def _small_disk(folder: Path, size: int) -> Iterator[Path]:
    disk = Path(mkdtemp(dir=folder))
    _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk))
    try:
        yield disk
    finally:
        subprocess.run([shutil.which("umount") or "umount", str(disk)], check=True, capture_output=True)
        disk.rmdir()


def _mount(*arguments: str) -> None:
    subprocess.run([shutil.which("mount") or "mount", *arguments], check=True, capture_output=True)
