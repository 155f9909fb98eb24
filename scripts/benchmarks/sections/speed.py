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
from benchmarks.entries import ALONE, INSTALL, Entry, entries_of, forced
from benchmarks.findings import Finding, Plan, Row
from benchmarks.kernels import title
from benchmarks.measure import Answers, best_peak, in_turn, ratio, seconds_per_unit
from benchmarks.processes import ContenderError, Group
from benchmarks.task import Task, paper_task

_TOLERANCE = 0.05
"""Largest relative difference of a loss from ours: other random draws move it by 1 or 2 %, less work by far more."""
_TUNING_IMAGES = 4000
_TUNED = ("ours", "torch-stacked", "jax")


def measure_speed(plan: Plan) -> Finding:
    """Start all contenders, tune, warm up, compare losses, then time alternating rounds."""
    task, entries = paper_task(plan.folder, plan.source, plan.images), entries_of(plan.kernels)
    with ExitStack() as stack:
        groups, absent, failed = _start(plan, task, entries, stack)
        peak = stack.enter_context(Group([plan.core], contender="peak", size=plan.peak_size))
        blas = peak.ask("warm")[0]["blas"]
        ready, contenders = _make_ready(plan, entries, groups, failed)
        plan.say(f"Timing {len(ready) + 1} contenders, {plan.repetitions} rounds in turn ...")
        answers, fallen = in_turn({"peak": peak, **ready}, plan.repetitions)
    failed |= fallen
    for needed in ("peak", "ours"):
        if needed not in answers:
            raise ContenderError(f"{needed}: {failed[needed]}")
    return _report(Measured(plan, task, entries, answers, contenders, absent, failed), blas)


def _start(
    plan: Plan, task: Task, entries: Mapping[str, Entry], stack: ExitStack
) -> tuple[dict[str, Group], dict[str, str], dict[str, str]]:
    groups: dict[str, Group] = {}
    absent: dict[str, str] = {}
    failed: dict[str, str] = {}
    for name, entry in entries.items():
        if find_spec(entry.package) is None:
            absent[name] = f"not installed: pip install '{INSTALL[entry.package]}'"
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
        return StageRounds(plan, on, entry.kernel)
    settings: dict[str, Any] = {"tuning_images": _TUNING_IMAGES}
    if entry.contender == "optuna":
        settings = {"study": _peer_study(plan), "epochs": plan.peer_epochs}
    return Group(on, contender=entry.contender, kernel=entry.kernel, task=task.as_dict(), **settings)


def _peer_study(plan: Plan) -> str:
    address = f"sqlite:///{plan.folder / 'peer.db'}"
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    optuna.create_study(study_name="peer", storage=address, direction="maximize")
    return address


class StageRounds(Group):
    """Processes that together run a new campaign of ours to its end in every round."""

    def __init__(self, plan: Plan, on: list[int], kernel: str | None) -> None:
        super().__init__(on, contender="stage", kernel=kernel, data=str(plan.source))
        self._plan, self._workers, self._name, self._round = plan, len(on), f"together-{kernel}", 0

    def ask(self, method: str, **arguments: Any) -> list[dict[str, Any]]:
        """Give every round its own campaign and storage; nothing else needs warming up."""
        if method != "round":
            return [{"way": {}}]
        plan, self._round = self._plan, self._round + 1
        campaign = campaigns.write_paper_shaped(
            plan.folder / f"{self._name}.toml", images=plan.images, trials=plan.stage_trials * self._workers,
            epochs=plan.stage_epochs, workers=self._workers,
        )  # fmt: skip
        storage = str(plan.folder / f"{self._name}-{self._round}.db")
        answers = super().ask("round", campaign=campaign, storage=storage, **arguments)
        if not any(answer["units"] for answer in answers):
            raise ContenderError("no process trained and recorded anything of the stage")
        # A campaign uses whole batches: if the others use fewer images, its seconds are scaled to theirs.
        scale = plan.images / campaigns.paper_images(plan.images)
        return [{**answer, "seconds": answer["seconds"] * scale} for answer in answers if answer["units"]]


def _make_ready(
    plan: Plan, entries: Mapping[str, Entry], groups: Mapping[str, Group], failed: dict[str, str]
) -> tuple[dict[str, Group], dict[str, dict[str, Any]]]:
    ready: dict[str, Group] = {}
    contenders: dict[str, dict[str, Any]] = {}
    for name, group in groups.items():
        tuning: dict[str, Any] = {}
        try:
            if plan.tune and name in _TUNED:
                plan.say(f"Looking for the best way of {entries[name].title} ...")
                tuning = group.ask("tune")[0]
            contenders[name] = {**group.ask("warm", **_way_of(name, entries[name], contenders))[0], **tuning}
        except ContenderError as error:
            failed[name] = str(error)
        else:
            ready[name] = group
    return ready, contenders


def _way_of(name: str, entry: Entry, contenders: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options to time as an argument; nothing for those that were found to be the fastest."""
    if entry.way:
        return {"way": entry.way}
    if name == "ours" or entry.kernel is None or "ours" not in contenders:
        return {}
    return {"way": contenders["ours"]["way"]}  # all our processes use the options that were fastest for one


@dataclass(frozen=True, slots=True)
class Measured:
    """What the rounds gave."""

    plan: Plan
    task: Task
    entries: Mapping[str, Entry]
    answers: dict[str, list[Answers]]
    contenders: Mapping[str, dict[str, Any]]
    absent: Mapping[str, str]
    """Why contenders are not installed, which is fine."""
    failed: Mapping[str, str]
    """Why contenders failed, which is an error."""

    def missing(self, name: str) -> str:
        """Return why a contender was not timed."""
        return self.absent.get(name) or f"failed: {self.failed[name]}"

    def errors(self) -> Iterator[str]:
        """Yield what must not go unnoticed: contenders that failed, or did unequal work."""
        for name, reason in self.failed.items():
            yield f"{self.entries[name].title} failed: {reason}"
        ours = self.contenders["ours"]["loss"]
        for name, contender in self.contenders.items():
            loss = contender.get("loss", ours)
            if not abs(loss - ours) <= _TOLERANCE * ours:  # so that NaN counts as unequal
                yield (
                    f"{self.entries[name].title}: training loss {loss:.4f} after the first epoch, Coarsefine's "
                    f"{ours:.4f}. More than {_TOLERANCE:.0%} apart: it does not do the same work."
                )


def _report(measured: Measured, blas: dict[str, Any]) -> Finding:
    peaks, task = measured.answers.pop("peak"), measured.task
    best, peak = best_peak(peaks)
    rows = [
        Row("sgemm peak of a core", peak, "GF/s", note=f"{best}: {_words(blas.get(best, {}))}"),
        *(_row(measured, name, entry) for name, entry in measured.entries.items()),
        *_further_ratios(measured),
    ]
    data = {
        "task": {**task.as_dict(), "arrays": None, "flops": task.flops},
        "blas": blas,
        "peaks": [one[0] for one in peaks],
        "contenders": measured.contenders,
        "not_installed": measured.absent,
        "failed": measured.failed,
        "seconds": {name: [_each(one) for one in rounds] for name, rounds in measured.answers.items()},
    }
    return Finding("speed", "Speed: one epoch of one trial on one core", rows, data, list(measured.errors()))


def _each(answers: Answers) -> list[float]:
    return [answer["seconds"] / answer["units"] for answer in answers]


def _words(library: Mapping[str, Any]) -> str:
    return " ".join(str(library[key]) for key in ("internal_api", "version", "architecture") if library.get(key))


def _row(measured: Measured, name: str, entry: Entry) -> Row:
    target, answers = entry.target(measured.plan.kernels[0]), measured.answers
    if name not in answers:
        return Row(entry.title, None, "s", target=target, note=measured.missing(name))
    seconds = seconds_per_unit(answers[name])
    compared = entry.kernel is None and entry.rival in answers
    times = ratio(answers[name], answers[entry.rival]) if compared else None
    kernel = [title(entry.kernel)] if entry.kernel else []
    place = ["a process on each"] if entry.everywhere else []
    speed = f"{measured.task.flops / 1e9 / seconds.median:.0f} GF/s"
    note = ", ".join([speed, *kernel, *place, *_way(measured.contenders[name])])
    return Row(entry.title, seconds, "s", times, target, note)


def _way(contenders: Mapping[str, Any]) -> list[str]:
    """Return the options used and the loss, as text."""
    way = [f"{key} {value}" for key, value in contenders.get("way", {}).items() if (key, value) != ("width", 1)]
    return [*way, f"loss {contenders['loss']:.3f}"] if "loss" in contenders else way


def _further_ratios(measured: Measured) -> Iterator[Row]:
    """Yield the ratios to one trial alone, and those of all peers to the slower kernel."""
    used, *slower = measured.plan.kernels
    yield _ratio_row(measured, "torch", ALONE, ALONE.rival, used)
    for kernel in slower[:1]:
        yield _ratio_row(measured, "torch", ALONE, forced(ALONE.rival), kernel)
        for name, entry in measured.entries.items():
            if entry.kernel is None:
                yield _ratio_row(measured, name, entry, forced(entry.rival), kernel)


def _ratio_row(measured: Measured, name: str, entry: Entry, rival: str, kernel: str) -> Row:
    both = name in measured.answers and rival in measured.answers
    times = ratio(measured.answers[name], measured.answers[rival]) if both else None
    note = "" if both else measured.missing(name if name not in measured.answers else rival)
    return Row(f"{title(kernel)}: {entry.title}", times, "×", target=entry.target(kernel), note=note)
