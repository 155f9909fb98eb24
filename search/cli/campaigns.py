"""Commands that run campaigns and show their results: `run`, `worker`, `status`, `best` and `presets`."""

import shlex
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coarsefine.search.cli.options import CampaignName, Data, Gpus, Json, Storage, Verbosity, app, cores
from coarsefine.search.cli.output import observed, print_json, program, read, say, storage_option

if TYPE_CHECKING:
    from coarsefine.search.results.status import Status


@app.command(epilog="Examples: `coarsefine run digits` · `coarsefine run paper --data cifar-10-binary.tar.gz --json`")
def run(
    campaign: Annotated[
        str,
        typer.Argument(
            metavar="CAMPAIGN", help="Name of a preset, path of a TOML file, or name of a campaign in the storage."
        ),
    ] = "digits",
    storage: Storage = "studies.db",
    data: Data = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=1024,
            help="Number of worker processes. Default: as many as this machine has cores and GPUs for, or one for each "
            "worker of the cluster.",
        ),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(metavar="dask://HOST:PORT", help="Dask cluster to train on. Default: this machine."),
    ] = None,
    gpus: Gpus = None,
    verbose: Verbosity = None,
    as_json: Json = False,
) -> None:
    """Start or resume a campaign, and run it to its end."""
    from coarsefine.search.engine.dask_cluster import count_workers
    from coarsefine.search.engine.run import run as run_campaign
    from coarsefine.search.engine.stage_loop import find_campaign_to_run
    from coarsefine.search.errors import Interrupted, UsageError
    from coarsefine.search.storage.location import locate
    from coarsefine.search.storage.opening import storage_exists
    from coarsefine.search.terminal.status_tables import print_status
    from coarsefine.search.training.user_code.devices import most_workers, read_gpus

    location = locate(storage)
    wanted = find_campaign_to_run(campaign, location)
    devices = read_gpus(gpus) if gpus is not None else None
    n = workers or (count_workers(engine) if engine is not None else most_workers(wanted, devices, cores()))
    sentence = "Interrupted; every finished trial is kept. To resume"
    try:
        with observed(sentence, storage, verbose) as (observer, stop):
            status = run_campaign(
                wanted, location, data=data, workers=n, engine=engine, gpus=devices, observer=observer, stop=stop
            )
    except Interrupted:
        if as_json and storage_exists(location):
            with suppress(UsageError):  # the campaign may not be in the storage yet
                print_json(read(storage, wanted.name).as_dict())
        raise
    if as_json:
        print_json(status.as_dict())
    else:
        print_status(status)
        _print_next_commands(status, storage)
    _say_if_changed(status, wanted.folder)


@app.command(epilog="Examples: `coarsefine worker digits` · `coarsefine worker mine.toml --storage runs/studies.db`")
def worker(
    campaign: Annotated[
        str,
        typer.Argument(
            metavar="CAMPAIGN", help="Name of a preset or of a campaign in the storage, or path of a TOML file."
        ),
    ],
    storage: Storage = "studies.db",
    data: Data = None,
    gpus: Gpus = None,
    verbose: Verbosity = None,
) -> None:
    """Join a running campaign as another worker; Ctrl-C leaves it at any time."""
    from coarsefine.search.engine.stage_loop import find_campaign, join
    from coarsefine.search.training.user_code.devices import read_gpus

    devices = read_gpus(gpus) if gpus is not None else None
    with observed("Left; the slots were given back. To join again", storage, verbose) as (observer, stop):
        join(find_campaign(campaign, storage), storage, data=data, gpus=devices, observer=observer, stop=stop)
    if verbose is not False:
        say("All stages have finished.")


@app.command(epilog="Examples: `coarsefine status` · `coarsefine status paper --json`")
def status(campaign: CampaignName = None, storage: Storage = "studies.db", as_json: Json = False) -> None:
    """Show the stages of a campaign, their counts, the best trials so far, and the next command."""
    from coarsefine.search.terminal.console import print_line
    from coarsefine.search.terminal.status_tables import print_status

    found = read(storage, campaign)
    if as_json:
        print_json(found.as_dict())
        return
    print_status(found)
    _say_if_changed(found)
    if found.state == "failed":
        wrong = "the function or the campaign's file" if "objective" in found.stages[0].attrs else "the campaign's file"
        again = f"{program()} run FILE{storage_option(storage)}"
        print_line(f"Next: correct {wrong}, change `name` in that file, then: {again}")
    elif found.state != "done":
        resume = f"{program()} run {shlex.quote(found.campaign)}{storage_option(storage)}"
        print_line(f"Next: {resume}   (or the campaign's file)")


@app.command(epilog="Examples: `coarsefine best digits` · `coarsefine best paper --json`")
def best(campaign: CampaignName = None, storage: Storage = "studies.db", as_json: Json = False) -> None:
    """Show the best trials of each stage, and the winner."""
    from coarsefine.search.terminal.status_tables import print_best

    found = read(storage, campaign)
    if as_json:
        print_json(found.best().as_dict())
        return
    print_best(found)
    _say_if_changed(found)


@app.command(epilog="Examples: `coarsefine presets` · `coarsefine presets digits > my.toml`")
def presets(
    name: Annotated[
        str | None, typer.Argument(help="Print the TOML file of this preset, as a start for a campaign.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the campaigns that ship with Coarsefine."""
    from coarsefine.search.campaign.campaign import Campaign
    from coarsefine.search.campaign.presets import preset_names, preset_text
    from coarsefine.search.terminal.console import print_line, print_prose

    if name is not None:
        text = preset_text(name)
        print_json({"preset": name, "toml": text}) if as_json else sys.stdout.write(text)
        return
    campaigns = map(Campaign.load, preset_names())
    rows = [(c.name, [s.trials for s in c.stages], c.description) for c in campaigns]
    if as_json:
        print_json({"presets": [dict(zip(("name", "trials", "description"), row, strict=True)) for row in rows]})
        return
    for preset, trials, description in rows:
        print_line(f"{preset}: {' + '.join(map(str, trials))} trials")
        print_prose(description)


def _say_if_changed(status: "Status", folder: Path | None = None) -> None:
    """Say if the objective's file is no longer the one that gave the results; it may be in the campaign's `folder`."""
    from coarsefine.search.training.user_code.source_file import changed_since

    if changed := changed_since(status.stages[0].attrs.get("objective"), folder):
        say(changed)


def _print_next_commands(status: "Status", storage: str) -> None:
    from coarsefine.search.terminal.console import print_line

    campaign = f"{shlex.quote(status.campaign)}{storage_option(storage)}"
    print_line(f"Next: {program()} best {campaign}")
    print_line(f"      {program()} serve{storage_option(storage)}")
    if status.final is not None:
        print_line(f"      {program()} predict {shlex.quote(status.final.folder)} IMAGE.png")
    else:  # of an objective
        print_line(f"      {program()} export {campaign} --as params")
