"""Time Coarsefine and its alternatives side by side: same network, images, mini-batches, momentum and penalty.

Contenders on one core are compared with our training on one core. Optuna with PyTorch runs one process per core, with
trials in a shared study; it is compared with as many processes of ours that share a study through our storage.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import optuna

from benchmarks import campaigns
from benchmarks.findings import Finding, Plan, Row, Target
from benchmarks.measure import Answers, Spread, best_peak, in_turn, ratio, seconds_per_unit
from benchmarks.processes import ContenderError, Group
from benchmarks.task import Task, paper_task

_TOLERANCE = 0.05
"""Largest relative difference of a loss from ours: other random draws move it by 1 or 2 %, less work by far more."""
_TUNING_IMAGES = 4000


@dataclass(frozen=True, slots=True)
class Entry:
    """A contender."""

    title: str
    contender: str
    package: str = "numpy"
    """The packages that must be importable."""
    everywhere: bool = False
    """Whether it runs one process on every core at once."""
    target: Target | None = None
    rival: str = "ours"
    """The contender of ours that it is compared with."""


ENTRIES = {
    "ours": Entry("Coarsefine, training alone", "coarsefine"),
    "ours, all cores": Entry("Coarsefine, training alone, all cores", "coarsefine", everywhere=True),
    "stage": Entry("Coarsefine through storage, all cores", "stage", everywhere=True),
    "plain": Entry("plain NumPy, float64, one trial", "plain", target=Target(4.5, "at least")),
    "sklearn": Entry("scikit-learn MLPClassifier, one trial", "sklearn", "sklearn"),
    "torch": Entry("PyTorch, one trial", "torch", "torch"),
    "optuna": Entry(
        "Optuna + PyTorch, one trial at a time, all cores",
        "optuna", "torch", everywhere=True, target=Target(2.3, "at least"), rival="stage",
    ),
    "torch-stacked": Entry("PyTorch, stacked", "torch-stacked", "torch", target=Target(1.25, "at least")),
    "jax": Entry("JAX, vmap + jit", "jax", "jax", target=Target(1.4, "at least")),
}  # fmt: skip
_INSTALL = {"torch": "torch>=2.9", "jax": "jax>=0.7", "sklearn": "scikit-learn>=1.7"}
_MINE = ("ours", "ours, all cores", "stage")


def measure_speed(plan: Plan) -> Finding:
    """Start all contenders, tune, warm up, compare losses, then time alternating rounds."""
    task = paper_task(plan.folder, plan.source, plan.images)
    with ExitStack() as stack:
        groups, absent, failed = _start(plan, task, stack)
        peak = stack.enter_context(Group([plan.core], contender="peak", size=plan.peak_size))
        blas = peak.ask("warm")[0]["blas"]
        ready, contenders = _make_ready(plan, groups, failed)
        plan.say(f"Timing {len(ready) + 1} contenders, {plan.repetitions} rounds in turn ...")
        answers, fallen = in_turn({"peak": peak, **ready}, plan.repetitions)
    failed |= fallen
    for needed in ("peak", "ours"):
        if needed not in answers:
            raise ContenderError(f"{needed}: {failed[needed]}")
    return _report(task, answers, Missing(absent, failed), contenders, blas)


@dataclass(frozen=True, slots=True)
class Missing:
    """Contenders that could not be timed: not installed, which is fine, or failing, which is an error."""

    absent: Mapping[str, str]
    failed: Mapping[str, str]

    def note(self, name: str) -> str:
        """Return the reasons as text."""
        return self.absent.get(name) or f"failed: {self.failed[name]}"

    def errors(self) -> Iterator[str]:
        """Yield the reasons that must not go unnoticed."""
        for name, reason in self.failed.items():
            yield f"{ENTRIES[name].title} failed: {reason}"


def _start(plan: Plan, task: Task, stack: ExitStack) -> tuple[dict[str, Group], dict[str, str], dict[str, str]]:
    groups: dict[str, Group] = {}
    absent: dict[str, str] = {}
    failed: dict[str, str] = {}
    for name, entry in ENTRIES.items():
        if find_spec(entry.package) is None:
            absent[name] = f"not installed: pip install '{_INSTALL[entry.package]}'"
            continue
        plan.say(f"Starting {entry.title} ...")
        try:
            on = plan.cores if entry.everywhere else [plan.core]
            groups[name] = stack.enter_context(_group(plan, task, entry, on))
        except ContenderError as error:
            failed[name] = str(error)
    return groups, absent, failed


def _group(plan: Plan, task: Task, entry: Entry, on: list[int]) -> Group:
    if entry.contender == "stage":
        return StageRounds(plan, on)
    settings: dict[str, Any] = {"tuning_images": _TUNING_IMAGES}
    if entry.contender == "optuna":
        settings = {"study": _peer_study(plan), "epochs": plan.peer_epochs}
    return Group(on, contender=entry.contender, task=task.as_dict(), **settings)


def _peer_study(plan: Plan) -> str:
    address = f"sqlite:///{plan.folder / 'peer.db'}"
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    optuna.create_study(study_name="peer", storage=address, direction="maximize")
    return address


class StageRounds(Group):
    """Processes that together run a new campaign of ours to its end in every round."""

    def __init__(self, plan: Plan, on: list[int]) -> None:
        super().__init__(on, contender="stage", data=str(plan.source))
        self._plan, self._workers, self._round = plan, len(on), 0

    def ask(self, method: str, **arguments: Any) -> list[dict[str, Any]]:
        """Give every round its own campaign and storage; nothing else needs warming up."""
        if method != "round":
            return [{"way": {}}]
        plan, self._round = self._plan, self._round + 1
        campaign = campaigns.write_paper_shaped(
            plan.folder / "together.toml", images=plan.images, trials=plan.stage_trials * self._workers,
            epochs=plan.stage_epochs, workers=self._workers,
        )  # fmt: skip
        storage = str(plan.folder / f"together-{self._round}.db")
        answers = super().ask("round", campaign=campaign, storage=storage, **arguments)
        if not any(answer["units"] for answer in answers):
            raise ContenderError("no process trained and recorded anything of the stage")
        # A campaign uses whole batches: if the others use fewer images, its seconds are scaled to theirs.
        scale = plan.images / campaigns.paper_images(plan.images)
        return [{**answer, "seconds": answer["seconds"] * scale} for answer in answers if answer["units"]]


def _make_ready(
    plan: Plan, groups: Mapping[str, Group], failed: dict[str, str]
) -> tuple[dict[str, Group], dict[str, dict[str, Any]]]:
    ready: dict[str, Group] = {}
    contenders: dict[str, dict[str, Any]] = {}
    for name, group in groups.items():
        try:
            contenders[name] = _tuned_and_warm(plan, name, group, contenders)
        except ContenderError as error:
            failed[name] = str(error)
        else:
            ready[name] = group
    return ready, contenders


def _tuned_and_warm(plan: Plan, name: str, group: Group, contenders: Mapping[str, Any]) -> dict[str, Any]:
    tuning: dict[str, Any] = {}
    if plan.tune and name in {"ours", "torch-stacked", "jax"}:
        plan.say(f"Looking for the best way of {ENTRIES[name].title} ...")
        tuning = group.ask("tune")[0]
    # All our processes use the options that were fastest for one.
    way = {"way": contenders["ours"]["way"]} if name == "ours, all cores" and "ours" in contenders else {}
    return {**group.ask("warm", **way)[0], **tuning}


def _report(
    task: Task,
    answers: dict[str, list[Answers]],
    missing: Missing,
    contenders: dict[str, dict[str, Any]],
    blas: dict[str, Any],
) -> Finding:
    peaks = answers.pop("peak")
    best, peak = best_peak(peaks)
    rows = [
        Row("sgemm peak of a core", peak, "GF/s", note=f"{best}: {_words(blas.get(best, {}))}"),
        *_speed_rows(task, answers, missing, contenders),
        _share_row(task, answers["ours"], [one[0][best] for one in peaks]),
    ]
    data = {
        "task": {**task.as_dict(), "arrays": None, "flops": task.flops},
        "blas": blas,
        "peaks": [one[0] for one in peaks],
        "contenders": contenders,
        "not_installed": missing.absent,
        "failed": missing.failed,
        "seconds": {name: [_each(one) for one in rounds] for name, rounds in answers.items()},
    }
    errors = [*missing.errors(), *_unequal(contenders)]
    return Finding("speed", "Speed: one epoch of one trial on one core", rows, data, errors)


def _share_row(task: Task, ours: list[Answers], peaks: list[float]) -> Row:
    rates = [task.flops / 1e9 / seconds_per_unit([one]).median for one in ours]
    shares = Spread.of([rate / peak for rate, peak in zip(rates, peaks, strict=True)])
    return Row("share of the peak inside training", shares, "", target=Target(0.68, "at least"))


def _each(answers: Answers) -> list[float]:
    return [answer["seconds"] / answer["units"] for answer in answers]


def _words(library: Mapping[str, Any]) -> str:
    return " ".join(str(library[key]) for key in ("internal_api", "version", "architecture") if library.get(key))


def _speed_rows(
    task: Task, answers: Mapping[str, list[Answers]], missing: Missing, contenders: Mapping[str, Any]
) -> Iterator[Row]:
    for name, entry in ENTRIES.items():
        target = entry.target
        if name not in answers:
            yield Row(entry.title, None, "s", target=target, note=missing.note(name))
            continue
        seconds = seconds_per_unit(answers[name])
        compared = name not in _MINE and entry.rival in answers
        times = ratio(answers[name], answers[entry.rival]) if compared else None
        place = ["a process on each"] if entry.everywhere else []
        speed = task.flops / 1e9 / seconds.median
        needed = [f"the target needs {target.limit * speed:.0f}"] if target else []
        words = [f"{speed:.0f} GF/s", *needed, *place, *_way(contenders[name])]
        yield Row(entry.title, seconds, "s", times, target, ", ".join(words))


def _way(contenders: Mapping[str, Any]) -> list[str]:
    """Return the options used and the loss, as text."""
    way = [f"{key} {value}" for key, value in contenders.get("way", {}).items() if (key, value) != ("width", 1)]
    return [*way, f"loss {contenders['loss']:.3f}"] if "loss" in contenders else way


def _unequal(contenders: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    ours = contenders["ours"]["loss"]
    for name, contender in contenders.items():
        loss = contender.get("loss", ours)
        if not abs(loss - ours) <= _TOLERANCE * ours:  # so that NaN counts as unequal
            yield (
                f"{ENTRIES[name].title}: training loss {loss:.4f} after the first epoch, Coarsefine's {ours:.4f}. "
                f"More than {_TOLERANCE:.0%} apart: it does not do the same work."
            )
