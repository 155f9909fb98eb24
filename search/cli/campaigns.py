"""Commands that run campaigns and show their results: `run`, `worker`, `retry`, `status`, `best` and `presets`."""

import sys
from contextlib import suppress
from typing import Annotated

import typer

from coarsefine.search.cli.next_commands import (
    campaign_words,
    print_next,
    print_next_commands,
    print_several,
    refuse_mostly_failed,
    refuse_mostly_failed_studies,
    resume_line,
    retry_line,
    say_if_changed,
    show_changes,
)
from coarsefine.search.cli.options import (
    AcceptChanges,
    CampaignName,
    Data,
    Gpus,
    Json,
    Storage,
    Verbosity,
    app,
    cores,
    trial_name,
)
from coarsefine.search.cli.output import observed, print_file, print_json, program, read, say, storage_option


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
    accept_changes: AcceptChanges = False,
    verbose: Verbosity = None,
    as_json: Json = False,
) -> None:
    """Start or resume a campaign, and run it to its end."""
    from coarsefine.search.engine.dask_cluster import count_workers
    from coarsefine.search.engine.run import run as run_campaign
    from coarsefine.search.errors import Interrupted, NothingCompleted, SearchError, UsageError
    from coarsefine.search.results.named_campaign import find_campaign_to_run
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
                wanted, location, data=data, workers=n, engine=engine, gpus=devices, observer=observer, stop=stop,
                accept_changes=accept_changes,
            )  # fmt: skip
    except Interrupted:
        if as_json and storage_exists(location):
            with suppress(UsageError):  # the campaign may not be in the storage yet
                print_json(read(storage, wanted.name).as_dict())
        raise
    except SearchError as error:
        if error.exit_code == NothingCompleted.exit_code and (found := read(storage, wanted.name)).winner is not None:
            with suppress(BrokenPipeError):
                print_json(found.as_dict()) if as_json else print_status(found)  # what was found before the failures
        raise
    with suppress(BrokenPipeError):  # whatever becomes of the output, the exit code is that of the run
        if as_json:
            print_json(status.as_dict())
            sys.stdout.flush()
        else:
            print_status(status)
            print_next_commands(status, storage)
    say_if_changed(status, storage, wanted.folder)
    refuse_mostly_failed(status, storage)


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
    accept_changes: AcceptChanges = False,
    verbose: Verbosity = None,
) -> None:
    """Join a running campaign as another worker; Ctrl-C leaves it at any time."""
    from coarsefine.search.engine.join import join
    from coarsefine.search.results.named_campaign import find_campaign
    from coarsefine.search.training.user_code.devices import read_gpus

    devices = read_gpus(gpus) if gpus is not None else None
    with observed("Left; the slots were given back. To join again", storage, verbose) as (observer, stop):
        joined = find_campaign(campaign, storage)
        studies = join(
            joined, storage, data=data, gpus=devices, observer=observer, stop=stop, accept_changes=accept_changes
        )  # fmt: skip
    if verbose is not False:
        say("All stages have finished.")
    refuse_mostly_failed_studies(joined.name, studies.values(), storage)


@app.command(epilog="Examples: `coarsefine retry mine` · `coarsefine retry mine coarse#7 coarse#12`")
def retry(
    campaign: CampaignName = None,
    trials: Annotated[
        list[str] | None,
        typer.Argument(metavar="[STAGE#NUMBER]...", help="Trials to put back. Default: all that failed."),
    ] = None,
    storage: Storage = "studies.db",
    diverged: Annotated[
        bool, typer.Option("--diverged", help="Also put back the trials of a function that diverged.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Put failed trials back, with their numbers, points and seeds, for the next run to train."""
    from coarsefine.search.results.retry import retry as retry_trials
    from coarsefine.search.terminal.status_tables import print_retried

    words = [*filter(None, (campaign, *(trials or ())))]
    name = words.pop(0) if words and "#" not in words[0] else None  # the only campaign may be left out
    found = retry_trials(name, storage, trials=[trial_name(word) for word in words], diverged=diverged)
    if as_json:
        print_json(found.as_dict())
        return
    print_retried(found)
    print_next(resume_line(read(storage, found.campaign), storage))


@app.command(epilog="Examples: `coarsefine status` · `coarsefine status paper --json`")
def status(
    campaign: CampaignName = None,
    storage: Storage = "studies.db",
    diff: Annotated[
        bool, typer.Option("--diff", help="Show how your function's file, or your command's files, have changed since.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show the stages of a campaign, their counts, the best trials so far, and the next command."""
    from coarsefine.search.terminal.console import print_line
    from coarsefine.search.terminal.status_tables import print_status

    if campaign is None and not as_json and not diff and print_several(storage, "status"):
        return
    found = read(storage, campaign)
    if diff:
        show_changes(found, as_json=as_json)
        return
    if as_json:
        print_json(found.as_dict())
        return
    print_status(found)
    say_if_changed(found, storage)
    retry = retry_line(found, storage)
    if found.state == "failed" and not retry:
        again = f"{program()} run FILE{storage_option(storage)}"
        print_line(f"Next: correct the campaign's file, change `name` in that file, then: {again}")
        print_line(f"      To use the name again: {program()} delete {campaign_words(found, storage)}")
    else:
        print_next(*retry, *([resume_line(found, storage)] if found.state != "done" else []))


@app.command(epilog="Examples: `coarsefine best digits` · `coarsefine best paper --json`")
def best(campaign: CampaignName = None, storage: Storage = "studies.db", as_json: Json = False) -> None:
    """Show the best trials of each stage, and the winner."""
    from coarsefine.search.terminal.status_tables import print_best

    if campaign is None and not as_json and print_several(storage, "best"):
        return
    found = read(storage, campaign)
    if as_json:
        print_json(found.best().as_dict())
        return
    print_best(found)
    say_if_changed(found, storage)


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
        print_json({"preset": name, "toml": text}) if as_json else print_file(text)
        return
    campaigns = map(Campaign.load, preset_names())
    rows = [(c.name, [s.trials for s in c.stages], c.description) for c in campaigns]
    if as_json:
        print_json({"presets": [dict(zip(("name", "trials", "description"), row, strict=True)) for row in rows]})
        return
    for preset, trials, description in rows:
        print_line(f"{preset}: {' + '.join(map(str, trials))} trials")
        print_prose(description)
