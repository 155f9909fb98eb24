import shutil
from pathlib import Path

import httpx
import optuna
import optuna_dashboard
import pytest
from processes import wait_until
from routing import READING, routes
from serving import TOKEN, serving

from coarsefine.search.server.access import COOKIE_SECONDS, AccessPolicy, host_headers

OPEN = {"/login", "/logout"}
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def locked(searched, tmp_path_factory):
    """A client of a server that is behind a token and lets who has it write."""
    copy = shutil.copy(searched / "studies.db", tmp_path_factory.mktemp("locked") / "studies.db")
    with serving(copy, token=TOKEN, allow_write=True) as client:
        yield client


def test_every_route_is_walked(client):
    """The walk sees our routes and the dashboard's, writing ones among them."""
    found = routes(client.app)
    assert ("GET", "/api/v1/campaigns/small/stages/coarse/trials/1") in found
    assert ("DELETE", "/api/studies/1") in found
    assert ("PUT", "/api/studies/1/note") in found
    assert sum(method not in READING for method, _ in found) > 15


def write_everywhere(client, **headers):
    """Send an empty object to every route that writes, and by every writing method to every path; yield the answers."""
    found = routes(client.app)
    paths = {path for _, path in found} - OPEN
    tried = {(method, path) for method, path in found if method not in READING and path not in OPEN}
    tried |= {(method, path) for method in ("POST", "PUT", "PATCH", "DELETE", "BREW") for path in paths}
    for method, path in sorted(tried):
        yield method, path, client.request(method, path, json={}, headers=headers)


def test_every_write_is_refused_by_default(client, searched):
    """Without --allow-write, every writing route answers 403, ours and the dashboard's; the file stays as it was."""
    before = (searched / "studies.db").read_bytes()
    for method, path, answer in write_everywhere(client):
        assert answer.status_code == 403, (method, path)
    assert (searched / "studies.db").read_bytes() == before


def test_every_write_needs_the_token_and_the_right(copied):
    """Behind a token, every writing route answers 401 without it, and 403 with it where writing is not allowed."""
    before = Path(copied).read_bytes()
    with serving(copied, token=TOKEN) as client:
        for method, path, answer in write_everywhere(client):
            assert answer.status_code == 401, (method, path)
        for method, path, answer in write_everywhere(client, **BEARER):
            assert answer.status_code == 403, (method, path)
    with serving(copied, token=TOKEN, allow_write=True) as client:
        for method, path, answer in write_everywhere(client):
            assert answer.status_code == 401, (method, path)
    assert Path(copied).read_bytes() == before


def test_no_reading_route_writes(client, searched):
    """The dashboard's and our GET routes leave the file as it was, and so does each asked for by HEAD."""
    before = (searched / "studies.db").read_bytes()
    for method, path in routes(client.app):
        if method in READING and not path.endswith("/events"):
            assert client.request(method, path).status_code < 500, path
            client.head(path)
    assert (searched / "studies.db").read_bytes() == before


def test_every_read_needs_the_token(copied):
    """Behind a token, nothing but the login page and what it needs is shown without it."""
    with serving(copied, token=TOKEN) as client:
        for method, path in routes(client.app):
            if method not in READING or path in OPEN or path.startswith("/assets/"):
                continue
            assert client.request(method, path).status_code == 401, path
            assert client.request(method, path, headers={"Authorization": "Bearer wrong"}).status_code == 401, path
        assert client.get("/api/v1/campaigns", headers=BEARER).status_code == 200
        assert client.get("/dashboard", headers=BEARER).status_code == 200
        assert client.get("/login").status_code == 200
        assert client.get("/assets/page.css").status_code == 200


def test_browser_signs_in_and_comes_back_to_where_it_was(copied):
    """A browser is led to the login page and back; its cookie is HttpOnly, SameSite=Strict, and not the token."""
    with serving(copied, token=TOKEN) as client:
        asked = client.get("/campaigns/small?x=1", headers={"Accept": "text/html"})
        assert asked.status_code == 303
        page = client.get(asked.headers["location"])
        assert 'value="/campaigns/small?x=1"' in page.text
        wrong = client.post("/login", data={"token": "not it, not it, not it", "next": "/"})
        assert (wrong.status_code, "set-cookie" in wrong.headers) == (401, False)
        right = client.post("/login", data={"token": TOKEN, "next": "/campaigns/small?x=1"})
        assert (right.status_code, right.headers["location"]) == (303, "/campaigns/small?x=1")
        cookie = right.headers["set-cookie"]
        assert {"HttpOnly", "SameSite=strict"} <= set(cookie.split("; "))
        assert TOKEN not in cookie
        assert client.get("/campaigns/small").status_code == 200
        left = client.post("/logout")
        assert left.status_code == 303
        assert client.get("/campaigns/small").status_code == 401


@pytest.mark.parametrize(
    "elsewhere", ["//evil.example", "/\\evil.example", "https://evil.example", "/\n/evil.example", ""]
)
def test_login_leads_nowhere_else(locked, elsewhere):
    """After signing in, a browser is never sent to another server."""
    answer = locked.post("/login", data={"token": TOKEN, "next": elsewhere})
    locked.cookies.clear()
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


def test_login_reads_no_more_than_a_token_needs(locked):
    """A form of megabytes is refused."""
    assert locked.post("/login", content=b"token=" + b"x" * 1_000_000).status_code == 413


def test_cookies_end_and_cannot_be_made():
    """A cookie gives access until its time, for a server with the same token; a changed one never does."""
    now = [1000.0]
    policy = AccessPolicy(frozenset(), TOKEN, clock=lambda: now[0])
    cookie = policy.new_cookie()
    until, _, seal = cookie.partition(".")
    assert policy.is_authenticated(None, [f"other=1; {policy.cookie}={cookie}"])
    for forged in (
        f"{int(until) + 1}.{seal}",
        f"{until}.{'0' * 64}",
        until,
        f"{until}.",
        ".",
        "",
        "é.é",
        f"{until}.{seal}x",
    ):
        assert not policy.is_authenticated(None, [f"{policy.cookie}={forged}"]), forged
    assert not AccessPolicy(frozenset(), TOKEN + "!", clock=lambda: now[0]).is_authenticated(
        None, [f"{policy.cookie}={cookie}"]
    )
    now[0] += COOKIE_SECONDS
    assert not policy.is_authenticated(None, [f"{policy.cookie}={cookie}"])


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "localhost:1", "127.0.0.1:{port}.evil.example", ""]
)
@pytest.mark.parametrize(
    "path", ["/", "/api/v1/campaigns", "/api/studies", "/login", "/assets/page.css", "/static/bundle.js"]
)
def test_wrong_host_is_misdirected(client, host, path):
    """Asked under a name that is not its own, as after DNS rebinding, the server answers 421, whatever the path."""
    answer = client.get(path, headers={"Host": host.format(port=client.base_url.port)})
    assert answer.status_code == 421


def test_own_hosts_are_answered(client):
    """127.0.0.1 and localhost with the port are the server's own names, in any case of letters."""
    for name in ("127.0.0.1", "localhost", "LocalHost"):
        assert client.get("/api/v1/campaigns", headers={"Host": f"{name}:{client.base_url.port}"}).status_code == 200


def test_hosts_that_are_allowed_are_taken_as_written():
    """A proxy's name holds without a port, and with the server's; IPv6 stands in brackets; port 80 may be left out."""
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
def test_cross_origin_writes_are_refused(locked, headers):
    """A page of another origin can neither delete a study, though that is allowed, nor sign a browser in."""
    assert locked.delete("/api/studies/1", headers={**BEARER, **headers}).status_code == 403
    assert locked.post("/login", data={"token": TOKEN}, headers=headers).status_code == 403
    assert locked.get("/api/studies/1", headers=BEARER).status_code == 200


def test_notes_and_deletions_work_where_they_are_allowed(copied):
    """With --allow-write the dashboard writes a note and deletes a study, and the campaign's page follows."""
    with serving(copied, allow_write=True) as client:
        note = {"version": 2, "body": "seen"}
        own = {"Origin": str(client.base_url), "Sec-Fetch-Site": "same-origin"}
        assert client.put("/api/studies/1/note", json=note, headers=own).status_code == 204
        study = optuna.load_study(study_name="small/coarse", storage=f"sqlite:///{copied}")
        assert optuna_dashboard.get_note(study) == "seen"
        assert client.request("DELETE", "/api/studies/2", json={}, headers=own).status_code == 204

        def kept():
            stages = client.get("/api/v1/campaigns/small").json()["stages"]
            return [stage["name"] for stage in stages if stage["study_id"] is not None]

        wait_until(lambda: kept() == ["coarse"])


def test_every_answer_has_the_headers_that_keep_it_harmless(client):
    """No answer may be framed or guessed at; only pages may run scripts, and those of this server alone."""
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


def test_no_artifact_is_opened_as_a_page(client):
    """Under the dashboard's path of artifacts, whatever comes is to be saved, and may not run."""
    for path in ("/artifacts/1/a", "/artifacts/1/1/a"):
        headers = client.get(path).headers
        assert headers["content-disposition"] == "attachment"
        assert "sandbox" in headers["content-security-policy"]


def test_websockets_are_refused(client):
    """Nothing here speaks by WebSocket: an upgrade is answered as the plain request that it is, or refused."""
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "x" * 24,
    }
    assert httpx.get(client.base_url.join("/api/v1/campaigns"), headers=upgrade).status_code != 101
