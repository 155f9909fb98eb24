"""Reading a campaign for those who look on, on a storage that fails for a moment."""

import shutil
from contextlib import closing

import sqlalchemy as sa

from coarsefine.search.results.status_reading import read_status
from coarsefine.search.storage.location import locate
from coarsefine.search.storage.opening import open_storage


class Cut(Exception):  # noqa: N818 - named after what happened
    """The error of a driver whose server shuts down."""

    sqlstate = "57P01"


def test_status_waits_for_a_server_that_restarts(searched, tmp_path):
    """If the connection is cut while a campaign is read, it is read again: a run ends with its status, not an error."""
    shutil.copy(searched / "studies.db", tmp_path)
    cut = []

    def fail(*call):
        if "FROM studies, study_user_attributes" in call[2] and not cut:
            cut.append(call[2])
            raise sa.exc.OperationalError(call[2], {}, Cut())

    with closing(open_storage(locate(tmp_path / "studies.db"))) as storage:
        sa.event.listen(storage.engine, "before_cursor_execute", fail)
        assert read_status(storage, "small").state == "done"
    assert cut
