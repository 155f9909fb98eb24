"""Test the connection to a PostgreSQL server: cut connections, missing rights, foreign tables, and their messages."""

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import postgres
import pytest
from campaigns import write_campaign
from processes import start, wait_until
from sqlalchemy import create_engine, make_url, text
from stages import ended, open_stage
from stored import table, undisturbed_table

from coarsefine import Campaign, Interrupted, Observer, StorageError, run
from coarsefine.search.cli.doctor import examine, exit_code_of
from coarsefine.search.storage import database, deletion, lease_queue, opening
from coarsefine.search.storage.location import locate
from coarsefine.search.storage.opening import create_storage, open_storage

OURS = "FROM pg_stat_activity WHERE application_name = 'coarsefine' AND datname = current_database()"
LONG = {"model": {"epochs": 40}}


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """Return the table of an undisturbed run of the long campaign on SQLite."""
    return undisturbed_table(tmp_path_factory.mktemp("expected"), **LONG)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return a folder with the long campaign, which is the working directory."""
    monkeypatch.chdir(write_campaign(tmp_path, **LONG))
    return tmp_path


class DisturbingObserver(Observer):
    """Call a function once, during the first stage."""

    def __init__(self, action):
        self.action = action

    def on_progress(self, progress):
        action, self.action = self.action, lambda: None
        action()


def cut_connections(url):
    return len(postgres.execute(url, f"SELECT pg_terminate_backend(pid) {OURS}"))


@pytest.mark.usefixtures("folder")
def test_same_values_as_on_sqlite(expected, new_database):
    """A campaign that is stopped and resumed on PostgreSQL records the same values as a run on SQLite."""
    campaign = Campaign.load("small.toml")
    asked = iter(range(30))
    with pytest.raises(Interrupted):
        run(campaign, new_database, stop=lambda: next(asked, None) is None)
    assert not any(row[0].name == "RUNNING" for row in table(new_database).values())
    status = run(campaign, new_database)
    assert table(new_database) == expected
    assert Path(status.final.folder).parent == locate(new_database).output_folder("trained")
    assert run(campaign, new_database) == status


@pytest.mark.usefixtures("folder")
def test_connections_cut_during_a_stage(expected, new_database):
    """A run reconnects if the server ends its connections between claim and record, and loses nothing."""
    cut = []
    campaign = Campaign.load("small.toml")
    status = run(campaign, new_database, observer=DisturbingObserver(lambda: cut.append(cut_connections(new_database))))
    assert cut[0] >= 1
    assert status.state == "done"
    assert table(new_database) == expected


@pytest.mark.usefixtures("folder")
def test_connection_cut_during_a_transaction(expected, new_database, monkeypatch):
    """A connection that ends during a record leaves nothing of it; the whole record is written again."""
    real, cut = lease_queue.write_records, []

    def cutting(connection, records):
        if not cut:
            cut.append(cut_connections(new_database))
        real(connection, records)

    monkeypatch.setattr(lease_queue, "write_records", cutting)
    run(Campaign.load("small.toml"), new_database)
    assert cut[0] >= 1
    assert table(new_database) == expected


@pytest.mark.usefixtures("folder")
def test_unreachable_server_ends_the_run(new_database, own_server, monkeypatch):
    """If the server stays away, the run ends with exit 5 and the cause, and a later run resumes."""
    if os.environ.get(postgres.VARIABLE):
        pytest.skip("the server that the environment names is not ours to stop")
    monkeypatch.setattr(database, "PATIENCE_SECONDS", 0.3)
    campaign = Campaign.load("small.toml")
    with pytest.raises(StorageError, match="Connection refused") as error:
        run(campaign, new_database, observer=DisturbingObserver(own_server.stop))
    assert error.value.exit_code == 5
    assert "run the same command again" in str(error.value)
    assert "\n" not in str(error.value)
    own_server.start()
    assert run(campaign, new_database).state == "done"


def test_worker_waits_for_a_restarting_server(own_server, monkeypatch):
    """A worker whose first connection meets a restarting server waits for it instead of ending the run."""
    waited = threading.Event()

    def sleeping(seconds):
        waited.set()
        time.sleep(seconds)

    monkeypatch.setattr(database, "time", SimpleNamespace(sleep=sleeping, monotonic=time.monotonic))
    with postgres.database(own_server.url("postgres")) as url:
        create_storage(locate(url)).close()
        own_server.stop()
        with ThreadPoolExecutor(1) as pool:
            coming = pool.submit(open_storage, locate(url), writing=True, patient=True)
            assert waited.wait(240)
            assert not coming.done()
            own_server.start()
            coming.result(240).close()


@pytest.fixture
def secret(new_database):
    """Return the location of an empty database whose password appears nowhere else."""
    url = make_url(new_database)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PGPASSWORD", "")
        yield url.set(password=url.password or postgres.PASSWORD)


@pytest.mark.parametrize(
    ("wrong", "cause"),
    [
        ({"password": "wr{o}ng%"}, "password authentication failed"),
        ({"database": "nowhere"}, "does not exist"),
        ({"port": 9}, "refused"),
    ],
    ids=["password", "database", "port"],
)
def test_unreachable_database_is_reported_without_its_password(secret, wrong, cause, monkeypatch):
    """A wrong password, database or port ends run, status and doctor with exit 5, the cause, and no password."""
    if "password" in wrong and os.environ.get(postgres.VARIABLE):
        pytest.skip("the server that the environment names may ask for no password")
    location = locate(secret.set(**wrong).render_as_string(hide_password=False))
    findings = examine(location, None)
    assert exit_code_of(findings) == 5
    patient = partial(open_storage, patient=True)  # waits for a server, but not after a wrong password
    monkeypatch.setattr(database, "PATIENCE_SECONDS", 600.0 if cause != "refused" else 0.1)
    for open_it in (open_storage, create_storage, patient):
        with pytest.raises(StorageError, match=cause) as error:
            open_it(location)
        output = f"{error.value}{findings}{location!r}{location}"
        assert secret.password not in output
        assert "wr{o}ng" not in output


def test_command_that_resumes_shows_no_password(folder, secret):
    """The command that an interrupted run prints to resume contains no password."""
    url = secret.render_as_string(hide_password=False)
    process = start(folder, "--workers", "1", "--json", f"--storage={url}")
    wait_until(lambda: postgres.execute(url, f"SELECT count(*) {OURS}")[0][0] > 0)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=240)
    assert process.returncode == 130, err
    assert err.endswith(f"--storage={locate(url).shown}\n")
    for form in (secret.password, url.split(":")[2].partition("@")[0]):
        assert form not in out + err


@pytest.mark.parametrize(
    ("revision", "message"),
    [("v9.9.9.z", "updating optuna"), ("v2.6.0.a", "optuna storage upgrade")],
    ids=["newer", "older"],
)
def test_tables_of_another_optuna_are_refused(location, revision, message):
    """Tables of a newer or older Optuna are refused with exit 5 and the remedy."""
    engine = create_engine(location.url)

    def stamp(version):
        with engine.begin() as connection:
            before = connection.scalar(text("SELECT version_num FROM alembic_version"))
            connection.execute(text("UPDATE alembic_version SET version_num = :version"), {"version": version})
        return before

    before = stamp(revision)
    try:
        with pytest.raises(StorageError, match=message) as error:
            create_storage(location)
        assert error.value.exit_code == 5
        assert exit_code_of(examine(location, None)) == 5
    finally:
        stamp(before)
        engine.dispose()


def test_empty_database(new_database):
    """On an empty database, status explains how to start, doctor reports no problem, and neither makes a table."""
    location = locate(new_database)
    with pytest.raises(StorageError, match="holds no studies: start a campaign with `coarsefine run`"):
        open_storage(location)
    findings = {finding.check: finding for finding in examine(location, None)}
    assert exit_code_of(list(findings.values())) == 0
    assert "answers, version" in findings["postgresql"].found
    assert "holds no studies yet" in findings["storage"].found
    assert postgres.execute(new_database, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]


def test_missing_right_to_create_tables_is_reported(new_database):
    """Without the right to create tables, the run says so and what the owner must do."""
    name = make_url(new_database).database
    postgres.execute(new_database, f"CREATE ROLE {name} LOGIN PASSWORD '{name}'")
    try:
        with pytest.raises(StorageError, match=r"permission denied for schema public.*Ask the database's owner"):
            create_storage(locate(make_url(new_database).set(username=name, password=name).render_as_string(False)))
    finally:
        postgres.execute(new_database, f"DROP ROLE {name}")


def test_rights_on_the_tables_are_enough_where_these_exist(new_database):
    """A user who may read and write the tables, and create none, opens a storage that another one has made."""
    name = make_url(new_database).database
    create_storage(locate(new_database)).close()
    postgres.execute(new_database, f"CREATE ROLE {name} LOGIN PASSWORD '{name}'")
    postgres.execute(new_database, f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {name}")
    try:
        create_storage(locate(make_url(new_database).set(username=name, password=name).render_as_string(False))).close()
    finally:
        postgres.execute(new_database, f"DROP OWNED BY {name}")
        postgres.execute(new_database, f"DROP ROLE {name}")


@pytest.mark.parametrize("location", ["postgresql"], indirect=True)
def test_study_whose_ids_surround_those_of_another_takes_none_of_its_leases(location, opened):
    """Opening a study leaves the leases of another one alone, whose trials have ids between its own.

    The server numbers the trials of two studies that are opened at the same time like that.
    """
    storage = opened()
    sequence = "ALTER SEQUENCE trials_trial_id_seq RESTART WITH {} INCREMENT BY {}"
    try:
        postgres.execute(location.url, sequence.format(10, 1))
        first = open_stage(storage, 2, "a/coarse")
        claims = storage.queue.claim(first, 2)
        postgres.execute(location.url, sequence.format(5, 20))
        second = open_stage(storage, 2, "b/coarse")
    finally:
        postgres.execute(location.url, sequence.format(30, 1))
    assert [claim.trial_id for claim in claims] == [10, 11]
    assert storage.queue.record([ended(claim) for claim in claims], claims) == []
    assert [claim.trial_id for claim in storage.queue.claim(second, 2)] == [5, 25]


def test_database_that_is_dropped_during_a_run_is_named(new_database):
    """The cause is the database that is not there any more, not the empty message of the pool of connections."""
    name = make_url(new_database).database
    server = make_url(new_database).set(database="postgres").render_as_string(hide_password=False)
    storage = create_storage(locate(new_database))
    try:
        postgres.execute(server, f'DROP DATABASE "{name}" WITH (FORCE)')
        with pytest.raises(StorageError, match=rf'"{name}" does not exist. Another program has dropped or renamed it'):
            storage.queue.claim(1, 1)
    finally:
        storage.close()
        postgres.execute(server, f'CREATE DATABASE "{name}"')


def test_nothing_is_claimed_of_a_study_that_is_being_deleted(new_database, monkeypatch):
    """Once `delete` has looked for workers, none can claim a slot of the study."""
    storage, other = create_storage(locate(new_database)), open_storage(locate(new_database), writing=True)
    study, look, claims = open_stage(storage, 3), deletion._trainers, []

    def look_then_claim(connection, ids):
        found = look(connection, ids)
        claims.extend(other.queue.claim(study, 2))
        return found

    monkeypatch.setattr(deletion, "_trainers", look_then_claim)
    with closing(storage), closing(other):
        storage.delete_studies(["small/coarse"])
        assert claims == []
        assert storage.get_all_studies() == []


def test_two_runs_that_start_at_once_create_tables_once(new_database, monkeypatch):
    """A run that comes while another one creates the table of leases waits for it; PostgreSQL would refuse it."""
    create_storage(locate(new_database)).close()
    postgres.execute(new_database, "DROP TABLE lease")
    create, coming = opening._create_indexes, []
    with ThreadPoolExecutor(1) as pool:

        def create_while_another_comes(connection):
            create(connection)
            if not coming:
                coming.append(pool.submit(create_storage, locate(new_database)))
                wait_until(lambda: postgres.execute(new_database, f"SELECT pid {OURS} AND wait_event_type = 'Lock'"))

        monkeypatch.setattr(opening, "_create_indexes", create_while_another_comes)
        create_storage(locate(new_database)).close()
        coming[0].result(240).close()
