"""Commands about single trials: `trials`, `logs` and `try`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from coarsefine.search.cli.options import CampaignName, Json, Storage, TrialName, app
from coarsefine.search.cli.output import opened, print_file, print_json, say


@app.command(
    epilog="Examples: `coarsefine trials digits --stage fine` · `coarsefine trials digits --csv trials.csv` · "
    "`coarsefine trials digits --epochs --csv -`"
)
def trials(
    campaign: CampaignName = None,
    storage: Storage = "studies.db",
    stage: Annotated[str | None, typer.Option(metavar="NAME", help="List only the trials of this stage.")] = None,
    epochs: Annotated[
        bool, typer.Option("--epochs", help="List each epoch of each trial in a row of its own.")
    ] = False,
    csv: Annotated[
        Path | None,
        typer.Option("--csv", metavar="FILE", help="Write CSV with a header to this file; to stdout if it is `-`."),
    ] = None,
    as_json: Json = False,
) -> None:
    """List all trials: parameters, values, further metrics, seeds, times, workers, and why trials ended early."""
    from coarsefine.search.errors import UsageError
    from coarsefine.search.files import write_atomic
    from coarsefine.search.results.trial_table import read_table
    from coarsefine.search.terminal.trial_tables import print_epochs, print_trials

    if csv is not None and as_json:
        raise UsageError("--csv writes CSV, and --json prints JSON: give one of the two.")
    with opened(storage) as studies:
        table = read_table(studies, campaign, stage)
    for sentence in table.left_out:
        say(sentence)
    if csv == Path("-"):
        print_file(table.csv(epochs=epochs))
    elif csv is not None:
        write_atomic(csv, table.csv(epochs=epochs))
        say(f"Written: {csv}")
    elif as_json:
        print_json(table.as_dict(epochs=epochs))
    else:
        print_epochs(table) if epochs else print_trials(table)


@app.command(epilog="Examples: `coarsefine logs mine coarse#7` · `coarsefine logs mine coarse#7 --follow`")
def logs(
    campaign: CampaignName = None,
    trial: Annotated[
        TrialName | None,
        typer.Argument(
            metavar="[STAGE#NUMBER]", parser=TrialName.parse, help="Trial of your own code. Default: the workers' logs."
        ),
    ] = None,
    storage: Storage = "studies.db",
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on with what is printed from now on, until the trial has ended.")
    ] = False,
) -> None:
    """Print what a trial of your own code printed, and its traceback if it failed; or the ends of the workers' logs."""
    from coarsefine.search.results.campaign_studies import find_trial
    from coarsefine.search.results.readable_studies import read_readable_studies
    from coarsefine.search.terminal.log_output import print_trial_log, print_worker_logs

    if trial is None and campaign is not None and "#" in campaign:  # a trial of the only campaign
        trial = TrialName.parse(campaign)
        campaign = None
    with opened(storage) as studies:
        found = read_readable_studies(studies, campaign)
        for sentence in found.left_out:
            say(sentence)
        if trial is None:
            print_worker_logs(studies, found.name, follow=follow)
        else:
            print_trial_log(studies, *find_trial(found.studies, *trial), follow=follow)


@app.command("try", epilog="Examples: `coarsefine try mine.toml` · `coarsefine try mine.toml --point lr=0.01 --seed 3`")
def try_(
    campaign: Annotated[str, typer.Argument(metavar="FILE", help="Path of the campaign's TOML file.")],
    point: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Value of a parameter. Repeatable. Default: that of the first trial."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**32 - 1, help="Seed of the trial. Default: that of the first trial.")
    ] = None,
    stage: Annotated[str | None, typer.Option(metavar="NAME", help="Stage of the trial. Default: the first.")] = None,
) -> None:
    """Run one trial of your own code here, to look at: its output is seen, `breakpoint()` works, nothing is stored."""
    from coarsefine.search.campaign import labels
    from coarsefine.search.campaign.campaign import Campaign
    from coarsefine.search.campaign.metric import VALUE
    from coarsefine.search.errors import NothingCompleted
    from coarsefine.search.terminal.console import print_line
    from coarsefine.search.training.user_code.foreground import notes_on, slot_to_try, stage_to_try, try_trial
    from coarsefine.search.training.user_code.foreground_command import try_command

    loaded = Campaign.load(campaign)
    chosen = stage_to_try(loaded, stage)
    slot, metric, epochs = slot_to_try(loaded, chosen, point or (), seed), loaded.metric, loaded.epochs_of(chosen)

    def shown(value: float, further: Mapping[str, float | None]) -> str:
        more = (f"{name} {VALUE.text_or_nothing(number)}" for name, number in further.items())
        return "  ".join([f"{metric.name} {metric.text(value)}", *more])

    print_line(f"Trial of {loaded.name}/{chosen.name}: {labels.point_text(slot.point, metric)}; seed {slot.seed}")
    try:
        attempt = try_trial if loaded.command is None else try_command
        tried = attempt(
            loaded, chosen, slot, lambda n, now: print_line(f"epoch {n}/{epochs}  {shown(now.value, now.metrics)}")
        )
    except NothingCompleted as failed:
        for traceback in getattr(failed, "__notes__", ()):
            say(traceback)
        raise
    print_line(f"Result: {shown(tried.last.value, tried.last.metrics)}, in {tried.seconds:.1f} s")
    if tried.folder is not None:
        print_line(f"Files: {tried.folder}")
    for note in notes_on(loaded, chosen, tried):
        say(note)
