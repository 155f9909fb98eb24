"""A stage's study as it is read back from the storage, and the campaign that its studies hold."""

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState
from pydantic import ValidationError

from coarsefine.model.datasets import Counts
from coarsefine.model.extensions import missing_packages
from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.campaign.direction import Direction
from coarsefine.search.campaign.sections import CONFIRM, FINAL
from coarsefine.search.campaign.space import Point, Space
from coarsefine.search.campaign.validation_errors import sentence
from coarsefine.search.campaign.winner import Candidate, Verdict, judge
from coarsefine.search.errors import CampaignError, NothingCompleted, StorageError, UsageError
from coarsefine.search.results.commands import to_continue
from coarsefine.search.results.own_slots import as_slots, planned_of
from coarsefine.search.storage.location import Location
from coarsefine.search.storage.optuna_storage import Storage
from coarsefine.search.storage.slots import SET_BY_OTHERS, Slot, has_diverged
from coarsefine.search.storage.study_queries import StudyName
from coarsefine.search.storage.tables import OBJECTIVE, RETRIED

_SIZES = re.compile(r"([\d,]+)/([\d,]+)/([\d,]+) images")


@dataclass(frozen=True, slots=True)
class Study:
    """A stage's study at one moment."""

    id: int
    name: str
    attrs: dict[str, Any]
    trials: tuple[FrozenTrial, ...]
    """The slots, as `as_slots` returns them."""
    others: tuple[int, ...] = ()
    """The numbers of the trials of other programs."""

    @property
    def space(self) -> Space:
        """Return the ranges the stage draws from."""
        return Space.from_dict(self.attrs["space"])

    @property
    def is_confirm(self) -> bool:
        """Return whether its stage trains the finalists again."""
        return "finalists" in self.attrs

    @property
    def is_final(self) -> bool:
        """Return whether its stage trains the winner again."""
        return "winner" in self.attrs

    @property
    def is_search(self) -> bool:
        """Return whether its stage searches, rather than train what others found."""
        return not self.is_confirm and not self.is_final

    @property
    def images(self) -> Counts | None:
        """Return how many images each part has; None if an objective was searched, or if the study does not say."""
        if "images" in self.attrs:
            return Counts(**self.attrs["images"])
        # Studies of earlier versions hold the numbers in a sentence only, which `coarsefine.model.datasets` wrote.
        found = _SIZES.search(str(self.attrs.get("data", {}).get("description", "")))
        return Counts(*(int(size.replace(",", "")) for size in found.groups())) if found else None

    @property
    def slots(self) -> list[Slot]:
        """Return the trials as they were planned."""
        return [Slot(trial.number, point_of(trial), trial.user_attrs["seed"]) for trial in self.trials]

    @property
    def retries(self) -> int:
        """Return how often failed trials of it were put back."""
        return len(self.attrs.get(RETRIED, ()))

    @property
    def planned(self) -> int:
        """Return the number of slots that were planned."""
        return planned_of(self.attrs) or len(self.trials)

    @property
    def missing(self) -> list[int]:
        """Return the numbers of the slots that another program has deleted."""
        return sorted({*range(self.planned)} - {trial.number for trial in self.trials}) if self.planned else []

    @property
    def changed(self) -> list[int]:
        """Return the numbers of the slots whose state another program has set."""
        return [t.number for t in self.trials if str(t.user_attrs.get("reason", "")).startswith(SET_BY_OTHERS)]

    @property
    def altered(self) -> list[int]:
        """Return the numbers of the slots that do not have a seed and a point of the space."""
        space = self.space
        return [t.number for t in self.trials if not _is_seed(t.user_attrs["seed"]) or not space.contains(point_of(t))]

    def trial(self, number: int) -> FrozenTrial | None:
        """Return a slot by its number; None if there is none."""
        return next((trial for trial in self.trials if trial.number == number), None)

    def count(self, state: TrialState) -> int:
        """Return the number of trials in a state."""
        return sum(trial.state is state for trial in self.trials)

    @property
    def finished(self) -> bool:
        """Return whether every trial has ended."""
        return all(trial.state.is_finished() for trial in self.trials) and len(self.trials) == self.planned

    @property
    def diverged(self) -> int:
        """Return the number of trials that ended because their loss or weights overflowed."""
        return sum(has_diverged(trial.state, trial.user_attrs.get("reason")) for trial in self.trials)

    @property
    def failed(self) -> int:
        """Return the number of trials that ended without a value for another reason."""
        return self.count(TrialState.FAIL) - self.diverged

    @property
    def failure(self) -> tuple[int, str] | None:
        """Return the number of the first trial that failed without diverging, and the reason; None if there is none."""
        for trial in self.trials:
            reason = trial.user_attrs.get("reason")
            if trial.state is TrialState.FAIL and reason and not has_diverged(trial.state, reason):
                return trial.number, reason
        return None

    @property
    def failures(self) -> str:
        """Return how many trials ended without a value, and how, as text."""
        status = f"`coarsefine status {self.name.rpartition('/')[0]}` shows why"
        counts = {"diverged": self.diverged, f"failed: {status}": self.failed}
        return ", ".join(f"{count} {how}" for how, count in counts.items() if count) or "none ended"

    @property
    def direction(self) -> Direction:
        """Return which values are better."""
        return Direction(self.attrs.get("config", {}).get("direction", Direction.MAXIMIZE))

    def best(self, k: int) -> list[FrozenTrial]:
        """Return the k best completed trials, best first; of equal values, the lower number first."""
        completed = [trial for trial in self.trials if trial.state is TrialState.COMPLETE]
        return sorted(completed, key=lambda trial: (self.direction.key(value_of(trial)), trial.number))[:k]


def value_of(trial: FrozenTrial) -> float:
    """Return a completed trial's value, which for the network is its validation accuracy."""
    assert trial.value is not None, "only a completed trial has a value"  # noqa: S101
    return trial.value


def values_by_epoch(trial: FrozenTrial) -> list[float]:
    """Return the values that a trial recorded, in the order of the epochs."""
    return [value for _, value in sorted(trial.intermediate_values.items())]


def metrics_by_epoch(trial: FrozenTrial) -> dict[str, list[float | None]]:
    """Return the further metrics that a trial's code reported, by name, each with a value or None for each epoch."""
    named = trial.user_attrs.get("metrics")
    return _known(named) if isinstance(named, dict) else {}


def losses_by_epoch(trial: FrozenTrial) -> dict[str, list[float | None]]:
    """Return the losses that a trial of the network recorded, by name; None where one was not finite."""
    return _known({name: trial.user_attrs.get(name) for name in ("train_loss", "validation_loss")})


def _known(named: Mapping[str, Any]) -> dict[str, list[float | None]]:
    """Return the lists with at least one number."""
    return {
        name: found for name, found in named.items() if isinstance(found, list) and any(v is not None for v in found)
    }


def point_of(trial: FrozenTrial) -> Point:
    """Return a trial's point."""
    return Point.of(trial.params)


def in_order_of_end(trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
    """Return the trials that have ended, in the order in which they did."""
    ended = [trial for trial in trials if trial.state.is_finished() and trial.datetime_complete]
    return sorted(ended, key=lambda trial: (trial.datetime_complete, trial.number))


def find_studies(storage: Storage, campaign: str) -> dict[str, Study]:
    """Return a campaign's studies by name, in the order of the stages. Studies of other programs are left out."""
    found = sorted((study for study in storage.get_all_studies() if _is_of(study, campaign)), key=_place)
    return {study.name: study for study in (_read(storage, frozen) for frozen in found) if study is not None}


def other_studies(storage: Storage, campaign: str, studies: Container[str]) -> list[StudyName]:
    """Return the studies that are named after a campaign, or say they are its own, and are not among its `studies`."""
    return [
        study
        for study in storage.queries.names()
        if campaign in {study.name.rpartition("/")[0], study.campaign} and study.name not in studies
    ]


def _is_of(study: FrozenStudy, campaign: str) -> bool:
    """Return whether a study is one of a campaign's; a copy of one has another name."""
    attrs = study.user_attrs
    return attrs.keys() >= {"config", "stage", "space"} and study.study_name == f"{campaign}/{attrs['stage']}"


def _place(study: FrozenStudy) -> tuple[int, int]:
    """Return the key that sorts studies in the order of their stages; a study that was put back has the highest id."""
    config = study.user_attrs["config"]
    stages = config.get("stage") if isinstance(config, dict) else None
    names = [*(stage.get("name") for stage in stages or () if isinstance(stage, dict)), CONFIRM, FINAL]
    stage = study.user_attrs["stage"]
    return names.index(stage) if stage in names else len(names), study._study_id


def _read(storage: Storage, frozen: FrozenStudy) -> Study | None:
    """Return a study with its slots; None if another program has deleted it meanwhile."""
    attrs = frozen.user_attrs
    if not (trials := storage.trials_of(frozen._study_id)):
        return None
    slots, others = as_slots(trials, attrs)
    return Study(frozen._study_id, frozen.study_name, attrs, slots, others)


def _is_seed(seed: object) -> bool:
    return isinstance(seed, int) and not isinstance(seed, bool) and seed >= 0


def read_studies(storage: Storage, name: str | None) -> tuple[str, dict[str, Study]]:
    """Return a campaign's name and its studies, at least one; without a name, those of the only one in the storage.

    Raises `UsageError` if the storage does not hold that campaign.
    """
    known = campaign_names(storage)
    name = known[0] if name is None and len(known) == 1 else name
    studies = find_studies(storage, name) if name in known else {}
    if name in known and not studies:
        renamed = next(study.name for study in other_studies(storage, name, ()) if study.campaign == name)
        raise StorageError(
            f"{storage.location} has campaign {name} under another name: another program renamed a study of it to "
            f"{renamed}. `coarsefine run` with the campaign's file says how to give it back its name."
        )
    if name is None or not studies:
        listed = ", ".join(known) or "none"
        asked = f"has no campaign '{name}'" if name is not None else "does not hold exactly one campaign"
        raise UsageError(f"{storage.location} {asked}: name one of those it has ({listed}).")
    return name, studies


def find_trial(studies: Mapping[str, Study], stage: str, number: int) -> tuple[Study, FrozenTrial]:
    """Return a trial with its study; `stage` may also be the study's name. Raises `UsageError` if there is none."""
    for study in studies.values():
        if stage in {study.name, study.attrs["stage"]}:
            for trial in study.trials:
                if trial.number == number:
                    return study, trial
    known = ", ".join(f"{s.attrs['stage']}#0 to #{len(s.trials) - 1}" for s in studies.values())
    raise UsageError(f"There is no trial {f'{stage[:80]}#{number}'!r}: the campaign has {known}.")


def campaign_of(
    studies: Mapping[str, Study], *, extra: Literal["forbid", "ignore"] = "forbid", to_read: bool = False
) -> Campaign:
    """Return the campaign that studies store, at least one; `extra` is that of `Campaign.from_stored`.

    If it is only `to_read`, not to train, keys are ignored while packages are missing: a setting of theirs may be one.

    Raises `CampaignError` if this version of Coarsefine cannot read it, or if a package is missing that it needs.
    """
    study = next(iter(studies.values()))
    try:
        return Campaign.from_stored(study.attrs["config"], extra=extra)
    except ValidationError as error:
        lacking = missing_packages(study.attrs.get("versions", {}))
        if lacking and to_read and extra == "forbid":
            return campaign_of(studies, extra="ignore")
        if lacking:
            raise CampaignError(f"{study.name} needs {' and '.join(lacking)}: install what is missing.") from error
        raise CampaignError(
            f"{study.name} was started by another version of Coarsefine: {sentence(error, Campaign)} Use that version, "
            "or start again under another name or --storage."
        ) from error


def campaign_names(storage: Storage) -> list[str]:
    """Return the names of all campaigns in a storage, in the order in which they were started."""
    found = [study for study in storage.get_all_studies() if "campaign" in study.user_attrs]
    return list(dict.fromkeys(study.user_attrs["campaign"] for study in found))


def refuse_empty(studies: Iterable[Study], location: Location) -> None:
    """Raise `NothingCompleted` if every trial of a study has failed: then the user's function is probably broken."""
    for study in studies:
        if study.finished and not study.count(TrialState.COMPLETE):
            raise NothingCompleted(
                f"No trial of {study.name} completed ({study.failures}). {remedy([study], location)}"
            )


def remedy(studies: Sequence[Study], location: Location) -> str:
    """Return what to do if no trial of these studies completed; `location` is where they are."""
    trials = (trial for study in studies if OBJECTIVE in study.attrs for trial in study.trials)
    reasons = [t.user_attrs["reason"] for t in in_order_of_end(trials) if t.user_attrs.get("reason")]
    if not reasons:
        return "Lower the upper bound of eta, then start the campaign under another name."
    campaign = studies[0].name.rpartition("/")[0]
    return (
        f"The last one: {reasons[-1]}. {to_continue(campaign, location, diverged=not any(s.failed for s in studies))}"
    )


def verdict_of(studies: Iterable[Study]) -> Verdict | None:
    """Return the verdict on the finalists; None until all of them have been trained again.

    Raises `CampaignError` if another version of Coarsefine stored the finalists in a form that this one cannot read.
    """
    confirm = next((study for study in studies if study.is_confirm), None)
    if confirm is None or not confirm.finished:
        return None
    try:
        finalists = [Candidate.from_dict(form) for form in confirm.attrs["finalists"]]
    except ValueError as error:
        raise CampaignError(
            f"{confirm.name} has finalists that this version of Coarsefine cannot read ({error}). Use the version "
            "that recorded them, or start again under another name or --storage."
        ) from error
    values = [t.value if t.state is TrialState.COMPLETE else None for t in confirm.trials]  # none is missing
    k = len(finalists)
    seed, of_network = confirm.attrs["config"]["seed"], "objective" not in confirm.attrs
    found = [values[place::k] for place in range(k)]
    return judge(finalists, found, seed, direction=confirm.direction, of_network=of_network)
