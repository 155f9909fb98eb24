"""Run a PostgreSQL server for the tests, as an unprivileged user, in a folder that is removed with it.

The fixtures in conftest.py start it. COARSEFINE_TEST_POSTGRES names another server instead,
as a URL whose user may create databases.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import make_url

VARIABLE = "COARSEFINE_TEST_POSTGRES"
WANTED = (
    "PostgreSQL's programs initdb and postgres are neither on PATH nor under /usr/lib/postgresql (Debian's package "
    f"`postgresql`), and {VARIABLE} names no server."
)
PASSWORD = "s3cr3t-{%40}-word"  # noqa: S105 - the server lives for minutes; the characters need escapes in a URL


def find_programs():
    """Return the folder of initdb and postgres, None if there is none."""
    on_path = shutil.which("initdb")
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    return Path(on_path).parent if on_path else debian[-1].parent if debian else None


class Server:
    """A server on a free port of 127.0.0.1, which requires a password there, but not on its socket."""

    def __init__(self, programs):
        self.programs = programs
        self.folder = Path(tempfile.mkdtemp(prefix="coarsefine-postgres-"))
        self.data = self.folder / "data"
        self.process = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        if os.geteuid() == 0:  # the server refuses to run as root
            shutil.chown(self.folder, "nobody", "nogroup")
        (self.folder / "password").write_text(PASSWORD)
        (self.folder / "password").chmod(0o644)
        self._call("initdb", "-D", self.data, "-U", "tester", "--no-sync", "--auth-host=scram-sha-256",
                   "--auth-local=trust", "--pwfile", self.folder / "password", "-E", "UTF8", "--no-locale")  # fmt: skip

    def url(self, database):
        """Return the URL of a database without the password."""
        return f"postgresql+psycopg://tester@127.0.0.1:{self.port}/{database}"

    def start(self):
        """Start the server unless it runs, and wait until it answers."""
        if self.process is not None and self.process.poll() is None:
            return
        fast = ["-c", "fsync=off", "-c", "full_page_writes=off", "-c", "max_connections=200"]
        command = [self.programs / "postgres", "-D", self.data, "-p", str(self.port), "-k", self.folder, *fast]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, **self._unprivileged())
        deadline = time.monotonic() + 120
        while not self._answers():
            assert self.process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline, "PostgreSQL did not start"
            time.sleep(0.02)

    def stop(self):
        """Stop the server as a restart does: connections are cut, and open transactions are rolled back."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=120)

    def remove(self):
        """Stop the server, and remove its folder."""
        self.stop()
        shutil.rmtree(self.folder)

    def _answers(self):
        import psycopg  # noqa: PLC0415 - only tests of PostgreSQL need it

        try:
            psycopg.connect(host=str(self.folder), port=self.port, user="tester", dbname="postgres").close()
        except psycopg.OperationalError:
            return False
        return True

    def _call(self, program, *arguments):
        command = [self.programs / program, *map(str, arguments)]
        subprocess.run(command, check=True, capture_output=True, cwd=self.folder, **self._unprivileged())

    @staticmethod
    def _unprivileged():
        return {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}


@contextmanager
def database(server_url):
    """Create an empty database on a server, and remove it at the end; yield its URL."""
    name = f"coarsefine_{uuid.uuid4().hex[:12]}"
    execute(server_url, f'CREATE DATABASE "{name}"')
    try:
        yield make_url(server_url).set(database=name).render_as_string(hide_password=False)
    finally:
        execute(server_url, f'DROP DATABASE "{name}" WITH (FORCE)')


def execute(url, statement):
    """Execute a statement on a connection of its own; return its rows, if any."""
    import psycopg  # noqa: PLC0415 - only tests of PostgreSQL need it

    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []
