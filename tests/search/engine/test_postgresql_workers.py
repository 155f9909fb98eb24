"""Test several workers on a real PostgreSQL server: killed workers, a restart of the server, and the password."""

import json
import signal
import sys

import optuna
import postgres
import psutil
from campaigns import LONG, write_campaign
from commands import coarsefine
from forked import PATIENCE
from processes import end_of, start, start_command, wait_until
from sqlalchemy import make_url
from stored import table


def ended(url):
    """Return how many trials have ended, 0 while there are none."""
    if not postgres.execute(url, "SELECT 1 FROM information_schema.tables WHERE table_name = 'trials'"):
        return 0
    return postgres.execute(url, "SELECT count(*) FROM trials WHERE state IN ('COMPLETE', 'PRUNED', 'FAIL')")[0][0]


def test_killed_workers_lose_nothing(folder, expected, new_database):
    """Runs that are killed repeatedly on PostgreSQL record the same trials and values as a run on SQLite."""
    for _ in range(2):
        before = ended(new_database)
        process = start(folder, "--workers", "2", "--storage", new_database)
        wait_until(lambda before=before: ended(new_database) > before)
        for one in [*psutil.Process(process.pid).children(recursive=True), process]:
            one.send_signal(signal.SIGKILL)
        process.communicate()
    answer = coarsefine("run", "small.toml", "--workers", 2, "--storage", new_database, cwd=folder)
    assert answer.returncode == 0, answer.stderr
    assert table(new_database) == expected


def test_workers_survive_a_restart_of_the_server(folder, expected, own_server):
    """If the server restarts during a stage, the workers reconnect and record the same values."""
    with postgres.database(own_server.url("postgres")) as url:
        process = start(folder, "--workers", "2", "--storage", url)
        wait_until(lambda: ended(url) > 2)
        own_server.stop()
        own_server.start()
        code, stderr = end_of(process)
        assert code == 0, stderr
        assert table(url) == expected


def test_password_is_never_shown(tmp_path, new_database, monkeypatch):
    """A password in the URL is in no output, log, study or JSON, nor in the command line of a worker."""
    folder = write_campaign(tmp_path, model=LONG["model"], stage={"coarse": {"trials": 4, "stack": 2}, "fine": None})
    secret = make_url(new_database).set(password=postgres.PASSWORD).render_as_string(hide_password=False)
    monkeypatch.delenv("PGPASSWORD", raising=False)
    command = (sys.executable, "-m", "coarsefine", "run", "small.toml")
    process = start_command(*command, "--workers", "2", "--storage", secret, "--json", cwd=folder)
    wait_until(lambda: len(psutil.Process(process.pid).children(recursive=True)) >= 4)
    # A process that was just forked shows what the user typed, until it starts its own program.
    typed = psutil.Process(process.pid).cmdline()
    children = [child.cmdline() for child in psutil.Process(process.pid).children(recursive=True)]
    lines = [" ".join(command) for command in children if command != typed]
    out, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, stderr
    seen = [out, stderr, *lines, *(path.read_text("utf-8") for path in folder.glob("*logs/small/*.log"))]
    assert len(seen) >= 2 + len(lines) + 2, "both workers have a log"
    for command in ("status", "best", "doctor"):
        arguments = ([command] if command == "doctor" else [command, "small"]) + ["--storage", secret, "--json"]
        answer = coarsefine(*arguments, cwd=folder)
        seen += [answer.stdout, answer.stderr]
    storage = optuna.storages.RDBStorage(secret.replace("{", "{{").replace("}", "}}"))
    seen += [
        str(storage.get_all_studies()),
        *(str(storage.get_all_trials(s._study_id)) for s in storage.get_all_studies()),
    ]
    storage.remove_session()
    storage.engine.dispose()
    wrong = coarsefine("status", "--storage", secret.replace("tester", "nobody"), cwd=folder)
    assert wrong.returncode == 5
    seen += [wrong.stdout, wrong.stderr]
    quoted = make_url(secret).render_as_string(hide_password=False).partition("tester:")[2].partition("@")[0]
    assert quoted
    for text in seen:
        assert postgres.PASSWORD not in text
        assert quoted not in text
    assert "postgresql+psycopg://tester:***@" in json.loads(out)["storage"] or "tester@" in json.loads(out)["storage"]
