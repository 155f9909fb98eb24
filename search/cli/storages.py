"""Commands about the campaigns of a storage: `list` and `delete`."""

from typing import Annotated

import typer

from coarsefine.search.cli.options import Json, Storage, app
from coarsefine.search.cli.output import opened, print_json, say


@app.command("list", epilog="Examples: `coarsefine list` · `coarsefine list --storage runs/studies.db --json`")
def list_(storage: Storage = "studies.db", as_json: Json = False) -> None:
    """List the campaigns of a storage: state, trials, and best value."""
    from coarsefine.search.results.listing import listing, read_campaigns
    from coarsefine.search.terminal.campaign_table import print_campaigns

    with opened(storage) as studies:
        found, problems = read_campaigns(studies)
    if as_json:
        print_json(listing(found, problems).as_dict())
        return
    print_campaigns(found)
    for problem in problems:
        say(problem)


@app.command(epilog="Examples: `coarsefine delete digits` · `coarsefine delete digits --storage runs/studies.db --yes`")
def delete(
    campaign: Annotated[str, typer.Argument(metavar="CAMPAIGN", help="Name of a campaign in the storage.")],
    storage: Storage = "studies.db",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    as_json: Json = False,
) -> None:
    """Delete a campaign, with the logs and files of its trials; a SQLite file is backed up first."""
    from coarsefine.search.results.deletion import delete as delete_campaign
    from coarsefine.search.results.deletion import plan_deletion
    from coarsefine.search.storage.location import locate

    location = locate(storage)
    if not yes:
        say(plan_deletion(location, campaign).words)
        _confirm()
    deleted = delete_campaign(location, campaign)
    if as_json:
        print_json(deleted.as_dict())
    else:
        kept = f" The storage as it was before: {deleted.backup}" if deleted.backup else ""
        say(f"Campaign {deleted.campaign} was deleted.{deleted.kept}{kept}")


def _confirm() -> None:
    """Ask a person; raise `UsageError` if nobody can answer, or `typer.Exit` if the answer is not yes."""
    import sys

    from coarsefine.search.errors import UsageError

    if not (sys.stdin and sys.stdin.isatty()):
        raise UsageError("Nothing was deleted: stdin is no terminal, so nobody can be asked. Give --yes.")
    if not typer.confirm("Delete it?", err=True):
        say("Nothing was deleted.")
        raise typer.Exit(1)
