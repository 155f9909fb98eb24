"""Build the documentation of docs/ and serve it on 127.0.0.1; with --check, check it instead."""

import argparse
import sys
import tempfile
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from documentation.built_pages import problems_of_site
from documentation.sources import problems_of_sources

_ROOT = Path(__file__).resolve().parents[2]
_DOCS = _ROOT / "docs"
_FIGURES = _DOCS / "figures"


def main() -> int:
    """Do what the command line asks for, and return the exit code."""
    wanted = parse()
    if wanted.update:
        return update()
    if wanted.check:
        with tempfile.TemporaryDirectory() as temporary:
            return check(wanted.output or Path(temporary))
    folder = wanted.output or _DOCS / "_build"
    return build(folder) or serve(folder / "html", wanted.port)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="scripts/docs", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--check",
        action="store_true",
        help="build in a new folder; check links, figures, what pages repeat, and that none loads from elsewhere",
    )
    parser.add_argument(
        "--update",
        action="store_true",
        help="draw the figures of docs/figures again, and write the examples, keys and options into the pages",
    )
    parser.add_argument("--port", type=int, default=8000, help="port to serve on; 0 selects a free port")
    parser.add_argument("--output", type=Path, help="where to build; default: docs/_build")
    return parser.parse_args()


def update() -> int:
    """Draw the figures again, write what pages repeat, and return the exit code."""
    from documentation import repeated  # noqa: PLC0415 - imports Coarsefine and Sphinx
    from documentation.figures import draw_all  # noqa: PLC0415 - imports NumPy and Optuna

    draw_all(_FIGURES)
    repeated.update()
    print("The figures and pages are up to date.")
    return 0


def build(folder: Path, *options: str) -> int:
    """Build the site in `html` of a folder, with warnings as errors; return Sphinx's exit code."""
    from sphinx.cmd.build import build_main  # noqa: PLC0415 - --help does not need it

    strict = ["-q", "--nitpicky", "--fail-on-warning", "--keep-going", *options]
    return build_main([*strict, "-d", str(folder / "doctrees"), str(_DOCS), str(folder / "html")])


def check(folder: Path) -> int:
    """Build all pages and check them, print each problem, and return the exit code."""
    from documentation import repeated  # noqa: PLC0415 - imports Coarsefine and Sphinx
    from documentation.figures import outdated  # noqa: PLC0415 - imports NumPy and Optuna

    if code := build(folder, "--fresh-env"):
        return code
    site = folder / "html"
    problems = [*outdated(_FIGURES), *repeated.outdated(), *problems_of_sources(_ROOT), *problems_of_site(site)]
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{sum(1 for _ in site.rglob('*.html'))} pages, {len(problems)} problems")
    return min(1, len(problems))


def serve(site: Path, port: int) -> int:
    """Serve the site on this machine until Ctrl-C; return the exit code."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(site))
    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    except (OSError, OverflowError) as error:
        print(f"Port {port} cannot be used ({error}): name another one, as in --port 0.", file=sys.stderr)
        return 1
    with server, suppress(KeyboardInterrupt):
        print(f"Documentation: http://127.0.0.1:{server.server_port}/\nPress Ctrl-C to stop.", flush=True)
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
