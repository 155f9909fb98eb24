"""All trials of a campaign as a table: for the terminal, as CSV, and as a pandas data frame."""

import csv
import io
import warnings
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, cast

from optuna.trial import FrozenTrial
from pydantic import Field

from coarsefine.search.arguments import require
from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.campaign.dimension import Value
from coarsefine.search.campaign.json_form import JsonForm, PointField, finite_or_none
from coarsefine.search.campaign.metric import Metric
from coarsefine.search.campaign.network_settings import OTHERS, setting
from coarsefine.search.errors import UsageError
from coarsefine.search.results.campaign_studies import campaign_of
from coarsefine.search.results.readable_studies import read_readable_studies
from coarsefine.search.results.study import Study, losses_by_epoch, metrics_by_epoch, point_of, values_by_epoch
from coarsefine.search.storage.location import Location, locate
from coarsefine.search.storage.opening import open_storage
from coarsefine.search.storage.optuna_storage import Storage

if TYPE_CHECKING:
    import pandas as pd

TrialState = Literal["RUNNING", "COMPLETE", "PRUNED", "FAIL", "WAITING"]
_TIMES = ("started", "ended")
_Cells = list[Any]


@dataclass(frozen=True)
class TrialRow(JsonForm):
    """A trial in a row; times are in UTC."""

    number: int
    state: TrialState
    point: PointField
    value: float | None
    last: Annotated[float | None, Field(description="value after the newest recorded epoch")]
    metrics: Annotated[dict[str, float | None], Field(description="the further metrics, after the newest epoch")]
    seed: int
    epochs: int
    reason: str | None
    started: str | None
    ended: str | None
    seconds: float | None
    worker: Annotated[str | None, Field(description="host and process that ended it")]

    @classmethod
    def of(cls, trial: FrozenTrial) -> Self:
        """Return a trial's row."""
        values, start, end = values_by_epoch(trial), trial.datetime_start, trial.datetime_complete
        return cls(
            number=trial.number,
            state=cast("TrialState", trial.state.name),
            point=point_of(trial),
            value=finite_or_none(trial.values[0]) if trial.values else None,
            last=finite_or_none(values[-1]) if values else None,
            metrics={name: by_epoch[-1] for name, by_epoch in _metrics(trial).items()},
            seed=trial.user_attrs["seed"],
            epochs=len(values),
            reason=trial.user_attrs.get("reason"),
            started=_utc(start),
            ended=_utc(end),
            seconds=round(end.timestamp() - start.timestamp(), 3) if start and end else None,
            worker=trial.user_attrs.get("worker"),
        )


@dataclass(frozen=True)
class TrialTable:
    """The trials of a campaign, or of one of its stages."""

    campaign: str
    metric: Metric
    searched: tuple[str, ...]
    """The parameters that the campaign searches."""
    fixed: dict[str, Value]
    """The network's other settings, which are the same for all trials."""
    studies: tuple[Study, ...]
    left_out: tuple[str, ...] = ()
    """Sentences that name what cannot be read."""

    @property
    def metrics(self) -> list[str]:
        """Return the names of all further metrics, in the order in which they first appear."""
        return list(dict.fromkeys(name for _, trial in self._trials() for name in _metrics(trial)))

    def rows(self) -> Iterator[tuple[str, TrialRow]]:
        """Yield the stage and the row of each trial, in the order of stages and numbers."""
        return ((stage, TrialRow.of(trial)) for stage, trial in self._trials())

    def as_dict(self, *, epochs: bool = False) -> dict[str, Any]:
        """Return the JSON form; with `epochs`, a row for each epoch of each trial."""
        if epochs:
            keys, cells = ("stage", "number", "epoch", "value"), self._epochs(self.metrics)
            named = ((dict(zip(keys, row[:4], strict=True)), row[4:]) for row in cells)
            rows = [{**row, "metrics": dict(zip(self.metrics, more, strict=True))} for row, more in named]
            return {"campaign": self.campaign, "epochs": rows}
        trials = [{"stage": stage, **row.as_dict()} for stage, row in self.rows()]
        return {"campaign": self.campaign, "fixed": self.fixed, "trials": trials}

    def flat(self, *, epochs: bool = False) -> tuple[list[str], Iterator[_Cells]]:
        """Return the names of columns and the cells of each row, of one trial or, with `epochs`, of one epoch."""
        metrics = self.metrics
        named = [f"metrics_{name}" for name in metrics]
        if epochs:
            return ["stage", "number", "epoch", "value", *named], self._epochs(metrics)
        columns = ["stage", "number", "state", "value", "last", *(f"params_{n}" for n in (*self.searched, *self.fixed))]
        columns += [*named, "seed", "epochs", *_TIMES, "seconds", "worker", "reason"]
        return columns, (self._cells(stage, row, metrics) for stage, row in self.rows())

    def csv(self, *, epochs: bool = False) -> str:
        """Return the table as CSV with a header; what is not known is empty."""
        columns, rows = self.flat(epochs=epochs)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
        return text.getvalue()

    def frame(self, *, epochs: bool = False) -> "pd.DataFrame":
        """Return the table as a pandas data frame; raise `UsageError` if pandas is missing."""
        try:
            import pandas as pd  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise UsageError(
                "A data frame needs pandas: pip install pandas. `coarsefine trials --csv FILE` "
                "writes the same table without it."
            ) from error
        columns, rows = self.flat(epochs=epochs)
        found = pd.DataFrame(list(rows), columns=columns)
        for name in set(columns) & set(_TIMES):
            found[name] = pd.to_datetime(found[name], utc=True, format="ISO8601")
        return found

    def _trials(self) -> Iterator[tuple[str, FrozenTrial]]:
        return ((study.attrs["stage"], trial) for study in self.studies for trial in study.trials)

    def _cells(self, stage: str, row: TrialRow, metrics: Iterable[str]) -> _Cells:
        point = row.point.as_dict()
        return [
            stage, row.number, row.state, row.value, row.last,
            *(point.get(name) for name in self.searched), *self.fixed.values(),
            *(row.metrics.get(name) for name in metrics),
            row.seed, row.epochs, row.started, row.ended, row.seconds, row.worker, row.reason,
        ]  # fmt: skip

    def _epochs(self, metrics: Iterable[str]) -> Iterator[_Cells]:
        for stage, trial in self._trials():
            recorded = _metrics(trial)
            columns = [map(finite_or_none, values_by_epoch(trial)), *(recorded.get(name, ()) for name in metrics)]
            for epoch, cells in enumerate(zip_longest(*columns), 1):
                yield [stage, trial.number, epoch, *cells]


def read_table(storage: Storage, campaign: str | None = None, stage: str | None = None) -> TrialTable:
    """Return the trials of a campaign, by default of the only one in the storage, or of one of its stages.

    What cannot be read is left out and named. Raises `UsageError` if there is no such campaign or stage.
    """
    found = read_readable_studies(storage, campaign)
    name, studies = found.name, found.studies
    plan = campaign_of(studies, to_read=True)
    known = [planned.name for planned in plan.stages]
    if stage is not None and stage not in known:
        raise UsageError(f"{name} has no stage {stage!r}: it has {', '.join(known)}.")
    searched = tuple(next(iter(studies.values())).space)
    chosen = tuple(study for study in studies.values() if stage in {None, study.attrs["stage"]})
    return TrialTable(name, plan.metric, searched, _fixed(plan, searched), chosen, found.left_out)


def trials(
    campaign: str | Campaign | None = None,
    storage: str | Path | Location = "studies.db",
    *,
    stage: str | None = None,
    epochs: bool = False,
) -> "pd.DataFrame":
    """Return all trials of a campaign as a pandas data frame, one row for each trial.

    `campaign` is the name of a campaign, or a `Campaign`; it may be left out if the storage has only one. `stage`
    chooses one stage. With `epochs`, the frame has one row for each epoch of each trial. A trial that cannot be read is
    left out with a warning.

    Raises `UsageError` if there is no such campaign or stage, or no pandas, and
    `StorageError`.
    """
    name = campaign.name if isinstance(campaign, Campaign) else campaign
    require(name is None or isinstance(name, str), "trials: campaign", name, "a campaign's name, or a Campaign")
    require(stage is None or isinstance(stage, str), "trials: stage", stage, "a stage's name")
    with closing(open_storage(locate(storage))) as opened:
        table = read_table(opened, name, stage)
    for sentence in table.left_out:
        warnings.warn(sentence, stacklevel=2)
    return table.frame(epochs=epochs)


def _fixed(campaign: Campaign, searched: Iterable[str]) -> dict[str, Value]:
    """Return the settings of the network that no stage searches, and that no other setting sets."""
    if campaign.model is None:
        return {}
    fixed = campaign.model.fixed
    replaced = {*searched, *(setting(name).sets for name in (*searched, *fixed) if name in OTHERS)}
    return {name: value for name, value in fixed.items() if name not in replaced}


def _metrics(trial: FrozenTrial) -> dict[str, list[float | None]]:
    return losses_by_epoch(trial) | metrics_by_epoch(trial)


def _utc(moment: datetime | None) -> str | None:
    """Return a moment in UTC; Optuna's are local and without a zone."""
    return moment.astimezone(UTC).isoformat() if moment else None
