"""Trains an exported trial of user code again: as it was, and then for [final], in a folder of its own.

The folder has studies of its own, with the exported trial as the only one of its stage. So an interrupted training
continues, and workers share the final trainings, as in any campaign.
"""

import hashlib
import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.campaign.json_form import JsonForm
from coarsefine.search.campaign.sections import FinalSettings
from coarsefine.search.campaign.space import Point
from coarsefine.search.campaign.validation_errors import sentence
from coarsefine.search.engine.run import run
from coarsefine.search.errors import CampaignError, UsageError
from coarsefine.search.files import write_atomic
from coarsefine.search.network.export import text_of
from coarsefine.search.network.function_export import FunctionExport
from coarsefine.search.results.campaign_studies import find_studies
from coarsefine.search.results.final_runs import FinalRuns
from coarsefine.search.results.observer import Observer
from coarsefine.search.results.stage_opening import open_exported
from coarsefine.search.results.study import values_by_epoch
from coarsefine.search.storage.location import Location, at_file
from coarsefine.search.storage.opening import create_storage, open_storage
from coarsefine.search.storage.slots import Slot
from coarsefine.search.training.identity import versions
from coarsefine.search.training.user_code.code_change import change_of

STAGE = "exported"
"""The stage with the exported trial."""


@dataclass(frozen=True)
class Retrained(JsonForm):
    """What came of an export of user code."""

    folder: Annotated[str, Field(description="where the studies, the trials' own folders and their logs are")]
    exact: Annotated[bool, Field(description="whether the trial gave the same values again, to the bit")]
    difference: Annotated[float | None, Field(description="the largest one in an epoch; null if it failed")]
    final_runs: Annotated[FinalRuns | None, Field(description="the trainings for [final]; null without it")]

    @property
    def words(self) -> str:
        """Return a sentence about the trial as it was."""
        if self.exact:
            return "The trial's values were reproduced to the bit."
        if self.difference is None:
            return "The trial failed when it was trained again: its log says why."
        return f"The trial's values differ by up to {self.difference:.2g}: its code or its seeds do not determine them."


def final_for(export: FunctionExport, epochs: int | None, seeds: int | None) -> FinalSettings | None:
    """Return the export's [final] with these changes; None if there is neither. Raises `UsageError` for bad ones."""
    changes = {name: value for name, value in (("epochs", epochs), ("seeds", seeds)) if value is not None}
    if export.final is None and not changes:
        return None
    kept = export.final.model_dump() if export.final else {"epochs": _epochs_of(export)}
    try:
        return FinalSettings.model_validate({**kept, **changes})
    except ValidationError as error:
        raise UsageError(f"The final training has invalid settings: {sentence(error, FinalSettings)}") from error


def retrain(
    export: FunctionExport,
    final: FinalSettings | None,
    location: Location,
    *,
    output: Path | None = None,
    workers: int = 1,
    observer: Observer | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Retrained:
    """Train an exported trial as it was, then with each seed of `final`, and return what came of it.

    The folder is `output`, by default one in `trained` next to the storage. The same call resumes an interrupted
    training, and returns the result of one that has ended.

    Raises what `coarsefine.run` raises, and `CampaignError` if the user's code has changed since the export, before
    anything is written.
    """
    campaign, text = _campaign_of(export, final), text_of(export)
    key = hashlib.sha256(json.dumps([export.digest, campaign.as_stored()]).encode()).hexdigest()[:8]
    folder = (output or location.output_folder("trained") / f"{export.campaign.name}-{key}").absolute()
    studies = at_file(folder / "studies.db")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "studies.db").exists():
        raise UsageError(f"{folder} holds other files: name an empty or a new folder as --output.")
    if not (folder / "final.json").exists():  # else it has ended, and nothing is trained
        export = _with_present_source(export, observer or Observer())
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / "export.json", text)
    point = Point.of({name: export.trial.params[name] for name in campaign.stage[0].own_ranges})
    with closing(create_storage(studies)) as storage:
        present = versions() | campaign.packages()
        identity = {"config": campaign.as_stored(), "versions": present, "objective": export.objective}
        open_exported(storage, campaign, Slot(0, point, export.trial.seed), identity)
    status = run(campaign, studies, workers=workers, observer=observer, stop=stop)
    with closing(open_storage(studies)) as storage:
        trial = find_studies(storage, campaign.name)[f"{campaign.name}/{STAGE}"].trials[0]
    pairs = list(zip(export.trial.values, values_by_epoch(trial), strict=False))
    known = len(pairs) == len(export.trial.values)
    difference = max(abs(before - now) for before, now in pairs) if known and pairs else None
    retrained = Retrained(str(folder), difference == 0, difference, status.final_runs)
    write_atomic(folder / "final.json", json.dumps(retrained.as_dict(), indent=2) + "\n")
    return retrained


def _with_present_source(export: FunctionExport, observer: Observer) -> FunctionExport:
    """Return the export with the version of the source that is there now; say so if it did not train the trial.

    Raises `CampaignError` if it is none of the versions that the campaign was searched with.
    """
    stage, number = export.trial.stage, export.trial.number
    versions = sorted(export.sources, key=lambda version: number not in version.trials.get(stage, ()))
    bare = {key: value for key, value in export.objective.items() if key not in {"source", "files"}}
    known = [bare | version.as_attr for version in versions] or [export.objective]
    present = next((objective for objective in known if change_of(objective) is None), None)
    if present is None:
        change = change_of(known[0])
        assert change is not None, "all versions differ"  # noqa: S101
        raise CampaignError(
            f"{change.subject} {change.verb} changed since the exported trial was trained{change.shown}"
            "To train the export, restore the earlier file. To train with the present one, run the campaign under "
            "another name, and export its winner."
        )
    if present != known[0]:
        observer.on_message(
            f"The trial was trained with version {known[0]['digest'][:12]} of its code. This is version "
            f"{present['digest'][:12]}, to which the campaign accepted a change."
        )
    return export.model_copy(update={"objective": present})


def _campaign_of(export: FunctionExport, final: FinalSettings | None) -> Campaign:
    """Return the campaign with the exported trial as its only stage."""
    whole = Campaign.from_stored(export.config)
    stage = {"name": STAGE, "trials": 1, "epochs": _epochs_of(export), "space": export.config["stage"][0]["space"]}
    changed = {"stage": [stage], "confirm": None, "final": final.model_dump(mode="json") if final else None}
    return Campaign.from_stored({**whole.as_stored(), **changed})


def _epochs_of(export: FunctionExport) -> int:
    """Return the epochs of a trial of the exported one's stage that is not pruned."""
    campaign = Campaign.from_stored(export.config)
    return next(campaign.epochs_of(stage) for stage in campaign.stages if stage.name == export.trial.stage)
