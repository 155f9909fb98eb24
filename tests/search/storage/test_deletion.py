"""Deleting studies, on each database."""

import pytest
import sqlalchemy as sa
from optuna.storages._rdb import models
from optuna.trial import TrialState
from stages import ended, open_stage, running

from coarsefine import UsageError
from coarsefine.search.storage.tables import lease

MANY = 3000


def rows(storage):
    """Return how many rows each table holds that has rows of studies or trials."""
    tables = [*models.BaseModel.metadata.sorted_tables, lease]
    with storage.engine.connect() as connection:
        return {
            table.name: connection.scalar(sa.select(sa.func.count()).select_from(table))
            for table in tables
            if {"study_id", "trial_id"} & {*table.c.keys()}
        }


def train_some(storage, name):
    """Open a study and let its slots end or be given back, with rows in every table that a campaign writes."""
    study = open_stage(storage, 3, name)
    storage.set_study_system_attr(study, "dashboard:note", "a note")
    storage.set_study_attrs(study, {"rule": "none"})
    claims = storage.queue.claim(study, 2)
    storage.queue.record([running(claims[0], 1), ended(claims[1])], claims)
    return study, claims


def test_all_rows_of_a_study_are_deleted_and_no_others(opened):
    """A deleted study leaves no row in any table, and another study keeps all of its own."""
    storage = opened()
    _, held = train_some(storage, "kept/coarse")
    storage.queue.release(held[:1])
    before = rows(storage)
    _, held = train_some(storage, "small/coarse")
    storage.queue.release(held[:1])
    assert all(rows(storage)[name] > count for name, count in before.items() if count)
    storage.delete_studies(["small/coarse"])
    assert rows(storage) == before


def test_study_in_training_is_not_deleted(opened, dying):
    """While a living process holds a slot, or the right to the final training, nothing is deleted."""
    storage, other = opened(), opened()
    study, held = train_some(storage, "small/coarse")
    with pytest.raises(UsageError, match=rf"trained by {storage.owner.name}.*nothing was deleted"):
        other.delete_studies(["small/coarse"])
    storage.queue.release(held[:1])
    assert storage.once.acquire(study)
    with pytest.raises(UsageError, match="nothing was deleted"):
        other.delete_studies(["small/coarse"])
    storage.once.release(study)
    dying().queue.claim(study, 1)
    assert rows(storage)["trials"] == 3
    other.delete_studies(["small/coarse"])
    assert set(rows(storage).values()) == {0}


def test_large_study_of_which_nothing_completed_is_discarded(opened):
    """Thousands of trials that failed or wait are deleted in one go; one that completed keeps its study."""
    storage = opened()
    kept, discarded = open_stage(storage, MANY, "kept/coarse"), open_stage(storage, MANY, "small/coarse")
    for study, state in ((kept, TrialState.COMPLETE), (discarded, TrialState.FAIL)):
        claims = storage.queue.claim(study, MANY - 1)
        states = [state, *[TrialState.FAIL] * (len(claims) - 1)]
        storage.queue.record([ended(*each) for each in zip(claims, states, strict=True)], claims)
    assert not storage.discard([kept])
    assert storage.discard([discarded])
    assert [study.name for study in storage.queries.names()] == ["kept/coarse"]
    assert rows(storage)["trials"] == MANY
