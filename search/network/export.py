"""Writes and reads an export: a trial as one JSON file, with its settings, its origin and the evidence for it.

The same trial always has the same digest, which shows whether the file was changed after it was written.
"""

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from optuna.trial import FrozenTrial, TrialState
from pydantic import ValidationError

from coarsefine.model.arithmetic import instruction_set
from coarsefine.search.arguments import require_path
from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.campaign.fields import STORED
from coarsefine.search.campaign.network_settings import resolved
from coarsefine.search.campaign.sections import CONFIRM
from coarsefine.search.campaign.validation_errors import sentence
from coarsefine.search.campaign.winner import Verdict
from coarsefine.search.errors import UsageError
from coarsefine.search.files import write_atomic
from coarsefine.search.network.export_schema import SCHEMA_VERSION, Export
from coarsefine.search.network.function_export import FunctionExport
from coarsefine.search.results.campaign_studies import campaign_of, find_trial
from coarsefine.search.results.final_runs import read_final_runs
from coarsefine.search.results.outcome import find_winner, verdict_of
from coarsefine.search.results.sources import SourceVersion, sources_of, versions_of
from coarsefine.search.results.study import Study, metrics_by_epoch, point_of, value_of, values_by_epoch

_MOST_BYTES = 64 * 2**20
_SCHEMA, _NOT_DIGESTED = "coarsefine_export", ("digest", "platform", "folders")
_NO_DIGEST = "0" * 64
AnyExport = Export | FunctionExport
_Export = TypeVar("_Export", Export, FunctionExport)
_EXPORT_AGAIN = "Export it again with `coarsefine export`."
Named = tuple[str, int]
"""A stage or its study, and the number of a trial."""


def write_export(export: AnyExport, path: Path) -> None:
    """Write an export atomically. An existing export is replaced.

    Raises `UsageError` if the path holds anything else, and `StorageError` if it cannot be written.
    """
    check_target(path)
    write_atomic(path, text_of(export))


def check_target(path: Path, campaign: str | None = None) -> None:
    """Raise `UsageError` unless an export can be written to a path; with `campaign`, it replaces only that one's."""
    if not path.name:
        raise UsageError(f"--output {str(path)!r} is not a file name: give one.")
    if path.exists():
        try:
            other = read_export(path).campaign.name
        except UsageError as error:
            raise UsageError(
                f"{path} exists and is not an export, so it is not overwritten: name another --output."
            ) from error
        if campaign not in {None, other}:
            raise UsageError(f"{path} is an export of the campaign {other}, so it is not overwritten: give --output.")


def text_of(export: AnyExport) -> str:
    """Return the content of an export's file."""
    return json.dumps(export.model_dump(mode="json", by_alias=True), indent=2, ensure_ascii=False) + "\n"


def read_export(path: str | Path) -> AnyExport:
    """Read what `write_export` wrote. Raises `UsageError`, with the reason, for any other file.

    An export of the built-in network is an `Export`, one of user code a `FunctionExport`.
    """
    require_path("read_export: path", path)
    path = Path(path)
    try:
        payload = _parsed(path)
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(
            f"{path} cannot be read as an export: {_why_unreadable(error)}. Name a file that `coarsefine export` has "
            "written, or export again."
        ) from error
    version = payload[_SCHEMA]
    if type(version) is int and version > SCHEMA_VERSION:
        raise UsageError(f"{path} has schema version {version}, and this Coarsefine reads {SCHEMA_VERSION}: update it.")
    try:
        export = _kind(payload).model_validate_json(json.dumps(payload), context=STORED)
    except ValidationError as error:
        raise UsageError(
            f"{path} is not an export as Coarsefine writes it: {sentence(error, _kind(payload))} {_EXPORT_AGAIN}"
        ) from error
    if (digest := _digest(payload)) != export.digest:
        raise UsageError(
            f"{path} was changed after it was exported: its digest is {digest[:12]}…, "
            f"not {export.digest[:12]}…. {_EXPORT_AGAIN}"
        )
    return export


def _why_unreadable(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError):
        return f"it is not JSON ({error})"
    return str(error.strerror if isinstance(error, OSError) else error)


def _kind(payload: Mapping[str, Any]) -> type[AnyExport]:
    return FunctionExport if "objective" in payload else Export


def _parsed(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise ValueError(f"it has more than {_MOST_BYTES:,} bytes")
    payload = json.loads(content.decode("utf-8"), parse_constant=_refuse)
    if not isinstance(payload, dict) or _SCHEMA not in payload:
        raise ValueError(f"it has no '{_SCHEMA}'")
    return payload


def _refuse(constant: str) -> None:
    raise ValueError(f"it holds {constant}, which is not a number")


def _digest(payload: Mapping[str, Any]) -> str:
    digested = {key: value for key, value in payload.items() if key not in _NOT_DIGESTED}
    return hashlib.sha256(json.dumps(digested, sort_keys=True, allow_nan=False).encode()).hexdigest()


def digest_of(campaign: Campaign) -> str:
    """Return the digest of the settings that must not change once a campaign has started."""
    return hashlib.sha256(json.dumps(campaign.as_stored(), sort_keys=True).encode()).hexdigest()


def trial_of(studies: Mapping[str, Study], named: Named | None) -> tuple[Study, FrozenTrial, Verdict | None]:
    """Return a named trial with its study, or by default the winner with the verdict on the finalists.

    The verdict is None for a named trial, and if there were no finalists. Raises `UsageError` if there is no such trial
    or winner, or if the trial has no value.
    """
    return _winner_of(studies) if named is None else (*_named_trial(studies, named), None)


def _winner_of(studies: Mapping[str, Study]) -> tuple[Study, FrozenTrial, Verdict | None]:
    campaign = campaign_of(studies, to_read=True)
    for stage in campaign.stages:
        study = studies.get(campaign.study_name(stage))
        if study is None or not study.finished:
            raise UsageError(
                f"Stage '{stage.name}' of {campaign.name} has not ended: finish it with `coarsefine run`, or name one "
                "of its trials with --trial STAGE#NUMBER."
            )
    verdict = verdict_of(studies.values())
    winner = find_winner(studies, verdict)
    if winner is None:
        reason = verdict.summary if verdict else "no trial completed"
        raise UsageError(f"{campaign.name} has no winner ({reason}): name a trial with --trial STAGE#NUMBER.")
    return *find_trial(studies, winner.study, winner.number), verdict


def _named_trial(studies: Mapping[str, Study], named: Named) -> tuple[Study, FrozenTrial]:
    study, trial = find_trial(studies, *named)
    if trial.state not in {TrialState.COMPLETE, TrialState.PRUNED}:
        reason = trial.user_attrs.get("reason", "it has not ended")
        raise UsageError(f"Trial {named[0]}#{named[1]} has no value ({reason}): name one that completed or was pruned.")
    return study, trial


def export_any(studies: Mapping[str, Study], named: Named | None = None) -> AnyExport:
    """Return the export of a trial of any campaign; see `export_trial`, which is for the built-in network alone."""
    if campaign_of(studies).of_network:
        return export_trial(studies, named)
    return _export_function(studies, named)


def _export_function(studies: Mapping[str, Study], named: Named | None) -> FunctionExport:
    study, trial, verdict = trial_of(studies, named)
    campaign = campaign_of(studies)
    runs = read_final_runs(studies, campaign.final.epochs) if campaign.final and named is None else None
    payload = {
        _SCHEMA: SCHEMA_VERSION,
        "campaign": {"name": campaign.name, "fingerprint": digest_of(campaign)},
        "config": study.attrs["config"],
        "objective": study.attrs["objective"],
        "sources": [_source(version) for version in sources_of(studies.values())],
        "trial": {
            "stage": study.attrs["stage"], "study": study.name,
            "number": trial.number, "seed": trial.user_attrs["seed"],
            "params": dict(trial.params),
            "value": value_of(trial),
            "values": values_by_epoch(trial),
            "metrics": metrics_by_epoch(trial),
        },
        "final": campaign.final.model_dump(mode="json") if campaign.final else None,
        "runs": [run.as_dict() for run in runs.runs] if runs else [],
        "folders": {},
        **_provenance(studies, study, trial, verdict, named),
    }  # fmt: skip
    return _with_digest(FunctionExport, payload)


def _provenance(
    studies: Mapping[str, Study], study: Study, trial: FrozenTrial, verdict: Verdict | None, named: Named | None
) -> dict[str, Any]:
    return {
        "lineage": [_ancestor(one) for one in studies.values()],
        "chosen": "winner" if named is None else "named",
        "evidence": verdict.as_dict() if verdict else None,
        "versions": versions_of(study, trial),
        "platform": _platform(),
    }


def export_trial(studies: Mapping[str, Study], named: Named | None = None) -> Export:
    """Return the export of a trial, named by its stage or study and its number, or by default of the campaign's winner.

    Raises `UsageError` if there is no such trial or winner, or if the campaign does not search the built-in network.
    """
    study, trial, verdict = trial_of(studies, named)
    campaign = campaign_of(studies)
    if campaign.data is None or campaign.final is None:
        raise UsageError(
            f"{campaign.name} searches {campaign.user_code}, not the built-in network: export its parameters by "
            "--as params or --as env."
        )
    payload = {
        _SCHEMA: SCHEMA_VERSION,
        "campaign": {"name": campaign.name, "fingerprint": digest_of(campaign)},
        "trial": {
            "stage": study.attrs["stage"], "study": study.name,
            "number": trial.number, "seed": trial.user_attrs["seed"],
            "params": dict(trial.params),
            "values": values_by_epoch(trial),
            "arithmetic": trial.user_attrs.get("arithmetic", ""),
        },
        "settings": _settings(campaign, study, trial),
        "final": campaign.final.model_dump(mode="json"),
        "data": {**study.attrs["data"], "selection": campaign.data.model_dump(mode="json")},
        **_provenance(studies, study, trial, verdict, named),
    }  # fmt: skip
    return _with_digest(Export, payload)


def _with_digest(kind: type[_Export], payload: Mapping[str, Any]) -> _Export:
    export = kind.model_validate_json(json.dumps({**payload, "digest": _NO_DIGEST}), context=STORED)
    # Of the file's form, in which a setting may be 0.0 where the trial's point has 0.
    return export.model_copy(update={"digest": _digest(json.loads(text_of(export)))})


def _platform() -> str:
    """Return the system, Python's version, and the kernel's instruction set if there is a kernel."""
    parts = (platform.platform(), f"Python {platform.python_version()}", instruction_set())
    return ", ".join(filter(None, parts))


def _settings(campaign: Campaign, study: Study, trial: FrozenTrial) -> dict[str, Any]:
    stage = next(stage for stage in campaign.stages if campaign.study_name(stage) == study.name)
    settings = campaign.training_settings(stage)
    # A finalist's seed also draws its mini-batches: see `NetworkObjective.own_order`.
    order_seed = trial.user_attrs["seed"] if stage.name == CONFIRM else settings.order_seed
    values = resolved({**campaign.network.model.fixed, **point_of(trial)})
    return {**asdict(settings), **values, "order_seed": order_seed}


def _source(version: SourceVersion) -> dict[str, Any]:
    kept = {"source": version.kept.get("source"), "files": version.kept.get("files")}
    return {"digest": version.digest, "accepted": version.accepted, "trials": version.ended, **kept}


def _ancestor(study: Study) -> dict[str, Any]:
    return {
        "stage": study.attrs["stage"],
        "study": study.name,
        "parent": study.attrs["parent"],
        "trials": len(study.trials),
        "completed": study.count(TrialState.COMPLETE),
        "space": study.space.as_dict(),
        "rule": study.attrs.get("rule", ""),
        "narrowed_from": study.attrs.get("narrowed_from", []),
    }
