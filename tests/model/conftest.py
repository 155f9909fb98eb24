"""Provide synthetic CIFAR-10 batches in each official format, a server to download from, and locked files."""

import io
import os
import pickle
import struct
import tarfile
import tempfile
import threading
from collections.abc import Callable, Iterator
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from coarsefine.model.datasets.split import Images

IMAGES, PIXELS = 10_000, 3072
NAMES = ("data_batch_1", "data_batch_2", "test_batch")
NOBODY = 65534


class Cifar:
    """Write batches of random images in the official file formats."""

    def __init__(self, root: Path) -> None:
        self.root = root
        rng = np.random.default_rng(np.random.SeedSequence(20260101))
        self.images = {name: _random_images(rng) for name in NAMES}
        self.folder = cache(self._folder)

    def encode(self, form: str, images: Images) -> bytes:
        """Return the bytes of one file; the formats are bin, mat, python2 and pickle2 to pickle5."""
        if form == "bin":
            return np.column_stack([images.labels, images.pixels]).tobytes()
        if form == "mat":
            file = io.BytesIO()
            savemat(file, {"batch_label": "batch 1 of 5", "data": images.pixels, "labels": images.labels[:, None]})
            return file.getvalue()
        if form == "python2":
            return _python2_pickle(images)
        batch = {b"batch_label": b"batch 1 of 5", b"labels": images.labels.tolist(), b"data": images.pixels}
        return pickle.dumps(batch, protocol=int(form.removeprefix("pickle")))

    def suffix(self, form: str) -> str:
        """Return the suffix of a format's file names."""
        return f".{form}" if form in {"bin", "mat"} else ""

    def _folder(self, form: str) -> Path:
        """Return a folder with the files of a format, written once; tests must not change it."""
        folder = self.root / form
        folder.mkdir()
        for name, images in self.images.items():
            (folder / f"{name}{self.suffix(form)}").write_bytes(self.encode(form, images))
        return folder

    def copy_with(self, folder: Path, form: str, content: bytes | None, name: str = "data_batch_1") -> Path:
        """Fill `folder` with a format's files, of which one has other content or is missing."""
        folder.mkdir(exist_ok=True)
        for path in self.folder(form).iterdir():
            if path.name != f"{name}{self.suffix(form)}":
                (folder / path.name).symlink_to(path)
            elif content is not None:
                (folder / path.name).write_bytes(content)
        return folder


def _random_images(rng: np.random.Generator) -> Images:
    pixels = np.frombuffer(rng.bytes(IMAGES * PIXELS), np.uint8).reshape(IMAGES, PIXELS)
    return Images(pixels, rng.integers(0, 10, IMAGES, dtype=np.uint8))


def _python2_pickle(images: Images) -> bytes:
    """Return what Python 2's cPickle wrote, opcode for opcode: strings are bytes, the array a BINSTRING."""
    pixels = images.pixels.tobytes()
    return b"".join([
        b"\x80\x02}q\x01(U\x0bbatch_labelq\x02U\x15training batch 1 of 5q\x03U\x06labelsq\x04]q\x05(",
        b"".join(b"K%c" % label for label in images.labels.tolist()),
        b"eU\x04dataq\x06cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08K\x00\x85U\x01bq\x09\x87Rq\x0a",
        b"(K\x01M\x10\x27M\x00\x0c\x86cnumpy\ndtype\nq\x0bU\x02u1q\x0cK\x00K\x01\x87Rq\x0d",
        b"(K\x03U\x01|q\x0eNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x0fb\x89T",
        struct.pack("<i", len(pixels)),
        pixels,
        b"tq\x10bU\tfilenamesq\x11]q\x12(U\x05a.pngq\x13eu.",
    ])  # fmt: skip


@pytest.fixture(scope="session")
def cifar() -> Iterator[Cifar]:
    """Return the writer of synthetic batches; its hundreds of megabytes are removed after the session."""
    with tempfile.TemporaryDirectory() as root:
        yield Cifar(Path(root))


@pytest.fixture(scope="session")
def blank_archive() -> bytes:
    """Return a complete tar.gz of binary batches that compresses well: each image has one colour."""
    rows = np.repeat(np.arange(IMAGES, dtype=np.uint32)[:, None] % 10, PIXELS + 1, axis=1).astype(np.uint8)
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz", compresslevel=1) as archive:
        for name in NAMES:
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}.bin")
            member.size = rows.nbytes
            archive.addfile(member, io.BytesIO(rows.tobytes()))
    return file.getvalue()


class Server:
    """Serve one body over HTTP on this machine; cut it midway or redirect on request."""

    def __init__(self) -> None:
        self.body = b""
        self.cut = False
        self.redirect: str | None = None
        self.requests = 0
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_port}/images.tar.gz"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.requests += 1
                self.send_response(302 if server.redirect else 200)
                if server.redirect:
                    self.send_header("Location", server.redirect)
                self.send_header("Content-Length", str(len(server.body)))
                self.end_headers()
                self.wfile.write(server.body[: len(server.body) // 2] if server.cut else server.body)

            def log_message(self, *_: object) -> None:
                """Keep the tests' output clean."""

        return Handler

    def close(self) -> None:
        """Stop answering; later connections are refused."""
        if self._thread.is_alive():
            self._http.shutdown()
            self._thread.join()
            self._http.server_close()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Start a local server that is reached without a proxy."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    running = Server()
    yield running
    running.close()


@pytest.fixture
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Use a folder of the test as the download cache."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("COARSEFINE_CACHE", str(folder))
    return folder


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Return a folder that every user may enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.fixture
def lock() -> Iterator[Callable[..., None]]:
    """Return a function that removes all rights to a file, or all but those of a mode.

    Root would still have access, and therefore becomes nobody until the end.
    """
    if not hasattr(os, "geteuid"):
        pytest.skip("files cannot be locked by their mode on this system")
    user = os.geteuid()
    locked: list[Path] = []

    def take_away(path: Path, mode: int = 0o000) -> None:
        path.chmod(mode)
        locked.append(path)
        if user == 0:
            os.seteuid(NOBODY)

    yield take_away
    os.seteuid(user)
    for path in locked:
        path.chmod(0o700)
