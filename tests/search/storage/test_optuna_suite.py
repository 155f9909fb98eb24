"""Run Optuna's reusable storage tests on Coarsefine's storage."""

import gc

import pytest
from optuna.testing.pytest_storages import StorageTestCase

# A test of the suite leaves the storage it unpickled open.
pytestmark = pytest.mark.filterwarnings("ignore:.*was deleted while still open:ResourceWarning")


class TestStorage(StorageTestCase):
    """What Optuna requires of a storage holds on SQLite and on PostgreSQL."""

    @pytest.fixture
    def storage(self, opened):
        gc.freeze()  # the collection after the test then visits only what the test made
        yield opened()
        gc.collect()
        gc.unfreeze()
