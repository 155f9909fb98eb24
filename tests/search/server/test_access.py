"""Access to the server: tokens, cookies, hosts, origins and security headers."""

import shutil
from pathlib import Path

import httpx
import optuna
import optuna_dashboard
import pytest
from processes import wait_until
from routing import READING, routes
from serving import TOKEN, serving

from coarsefine.search.server import middleware, page_routes, snapshot_cache
from coarsefine.search.server.access import AccessPolicy, Client, host_headers
from coarsefine.search.server.guesses import GuessLimit, TooManyGuesses
from coarsefine.search.server.middleware import is_own
from coarsefine.search.server.sessions import SESSION_SECONDS, Sessions

OPEN = {"/login", "/logout"}
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def protected(searched, tmp_path_factory):
    """Return a client of a server that requires a token and allows writing with it."""
    copy = shutil.copy(searched / "studies.db", tmp_path_factory.mktemp("protected") / "studies.db")
    with serving(copy, token=TOKEN, allow_write=True) as client:
        yield client


def test_routes_include_the_dashboards(client):
    """The list of routes has ours and the dashboard's, including those that write."""
    found = routes(client.app)
    assert ("GET", "/api/v1/campaigns/small/stages/coarse/trials/1") in found
    assert ("DELETE", "/api/studies/1") in found
    assert ("PUT", "/api/studies/1/note") in found
    assert sum(method not in READING for method, _ in found) > 15


def write_everywhere(client, **headers):
    """Send each writing method to each path; yield method, path and response."""
    all_routes = routes(client.app)
    paths = {path for _, path in all_routes} - OPEN
    attempts = {(method, path) for method, path in all_routes if method not in READING and path not in OPEN}
    attempts |= {(method, path) for method in ("POST", "PUT", "PATCH", "DELETE", "BREW") for path in paths}
    for method, path in sorted(attempts):
        yield method, path, client.request(method, path, json={}, headers=headers)


def refusal(path):
    """Return the status with which a write of somebody who has access is refused."""
    return 405 if is_own(path) else 403


def test_writes_are_refused_by_default(client, searched):
    """Without --allow-write, every writing route of the dashboard responds with 403, and the file does not change."""
    before = (searched / "studies.db").read_bytes()
    for method, path, response in write_everywhere(client):
        assert response.status_code == refusal(path), (method, path)
    assert (searched / "studies.db").read_bytes() == before


def test_writes_need_the_token_and_permission(copied):
    """A write without the token is a 401; a write with it is a 403 unless writing is allowed."""
    before = Path(copied).read_bytes()
    with serving(copied, token=TOKEN) as client:
        for method, path, response in write_everywhere(client):
            assert response.status_code == 401, (method, path)
        for method, path, response in write_everywhere(client, **BEARER):
            assert response.status_code == refusal(path), (method, path)
    with serving(copied, token=TOKEN, allow_write=True) as client:
        for method, path, response in write_everywhere(client):
            assert response.status_code == 401, (method, path)
    assert Path(copied).read_bytes() == before


def test_reads_do_not_change_the_file(client, searched):
    """No GET or HEAD request, ours or the dashboard's, changes the file."""
    before = (searched / "studies.db").read_bytes()
    for method, path in routes(client.app):
        if method in READING and not path.endswith("/events"):
            assert client.request(method, path).status_code < 500, path
            client.head(path)
    assert (searched / "studies.db").read_bytes() == before


def test_reads_need_the_token(copied):
    """If the server has a token, only the login page and its assets are readable without it."""
    with serving(copied, token=TOKEN) as client:
        for method, path in routes(client.app):
            if method not in READING or path in OPEN or path.startswith("/assets/"):
                continue
            assert client.request(method, path).status_code == 401, path
            wrong = client.request(method, path, headers={"Authorization": "Bearer wrong"})
            assert wrong.status_code == 401, path  # however often the same wrong token is sent
        assert client.get("/api/v1/campaigns", headers=BEARER).status_code == 200
        assert client.get("/dashboard", headers=BEARER).status_code == 200
        assert client.get("/login").status_code == 200
        assert client.get("/assets/page.css").status_code == 200


def test_login_returns_to_the_requested_page(copied):
    """A browser is redirected to the login page and back; its cookie is HttpOnly, SameSite=Strict and not the token."""
    with serving(copied, token=TOKEN) as client:
        redirect = client.get("/campaigns/small?x=1", headers={"Accept": "text/html"})
        assert redirect.status_code == 303
        page = client.get(redirect.headers["location"])
        assert 'value="/campaigns/small?x=1"' in page.text
        wrong = client.post("/login", data={"token": "not it, not it, not it", "next": "/"})
        assert (wrong.status_code, "set-cookie" in wrong.headers) == (401, False)
        right = client.post("/login", data={"token": TOKEN, "next": "/campaigns/small?x=1"})
        assert (right.status_code, right.headers["location"]) == (303, "/campaigns/small?x=1")
        cookie = right.headers["set-cookie"]
        assert {"HttpOnly", "SameSite=strict"} <= set(cookie.split("; "))
        assert TOKEN not in cookie
        assert "Sign out" in client.get("/campaigns/small").text


def test_signing_out_ends_the_session(copied, monkeypatch):
    """After a browser has signed out, its cookie is worth nothing, and its event stream ends; others go on."""
    monkeypatch.setattr(snapshot_cache, "_HEARTBEAT_SECONDS", 0.1)
    with serving(copied, token=TOKEN) as client:
        cookies = [client.post("/login", data={"token": TOKEN}).headers["set-cookie"].partition(";")[0] for _ in "ab"]
        client.cookies.clear()
        first, second = ({"Cookie": cookie} for cookie in cookies)
        with client.stream("GET", "/api/v1/campaigns/small/events", headers=first) as stream:
            lines = stream.iter_lines()
            next(lines)
            assert client.post("/logout", headers=first).status_code == 303
            assert [*lines][-1] == ""
        assert client.get("/campaigns/small", headers=first).status_code == 401
        assert client.get("/campaigns/small", headers=second).status_code == 200


@pytest.mark.parametrize(
    "target", ["//evil.example", "/\\evil.example", "https://evil.example", "/\n/evil.example", ""]
)
def test_login_never_redirects_to_another_server(protected, target):
    """A login whose target is not a path of this server redirects to the start page."""
    response = protected.post("/login", data={"token": TOKEN, "next": target})
    protected.cookies.clear()
    assert (response.status_code, response.headers["location"]) == (303, "/")


def test_large_login_form_is_refused(protected):
    """A login form of a megabyte is refused."""
    assert protected.post("/login", content=b"token=" + b"x" * 1_000_000).status_code == 413


SOMEBODY = Client("203.0.113.7", "203.0.113.7")


def test_sessions_end():
    """A session is valid until its time is over or it is ended, on the server that began it; nobody can invent one."""
    now = [1000.0]
    policy, other = (AccessPolicy(frozenset(), TOKEN, sessions=Sessions(lambda: now[0])) for _ in range(2))

    def is_valid(secret, asked=policy):
        return asked.session(None, [f"other=1; {asked.cookie}={secret}"], SOMEBODY) is not None

    first, second = policy.sessions.begin(), policy.sessions.begin()
    assert is_valid(first)
    assert is_valid(second)
    assert not is_valid(first, other)
    for invented in ("", ".", "é", f"{first}x", first[:-1]):
        assert not is_valid(invented), invented
    policy.sessions.end(first)
    assert not is_valid(first)
    now[0] += SESSION_SECONDS
    assert not is_valid(second)


def test_old_sessions_make_room():
    """A thousand sessions are kept; one more ends the oldest."""
    sessions = Sessions()
    secrets = [sessions.begin() for _ in range(1001)]
    assert [sessions.find(secret) is None for secret in secrets[:2]] == [True, False]


def guess(policy, candidate, client=SOMEBODY):
    """Return whether a candidate is the token, or the seconds to wait until it is looked at."""
    try:
        return policy.is_token(candidate, client)
    except TooManyGuesses as error:
        return error.seconds


def test_guesses_are_slowed():
    """After ten wrong tokens, an address has one guess in two seconds, and the right token has to wait as well."""
    now = [0.0]
    policy = AccessPolicy(frozenset(), TOKEN, guesses=GuessLimit(lambda: now[0]))
    found = [guess(policy, f"wrong {n}") for n in range(1000)]
    assert found == [False] * 10 + [2] * 990
    assert guess(policy, TOKEN) == 2
    assert guess(policy, "wrong 9") is False  # it reveals nothing new: a program with an old token locks nobody out
    assert guess(policy, TOKEN, Client("203.0.113.8", "203.0.113.8")) is True
    now[0] += 2.0
    assert guess(policy, TOKEN) is True
    assert guess(policy, "again wrong") is False
    assert guess(policy, "wrong once more") == 2


def test_invented_addresses_do_not_help():
    """A peer that names another client for each guess has ten times as many."""
    policy = AccessPolicy(frozenset(), TOKEN, guesses=GuessLimit(lambda: 0.0))
    found = [guess(policy, f"wrong {n}", Client(f"10.0.0.{n}", "127.0.0.1")) for n in range(200)]
    assert [found.count(False), found[100]] == [100, 1]


def test_guessing_is_refused_everywhere(copied, monkeypatch, caplog):
    """The sign-in page and every other path refuse too many wrong tokens with 429; a session goes on."""
    monkeypatch.setattr(middleware, "GUESS_SECONDS", 0.0)
    monkeypatch.setattr(page_routes, "GUESS_SECONDS", 0.0)
    with serving(copied, token=TOKEN, guesses=GuessLimit(lambda: 0.0)) as client:
        cookie = client.post("/login", data={"token": TOKEN}).headers["set-cookie"].partition(";")[0]
        client.cookies.clear()
        for n in range(5):
            assert client.post("/login", data={"token": f"wrong {n}"}).status_code == 401
            assert client.get("/api/v1/campaigns", headers={"Authorization": f"Bearer wrong-{n}"}).status_code == 401
        page = client.post("/login", data={"token": TOKEN})
        assert (page.status_code, page.headers["retry-after"]) == (429, "2")
        assert "Too many wrong tokens from this address: try again in 2 s." in page.text
        assert client.get("/api/v1/campaigns", headers=BEARER).status_code == 429
        assert client.get("/api/v1/campaigns", headers={"Cookie": cookie}).status_code == 200
    assert [record.getMessage() for record in caplog.records] == [
        "Wrong tokens from 127.0.0.1: it has to wait before each further one."
    ]


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "localhost:1", "127.0.0.1:{port}.evil.example", ""]
)
@pytest.mark.parametrize(
    "path", ["/", "/api/v1/campaigns", "/api/studies", "/login", "/assets/page.css", "/static/bundle.js"]
)
def test_wrong_host_is_refused(client, host, path):
    """A request with another Host header, as after DNS rebinding, gets 421 on every path."""
    response = client.get(path, headers={"Host": host.format(port=client.base_url.port)})
    assert response.status_code == 421


def test_own_hosts_are_accepted(client):
    """127.0.0.1 and localhost with the port are accepted in any case."""
    for name in ("127.0.0.1", "localhost", "LocalHost"):
        assert client.get("/api/v1/campaigns", headers={"Host": f"{name}:{client.base_url.port}"}).status_code == 200


def test_allowed_hosts():
    """A proxy's name is accepted with and without the port; IPv6 is in brackets; port 80 may be omitted."""
    assert host_headers(["::1"], 8080) == {"[::1]:8080"}
    assert host_headers(["127.0.0.1"], 80) == {"127.0.0.1:80", "127.0.0.1"}
    found = host_headers(["127.0.0.1"], 8080, ["Search.example", "localhost:9000"])
    assert {"search.example", "search.example:8080", "localhost:9000", "127.0.0.1:8080"} <= found
    assert "127.0.0.1" not in found


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_cross_origin_writes_are_refused(protected, headers):
    """A page of another origin can neither delete a study, even if writing is allowed, nor log a browser in."""
    assert protected.delete("/api/studies/1", headers={**BEARER, **headers}).status_code == 403
    assert protected.post("/login", data={"token": TOKEN}, headers=headers).status_code == 403
    assert protected.get("/api/studies/1", headers=BEARER).status_code == 200


def test_notes_and_deletions_work_if_allowed(copied):
    """With --allow-write the dashboard writes a note and deletes a study, and the campaign shows the change."""
    with serving(copied, allow_write=True) as client:
        note = {"version": 2, "body": "seen"}
        own = {"Origin": str(client.base_url), "Sec-Fetch-Site": "same-origin"}
        assert client.put("/api/studies/1/note", json=note, headers=own).status_code == 204
        study = optuna.load_study(study_name="small/coarse", storage=f"sqlite:///{copied}")
        assert optuna_dashboard.get_note(study) == "seen"
        assert client.request("DELETE", "/api/studies/2", json={}, headers=own).status_code == 204

        def stored_stages():
            stages = client.get("/api/v1/campaigns/small").json()["stages"]
            return [stage["name"] for stage in stages if stage["study_id"] is not None]

        wait_until(lambda: stored_stages() == ["coarse"])


def test_other_writes_are_refused(copied):
    """--allow-write allows no more: studies are neither created, renamed nor told results, nor is anything of ours."""
    before = Path(copied).read_bytes()
    allowed = {("PUT", "/api/studies/1/note"), ("PUT", "/api/studies/1/1/note"), ("DELETE", "/api/studies/1")}
    with serving(copied, allow_write=True) as client:
        assert client.post("/api/studies/1/rename", json={"study_name": "x"}).status_code == 403
        assert client.post("/api/studies", json={"study_name": "x", "directions": ["minimize"]}).status_code == 403
        assert {*allowed} < {*routes(client.app)}
        for method, path in routes(client.app):
            if method not in READING and (method, path) not in allowed and path not in OPEN:
                assert client.request(method, path, json={}).status_code == refusal(path), (method, path)
        for method, path in (
            ("DELETE", "/api/studies/1/"),
            ("POST", "/api/studies/1/note"),
            ("DELETE", "/api//studies/1"),
        ):
            assert client.request(method, path, json={}).status_code == 403, (method, path)
    assert Path(copied).read_bytes() == before


def test_responses_have_security_headers(client):
    """Responses forbid framing and content sniffing; only pages run scripts, and only this server's."""
    for method, path in routes(client.app):
        if method not in READING or path.endswith("/events"):
            continue
        headers = client.request(method, path).headers
        policy = headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy
        assert "default-src 'none'" in policy
        assert "'unsafe-inline'" not in policy.partition("script-src")[2].partition(";")[0]
        assert ("'unsafe-eval'" in policy) == path.startswith("/dashboard")
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "access-control-allow-origin" not in headers
        if not headers.get("content-type", "").startswith("text/html"):
            assert "sandbox" in policy
    assert client.get("/", headers={"Host": "evil.example"}).headers["x-content-type-options"] == "nosniff"


def test_artifacts_are_downloaded(client):
    """Responses below the dashboard's path of artifacts are attachments that may not run scripts."""
    for path in ("/artifacts/1/a", "/artifacts/1/1/a"):
        headers = client.get(path).headers
        assert headers["content-disposition"] == "attachment"
        assert "sandbox" in headers["content-security-policy"]


def test_websockets_are_refused(client):
    """The server does not accept an upgrade to WebSocket."""
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "x" * 24,
    }
    assert httpx.get(client.base_url.join("/api/v1/campaigns"), headers=upgrade).status_code != 101
