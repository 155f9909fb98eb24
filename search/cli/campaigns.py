"""Commands that take campaigns to their end, and tell how they stand."""

import os
import shlex
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from coarsefine.search.cli.options import (
    Data,
    Json,
    Named,
    Storage,
    Talk,
    app,
)
from coarsefine.search.cli.output import (
    print_json,
    program,
    read,
    same_command,
    say,
    storage_option,
)

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from coarsefine.search.results.observer import Observer


@app.command(epilog="Examples: `coarsefine run digits` · `coarsefine run paper --data cifar-10-binary.tar.gz --json`")
def run(
    campaign: Annotated[str, typer.Argument(help="A preset's name, or the path of a TOML file.")] = "digits",
    storage: Storage = "studies.db",
    data: Data = None,
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
    verbose: Talk = None,
    as_json: Json = False,
) -> None:
    """Begin or resume a campaign, and take it to its end."""
    from coarsefine.search.campaign.campaign import Campaign
    from coarsefine.search.engine.dask_cluster import count_workers
    from coarsefine.search.engine.run import run as run_campaign
    from coarsefine.search.engine.signals import Interrupts
    from coarsefine.search.errors import Interrupted, UsageError
    from coarsefine.search.storage.location import locate
    from coarsefine.search.storage.opening import storage_exists
    from coarsefine.search.terminal import status_tables

    wanted, location = Campaign.load(campaign), locate(storage)
    n = workers or (count_workers(engine) if engine is not None else _cores())
    try:
        with Interrupts() as stop, _watching(storage, stop, verbose) as observer:
            status = run_campaign(wanted, location, data=data, workers=n, engine=engine, observer=observer, stop=stop)
    except (Interrupted, KeyboardInterrupt) as error:
        if as_json and storage_exists(location):
            with suppress(UsageError):  # it may not have come as far as the storage
                print_json(read(storage, wanted.name).as_dict())
        told = f"Interrupted; every finished trial is kept. To go on: {same_command(storage)}"
        raise Interrupted(told) from error
    if as_json:
        print_json(status.as_dict())
        return
    status_tables.print_status(status)
    status_tables.out.print(f"Next: {program()} best {shlex.quote(wanted.name)}{storage_option(storage)}", markup=False)
    status_tables.out.print(f"      {program()} serve{storage_option(storage)}", markup=False)
    if status.final is not None:
        status_tables.out.print(f"      {program()} predict {shlex.quote(status.final.folder)} IMAGE.png", markup=False)


@app.command(epilog="Examples: `coarsefine worker digits` · `coarsefine worker mine.toml --storage runs/studies.db`")
def worker(
    campaign: Annotated[str, typer.Argument(help="A preset's name, a TOML file, or a campaign in the storage.")],
    storage: Storage = "studies.db",
    data: Data = None,
    verbose: Talk = None,
) -> None:
    """Join a running campaign, and help it through its stages; leave at any time with Ctrl-C."""
    from coarsefine.search.engine.signals import Interrupts
    from coarsefine.search.engine.stage_loop import find_campaign, join
    from coarsefine.search.errors import Interrupted
    from coarsefine.search.storage.location import locate

    location = locate(storage)
    try:
        with Interrupts() as stop, _watching(storage, stop, verbose) as observer:
            join(find_campaign(campaign, location), location, data=data, observer=observer, stop=stop)
    except (Interrupted, KeyboardInterrupt) as error:
        raise Interrupted(f"Left; the slots went back. To join again: {same_command(storage)}") from error
    if verbose is not False:
        say("Every stage is at its end.")


@app.command(epilog="Examples: `coarsefine status` · `coarsefine status paper --json`")
def status(campaign: Named = None, storage: Storage = "studies.db", as_json: Json = False) -> None:
    """Tell how a campaign stands: stages, counts, the best so far, and what to type next."""
    from coarsefine.search.terminal import status_tables

    found = read(storage, campaign)
    if as_json:
        print_json(found.as_dict())
        return
    status_tables.print_status(found)
    if found.state != "done":
        told = f"Next: {program()} run {shlex.quote(found.campaign)}{storage_option(storage)}"
        status_tables.out.print(f"{told}   (or the campaign's file)", markup=False)


@app.command(epilog="Examples: `coarsefine best digits` · `coarsefine best paper --json`")
def best(campaign: Named = None, storage: Storage = "studies.db", as_json: Json = False) -> None:
    """Show the best trials of each stage, and the winner."""
    from coarsefine.search.terminal import status_tables

    found = read(storage, campaign)
    if as_json:
        told = found.as_dict()
        stages = [{key: stage[key] for key in ("name", "study", "best")} for stage in told["stages"]]
        print_json({"campaign": found.campaign, "stages": stages, **{key: told[key] for key in ("winner", "confirm")}})
        return
    for stage in found.stages:
        status_tables.print_stage(stage, found.metric)
    if found.verdict:
        status_tables.print_finalists(found.verdict, found.metric)
    status_tables.print_winner(found)


@app.command(epilog="Examples: `coarsefine presets` · `coarsefine presets digits > my.toml`")
def presets(
    name: Annotated[str | None, typer.Argument(help="Print this preset's TOML, to begin your own from.")] = None,
    as_json: Json = False,
) -> None:
    """List the campaigns that ship with Coarsefine."""
    from coarsefine.search.campaign.campaign import Campaign
    from coarsefine.search.campaign.presets import preset_names, preset_text
    from coarsefine.search.terminal import status_tables

    if name is not None:
        text = preset_text(name)
        print_json({"preset": name, "toml": text}) if as_json else sys.stdout.write(text)
        return
    campaigns = map(Campaign.load, preset_names())
    rows = [(c.name, [s.trials for s in c.stages], c.description) for c in campaigns]
    if as_json:
        print_json({"presets": [dict(zip(("name", "trials", "description"), row, strict=True)) for row in rows]})
        return
    status_tables.print_table(("preset", "trials", "what"), [(n, " + ".join(map(str, t)), d) for n, t, d in rows])


def _watching(storage: str, stop: Callable[[], bool], verbose: bool | None) -> "AbstractContextManager[Observer]":
    from coarsefine.search.terminal.live_view import watching

    return watching(f"coarsefine serve{storage_option(storage)}", stop, quiet=verbose is False, verbose=bool(verbose))


def _cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
