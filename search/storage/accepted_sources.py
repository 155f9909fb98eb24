"""The source of user code that a study goes on with, after the user changed it and accepted the change.

The attribute `objective` of a study holds the present source with its digest, and `accepted` lists the changes. A
worker claims slots only with the digest it has loaded. So a worker that started with an earlier source trains what it
holds to its end, and no further slot.

`accepted_versions` lists the accepted changes of packages in the same way. Each trial says how many there were.
"""

import json
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from coarsefine.search.errors import CampaignError
from coarsefine.search.storage.seal import set_attrs
from coarsefine.search.storage.tables import ACCEPTED, ACCEPTED_VERSIONS, OBJECTIVE, Attrs, study_attrs

_ACCEPTED = sa.select(study_attrs.c.value_json).where(
    study_attrs.c.study_id == sa.bindparam("study"), study_attrs.c.key == ACCEPTED
)
"""The accepted changes of a study; built once, since each claim reads them."""


def accept_source(connection: sa.Connection, study_ids: Collection[int], objective: Attrs, diff: str | None) -> None:
    """Record that studies go on with a changed objective; those that have it already stay as they are.

    The text of the earlier version, or the digests of its files, are kept with the change.
    """
    for study, found in _locked(connection, study_ids, [OBJECTIVE, ACCEPTED]).items():
        before = found[OBJECTIVE]["digest"]
        if before != objective["digest"]:
            kept = {key: found[OBJECTIVE][key] for key in ("source", "files") if key in found[OBJECTIVE]}
            change = {"time": _now(), "from": before, "to": objective["digest"], "diff": diff, "before": kept}
            set_attrs(connection, study, {OBJECTIVE: objective, ACCEPTED: [*found.get(ACCEPTED, []), change]})


def accept_versions(connection: sa.Connection, study_ids: Collection[int], present: Attrs) -> None:
    """Record that studies go on with the `present` versions, some of their attributes, unless they do so already."""
    for study, found in _locked(connection, study_ids, [*present, ACCEPTED_VERSIONS]).items():
        changes = found.pop(ACCEPTED_VERSIONS, [])
        if found != present:
            change = {"time": _now(), "from": found, "to": dict(present)}
            set_attrs(connection, study, {**present, ACCEPTED_VERSIONS: [*changes, change]})


def _locked(connection: sa.Connection, study_ids: Collection[int], keys: Sequence[str]) -> dict[int, dict[str, Any]]:
    """Return attributes of studies, by id, whose rows stay locked until the transaction ends."""
    ours = study_attrs.c.study_id.in_(study_ids) & study_attrs.c.key.in_(keys)
    columns = (study_attrs.c.study_id, study_attrs.c.key, study_attrs.c.value_json)
    query = sa.select(*columns).where(ours).order_by(*columns[:2]).with_for_update()
    known: dict[int, dict[str, Any]] = {study: {} for study in sorted(study_ids)}
    for study, key, text in connection.execute(query):
        known[study][key] = json.loads(text)
    return known


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def refuse_earlier_source(connection: sa.Connection, study_id: int, digest: str) -> None:
    """Raise `CampaignError` if a study goes on with another source than the one with this digest."""
    accepted: list[dict[str, Any]] = json.loads(connection.scalar(_ACCEPTED, {"study": study_id}) or "[]")
    if accepted and accepted[-1]["to"] != digest:
        raise CampaignError(
            f"The objective was changed, and the change was accepted at {accepted[-1]['time']}, after this worker had "
            "started with another version: it takes no further trials. Start it again."
        )
