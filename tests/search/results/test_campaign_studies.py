"""Test which studies of a storage are a campaign's."""

from contextlib import closing

import pytest
import sqlalchemy as sa
from stages import SPACE, planned
from stored import FORGET_SEAL

from coarsefine import StorageError
from coarsefine.search.results.campaign_studies import campaign_names, find_headers, find_studies
from coarsefine.search.storage.tables import study_attrs

ATTRS = {"config": {"stage": [{"name": "first"}, {"name": "second"}]}, "space": SPACE.as_dict()}


@pytest.fixture
def storage(opened):
    """Return a storage with stages of campaigns, whose names differ in a wildcard of SQL, or in case."""
    with closing(opened()) as storage:
        for campaign, stage in (("a_b", "second"), ("a_b", "first"), ("axb", "first"), ("A_B", "first")):
            storage.open_study(f"{campaign}/{stage}", ATTRS | {"campaign": campaign, "stage": stage}, SPACE, planned(2))
        yield storage


def test_studies_of_a_campaign_are_found_in_the_order_of_its_stages(storage):
    """Studies of other campaigns are neither returned nor read, whatever characters the names have."""
    assert campaign_names(storage) == ["a_b", "axb", "A_B"]
    assert list(find_studies(storage, "a_b")) == ["a_b/first", "a_b/second"]
    assert list(find_studies(storage, "axb")) == ["axb/first"]
    assert {name: len(study.trials) for name, study in find_headers(storage, "a_b").items()} == {
        "a_b/first": 0, "a_b/second": 0,
    }  # fmt: skip


def test_damaged_attribute_hides_no_other_campaign(storage):
    """An attribute of an earlier version that is not JSON is named where it is met; the other campaigns are read."""
    storage.database.transact(lambda connection: connection.exec_driver_sql(FORGET_SEAL.replace("%", "%%")))
    for name in ("axb/first", "A_B/first"):
        study = storage.get_study_id_from_name(name)
        damaged = sa.update(study_attrs).where(study_attrs.c.study_id == study, study_attrs.c.key == "space")
        storage.database.transact(
            lambda connection, damaged=damaged: connection.execute(damaged.values(value_json="[0.1,"))
        )
    assert list(find_studies(storage, "a_b")) == ["a_b/first", "a_b/second"]
    with pytest.raises(StorageError, match="The attribute 'space' of study axb/first is damaged"):
        find_studies(storage, "axb")
