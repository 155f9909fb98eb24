"""No response contains a database address or password."""

import os
import re
from urllib.parse import quote

import httpx
import optuna
import postgres
import pytest
from optuna.trial import TrialState, create_trial
from processes import wait_until
from routing import READING, routes
from serving import command, serving
from sqlalchemy import make_url
from stored import forget_seal

from coarsefine import run
from coarsefine.search.server.redaction import redact

WORD = "hidden-w0rd"
URL = f"postgresql+psycopg://someone:{WORD}@db.example:5432/search"


def read_everything(client):
    """Request every readable route with existing and missing resources; yield path and response."""
    paths = {path for method, path in routes(client.app) if method in READING and not path.endswith("/events")}
    for path in sorted(paths):
        for variant in (path, f"{path}x", path.replace("1", "99").replace("small", "nothing")):
            yield variant, client.get(variant)


@pytest.mark.parametrize("earlier", [False, True])
def test_planted_address_is_redacted(copied, earlier):
    """A database address in a name, note, reason, attribute or parent, edited or not, appears in no response."""
    if earlier:
        forget_seal(copied)
    storage = f"sqlite:///{copied}"
    optuna.create_study(storage=storage, study_name=URL).set_user_attr("url", URL)
    optuna.create_study(storage=storage, study_name="small/other").set_user_attr("campaign", URL)
    coarse = optuna.load_study(study_name="small/coarse", storage=storage)
    for key in ("rule", "parent", "note"):
        coarse.set_user_attr(key, URL)
    coarse._storage.set_study_system_attr(coarse._study_id, "dashboard:note_str:0", f"see {URL}")
    template = coarse.trials[0]
    coarse.set_user_attr("slots", 10)  # the planted trial passes for a slot
    attrs = {"seed": 1, "reason": f"lost {URL}", "url": URL, "ended": {"state": "FAIL", "value": None}}
    planted = create_trial(
        state=TrialState.FAIL, params=template.params, distributions=template.distributions, user_attrs=attrs
    )
    coarse.add_trial(planted)
    with serving(copied) as client:
        responses = dict(read_everything(client))
        assert "address withheld" in responses["/api/v1/campaigns/small"].text
        assert "address withheld" in responses["/api/studies/1"].text
        for path, response in responses.items():
            assert WORD not in response.text, path
            assert "postgresql" not in response.text or path.startswith("/static"), path


def test_own_address_is_redacted(client, searched):
    """The address of the served storage appears in no response."""
    for path, response in read_everything(client):
        assert "sqlite:" not in response.text or path.startswith("/static"), path
        if path.startswith("/api/v1"):  # the final training has the path of its weights
            assert f"{searched}/studies.db" not in response.text, path


def test_errors_of_the_database_hide_its_address(new_database, tmp_path, small, monkeypatch):
    """With and without its tables, neither a response nor the log has the database's address or password."""
    monkeypatch.chdir(tmp_path)  # the final training writes its weights there
    run(small, new_database)
    url = make_url(new_database)
    password = url.password or os.environ.get("PGPASSWORD", "")
    full_url = url.set(password=password).render_as_string(hide_password=False)
    secrets = [secret for secret in (password, quote(password, safe=""), "postgresql", full_url) if secret]
    with command("--port", "0", "--storage", full_url, cwd=tmp_path) as (process, stderr):
        address = re.search(r"http://127\.0\.0\.1:\d+", stderr)[0]
        responses = [httpx.get(address + path) for path in PATHS]
        assert [response.status_code for response in responses] == [200] * len(PATHS)
        postgres.execute(new_database, "DROP TABLE studies, trials CASCADE")
        wait_until(lambda: httpx.get(address + PATHS[1]).status_code == 503)  # the last snapshot is served for a while
        responses += [httpx.get(address + path) for path in PATHS]
        assert {response.status_code for response in responses[len(PATHS) :]} <= {500, 503}
        process.terminate()
        log = process.communicate()
    for text in (stderr, *log, *(response.text for response in responses)):
        for secret in secrets:
            assert secret not in text


PATHS = (
    "/api/v1/campaigns",
    "/api/v1/campaigns/small",
    "/api/v1/campaigns/small/figures/map",
    "/api/studies",
    "/api/studies/1",
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b'{"a":"postgresql://u:p@h/d?x=1","b":1}', b'{"a":"[database address withheld]","b":1}'),
        (b"at mysql+pymysql://u@h/d, then", b"at [database address withheld] then"),
        (b"sqlite:////home/a/studies.db\n", b"[database address withheld]\n"),
        (b"see ftp://user:p%40ss@host/file", b"see [database address withheld]"),
        (b"POSTGRES://U:P@H", b"[database address withheld]"),
        (b"http://example.org/a:b@c and https://[::1]:8080/x", b"http://example.org/a:b@c and https://[::1]:8080/x"),
        (b"http://127.0.0.1:8080/", b"http://127.0.0.1:8080/"),
        (b"no address: at all", b"no address: at all"),
        (rb'["sqlite:\u002f\u002F\u002fa","b"]', b'["[database address withheld]","b"]'),
        (rb'["http:\/\/u:p\u00fc@h\/d"]', b'["[database address withheld]"]'),
        (rb'"http:\u002f\u002fexample.org\u002fa:b@c"', rb'"http:\u002f\u002fexample.org\u002fa:b@c"'),
    ],
)
def test_only_database_addresses_are_redacted(text, expected):
    """Addresses of databases and those with a password are redacted; other addresses are not."""
    assert redact(text) == expected


@pytest.mark.parametrize("piece", [b"a.", b"a:", b"x://", b"x://a:", b"sqlite:", b"\\u00fc", b"x://\\u00fc:"])
def test_redaction_takes_linear_time(piece):
    """A text of a megabyte is redacted in linear time; quadratic time would exceed the test's limit."""
    text = b"sqlite://a b://c " + piece * (1_000_000 // len(piece))
    assert redact(text).startswith(b"[database address withheld] b://c ")
