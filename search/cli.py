"""The commands: each parses, calls one function, and prints what it returns.

Heavy imports wait until a command needs them, so that `--help` answers at once.
"""

import json
import os
import shlex
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from search.status import Status
    from search.watcher import Watcher

app = typer.Typer(
    name="coarsefine",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Staged random search for the learning rate η and the L2 weight λ, every trial exactly once.",
    epilog="Examples: `coarsefine run digits` · `coarsefine status digits --json`",
)

_Storage = Annotated[
    str,
    typer.Option(metavar="FILE|URL", help="The studies: a SQLite file, or postgresql+psycopg://USER@HOST/DATABASE."),
]
_Data = Annotated[
    Path | None,
    typer.Option(metavar="PATH", help="CIFAR-10: the archive, or the folder of its files. Default: COARSEFINE_DATA."),
]
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
_Talk = Annotated[
    bool | None,
    typer.Option(
        "--verbose/--quiet",
        help="Tell also what each worker claims, resumes and records; or say nothing on stderr but errors.",
        show_default=False,
    ),
]
_Named = Annotated[str | None, typer.Argument(metavar="[CAMPAIGN]", help="Name of a campaign in the storage.")]
_Dataset = Annotated[
    Literal["digits", "cifar10"] | None, typer.Option(help="Whose images. Default: the campaign's, else the digits.")
]
_Beside = Annotated[
    str | None,
    typer.Option("--campaign", metavar="CAMPAIGN", help="Take this campaign's images and network, and record the "
                 "outcome with it, for its report."),
]  # fmt: skip


@app.command(epilog="Examples: `coarsefine run digits` · `coarsefine run paper --data cifar-10-binary.tar.gz --json`")
def run(
    campaign: Annotated[str, typer.Argument(help="A preset's name, or the path of a TOML file.")] = "digits",
    storage: _Storage = "studies.db",
    data: _Data = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, max=1024, help="Processes that train side by side. Default: the cores, or the cluster's workers."
        ),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(metavar="dask://HOST:PORT", help="A Dask cluster to train on. Default: this machine."),
    ] = None,
    verbose: _Talk = None,
    as_json: _Json = False,
) -> None:
    """Begin or resume a campaign, and take it to its end."""
    from search import terminal
    from search.campaign import Campaign
    from search.cluster import count_workers
    from search.database import locate
    from search.errors import Interrupted, UsageError
    from search.interrupt import Interrupts
    from search.run import run as run_campaign
    from search.storage import is_there

    wanted, location = Campaign.load(campaign), locate(storage)
    n = workers or (count_workers(engine) if engine is not None else _cores())
    try:
        with Interrupts() as stop, _watching(storage, stop, verbose) as watcher:
            status = run_campaign(wanted, location, data=data, workers=n, engine=engine, watcher=watcher, stop=stop)
    except (Interrupted, KeyboardInterrupt) as error:
        if as_json and is_there(location):
            with suppress(UsageError):  # it may not have come as far as the storage
                _print_json(_read(storage, wanted.name).as_dict())
        told = f"Interrupted; every finished trial is kept. To go on: {_same_command(storage)}"
        raise Interrupted(told) from error
    if as_json:
        _print_json(status.as_dict())
        return
    terminal.print_status(status)
    terminal.out.print(f"Next: {_program()} best {shlex.quote(wanted.name)}{_option(storage)}", markup=False)
    terminal.out.print(f"      {_program()} serve{_option(storage)}", markup=False)


@app.command(epilog="Examples: `coarsefine worker digits` · `coarsefine worker mine.toml --storage runs/studies.db`")
def worker(
    campaign: Annotated[str, typer.Argument(help="A preset's name, a TOML file, or a campaign in the storage.")],
    storage: _Storage = "studies.db",
    data: _Data = None,
    verbose: _Talk = None,
) -> None:
    """Join a running campaign, and help it through its stages; leave at any time with Ctrl-C."""
    from search.database import locate
    from search.errors import Interrupted
    from search.interrupt import Interrupts
    from search.walk import find_campaign, join

    location = locate(storage)
    try:
        with Interrupts() as stop, _watching(storage, stop, verbose) as watcher:
            join(find_campaign(campaign, location), location, data=data, watcher=watcher, stop=stop)
    except (Interrupted, KeyboardInterrupt) as error:
        raise Interrupted(f"Left; the slots went back. To join again: {_same_command(storage)}") from error
    if verbose is not False:
        _say("Every stage is at its end.")


@app.command(epilog="Examples: `coarsefine status` · `coarsefine status paper --json`")
def status(campaign: _Named = None, storage: _Storage = "studies.db", as_json: _Json = False) -> None:
    """Tell how a campaign stands: stages, counts, the best so far, and what to type next."""
    from search import terminal

    found = _read(storage, campaign)
    if as_json:
        _print_json(found.as_dict())
        return
    terminal.print_status(found)
    if found.state != "done":
        told = f"Next: {_program()} run {shlex.quote(found.campaign)}{_option(storage)}"
        terminal.out.print(f"{told}   (or the campaign's file)", markup=False)


@app.command(epilog="Examples: `coarsefine best digits` · `coarsefine best paper --json`")
def best(campaign: _Named = None, storage: _Storage = "studies.db", as_json: _Json = False) -> None:
    """Show the best trials of each stage, and the winner."""
    from search import terminal

    found = _read(storage, campaign)
    if as_json:
        told = found.as_dict()
        stages = [{key: stage[key] for key in ("name", "study", "best")} for stage in told["stages"]]
        _print_json({"campaign": found.campaign, "stages": stages, **{key: told[key] for key in ("winner", "confirm")}})
        return
    for stage in found.stages:
        terminal.print_stage(stage)
    if found.verdict:
        terminal.print_finalists(found.verdict)
    terminal.print_winner(found)


@app.command(epilog="Examples: `coarsefine presets` · `coarsefine presets digits > my.toml`")
def presets(
    name: Annotated[str | None, typer.Argument(help="Print this preset's TOML, to begin your own from.")] = None,
    as_json: _Json = False,
) -> None:
    """List the campaigns that ship with Coarsefine."""
    from search import terminal
    from search.campaign import preset_text
    from search.campaign import presets as all_presets

    if name is not None:
        text = preset_text(name)
        _print_json({"preset": name, "toml": text}) if as_json else sys.stdout.write(text)
        return
    rows = [(c.name, [s.trials for s in c.steps], c.description) for c in all_presets()]
    if as_json:
        _print_json({"presets": [dict(zip(("name", "trials", "description"), row, strict=True)) for row in rows]})
        return
    terminal.print_table(("preset", "trials", "what"), [(n, " + ".join(map(str, t)), d) for n, t, d in rows])


@app.command(epilog="Examples: `coarsefine gradcheck` · `coarsefine gradcheck --campaign paper --data FOLDER --json`")
def gradcheck(
    dataset: _Dataset = None,
    campaign: _Beside = None,
    storage: _Storage = "studies.db",
    data: _Data = None,
    images: Annotated[int, typer.Option(min=1, help="How many training images the cost is over.")] = 20,
    sample: Annotated[int, typer.Option(min=1, help="Most coordinates to check of each tensor.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Draws the network and the coordinates.")] = 0,
    as_json: _Json = False,
) -> None:
    """Compare analytic with numerical gradients in float64 (the paper's Table 1)."""
    from search import terminal
    from search.evidence import GRADIENT_CHECK, Subject, check_gradients

    subject = Subject.find(dataset, campaign, storage)
    check = check_gradients(subject, subject.load_images(data, _say), images=images, sample=sample, seed=seed)
    _tell_recorded(subject.record(GRADIENT_CHECK, check))
    errors = {tensor["tensor"]: tensor["relative_error"] for tensor in check["tensors"]}
    if as_json:
        _print_json(errors)
        return
    rows = [(t["tensor"], _scientific(errors[t["tensor"]]), t["checked"], t["kinks"]) for t in check["tensors"]]
    terminal.print_table(("gradient", "relative error", "coordinates", "left out at a kink"), rows)


@app.command(
    epilog="Examples: `coarsefine momentum` · `coarsefine momentum --campaign paper --data FOLDER --epochs 50`"
)
def momentum(
    dataset: _Dataset = None,
    campaign: _Beside = None,
    storage: _Storage = "studies.db",
    data: _Data = None,
    eta: Annotated[float, typer.Option(min=1e-12, max=1e12, help="Learning rate of the first epoch.")] = 0.01,
    epochs: Annotated[int, typer.Option(min=1)] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Draws initial weights and mini-batches.")] = 0,
    figure: Annotated[Path, typer.Option(help="Where the figure goes.")] = Path("figures/momentum.html"),
    as_json: _Json = False,
) -> None:
    """Train with ρ = 0, 0.5, 0.9, 0.99 as one stack (the paper's Figure 1)."""
    from search import terminal
    from search.evidence import MOMENTUM, Subject, study_momentum
    from search.momentum import write_figure

    subject = Subject.find(dataset, campaign, storage)
    loaded = subject.load_images(data, _say)
    curves, study = study_momentum(subject, loaded, eta=eta, epochs=epochs, seed=seed, told=_every(20, epochs))
    _tell_recorded(subject.record(MOMENTUM, study))
    write_figure(curves, f"Momentum on {loaded.name}: η = {eta:g}, λ = 0, decay {study['decay']:g}", figure)
    told = study["curves"]
    if as_json:
        _print_json({"dataset": study["dataset"], "eta": eta, "figure": str(figure), "curves": told})
        return
    columns = (
        "rho",
        "epochs",
        "train_loss",
        "validation_loss",
        "validation_accuracy",
        "best_validation_accuracy",
    )
    rows = [[f"{curve[key]:.4g}" for key in columns] for curve in told]
    terminal.print_table(("ρ", "epochs", "training loss", "validation loss", "accuracy", "best accuracy"), rows)
    terminal.out.print(f"Figure: {figure}", markup=False)


@app.command(
    epilog="Examples: `coarsefine report digits` · `coarsefine report paper --output paper.html --png figures`"
)
def report(
    campaign: _Named = None,
    storage: _Storage = "studies.db",
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The page. Default: reports/CAMPAIGN.html beside the studies."),
    ] = None,
    png: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Draw the figures as PNG files, too (extra `png`, and a Chromium)."),
    ] = None,
    as_json: _Json = False,
) -> None:
    """Write the story of a campaign as one HTML file that opens offline."""
    from search import terminal
    from search.database import locate
    from search.report import write_report
    from search.storage import open_storage

    opened = open_storage(locate(storage))
    try:
        written = write_report(opened, campaign, output, png)
    finally:
        opened.close()
    if as_json:
        _print_json(written.as_dict())
        return
    terminal.out.print(f"Report: {written.report}", markup=False)
    if written.images:
        terminal.out.print(f"Images: {len(written.images)} in {png}", markup=False)
    if written.missing:
        terminal.out.print(f"Not in it, since not there: {', '.join(written.missing).replace('_', ' ')}", markup=False)


@app.command(epilog="Examples: `coarsefine doctor` · `coarsefine doctor --data cifar-10-batches-bin --json`")
def doctor(storage: _Storage = "studies.db", data: _Data = None, as_json: _Json = False) -> None:
    """Tell whether this machine, its data and its storage are fit."""
    from search import terminal
    from search.database import locate
    from search.doctor import examine, worst

    findings = examine(locate(storage), data)
    if as_json:
        _print_json({"findings": [finding.as_dict() for finding in findings]})
    else:
        terminal.print_findings(findings)
    raise typer.Exit(worst(findings))


@app.command(epilog="Examples: `coarsefine serve` · `coarsefine serve --host 0.0.0.0 --storage runs/studies.db`")
def serve(
    storage: _Storage = "studies.db",
    host: Annotated[
        str, typer.Option(help="The address to listen on. Any but 127.0.0.1 asks visitors for a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8080,
    token_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Holds the token. Default: COARSEFINE_TOKEN; else one is made where needed."),
    ] = None,
    no_token: Annotated[bool, typer.Option("--no-token", help="Ask for none; refused where others can come.")] = False,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME[:PORT]", help="Another name it is reached by, of a proxy or a tunnel. Repeatable."),
    ] = None,
    allow_write: Annotated[
        bool, typer.Option("--allow-write", help="Let optuna-dashboard write notes and delete studies.")
    ] = False,
) -> None:
    """Show campaigns in a browser: their own pages, JSON under /api/v1, and optuna-dashboard."""
    from search.database import locate
    from search.server import Access
    from search.server import serve as serve_studies

    access = Access(host, port, tuple(allowed_host or ()), token_file, no_token, allow_write)
    serve_studies(locate(storage), access, _say)


def main() -> None:
    """Run the command line; an error of the user's ends in one sentence on stderr and its exit code."""
    from model.errors import ModelError
    from search.errors import SearchError

    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except (SearchError, ModelError) as error:
        _say(str(error))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # `coarsefine best | head`: the reader has what it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:  # the disk to which the output goes may be full
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _say(f"The output cannot be written: {error.strerror}.")
        sys.exit(5)


def _watching(storage: str, stop: "Callable[[], bool]", verbose: bool | None) -> "AbstractContextManager[Watcher]":
    from search.live import watching

    return watching(f"coarsefine serve{_option(storage)}", stop, quiet=verbose is False, verbose=bool(verbose))


def _read(storage: str, campaign: str | None) -> "Status":
    from search.database import locate
    from search.status import read_status
    from search.storage import open_storage

    opened = open_storage(locate(storage))
    try:
        return read_status(opened, campaign)
    finally:
        opened.close()


def _print_json(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def _say(sentence: str) -> None:
    from search.terminal import err

    err.print(sentence, markup=False)


def _tell_recorded(study: str | None) -> None:
    if study is not None:
        _say(f"Recorded with {study}, for `coarsefine report`.")


def _scientific(error: float | None) -> str:
    return f"{error:.2e}" if error is not None else "none checked"


def _every(step: int, last: int) -> "Callable[[int], None]":
    def told(epoch: int) -> None:
        if epoch % step == 0 or epoch == last:
            _say(f"epoch {epoch} of {last}")

    return told


def _cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _same_command(storage: str) -> str:
    return f"{_program()} {shlex.join(word.replace(storage, _plain(storage)) for word in sys.argv[1:])}"


def _option(storage: str) -> str:
    return "" if storage == "studies.db" else f" --storage {shlex.quote(_plain(storage))}"


def _plain(storage: str) -> str:
    """Return what was given as --storage, without a password: what we print ends in logs and histories."""
    from search.database import locate

    return locate(storage).shown if "://" in storage else storage


def _program() -> str:
    """Return how this program was called, so that what we print can be pasted."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return f"{shlex.quote(sys.executable)} -m search"
    found = shutil.which("coarsefine")
    return "coarsefine" if found and called.exists() and Path(found).samefile(called) else shlex.quote(sys.argv[0])
