"""Commands that show campaigns in a browser: the report, the server."""

from pathlib import Path
from typing import Annotated

import typer

from coarsefine.search.cli.options import Json, Named, Storage, app
from coarsefine.search.cli.output import print_json, say


@app.command(
    epilog="Examples: `coarsefine report digits` · `coarsefine report paper --output paper.html --png figures`"
)
def report(
    campaign: Named = None,
    storage: Storage = "studies.db",
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The page. Default: reports/CAMPAIGN.html beside the studies."),
    ] = None,
    png: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Draw the figures as PNG files, too (extra `png`, and a Chromium)."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write the story of a campaign as one HTML file that opens offline."""
    from coarsefine.search.report import write_report
    from coarsefine.search.storage.location import locate
    from coarsefine.search.storage.opening import open_storage
    from coarsefine.search.terminal import status_tables

    opened = open_storage(locate(storage))
    try:
        written = write_report(opened, campaign, output, png)
    finally:
        opened.close()
    if as_json:
        print_json(written.as_dict())
        return
    status_tables.out.print(f"Report: {written.report}", markup=False)
    if written.images:
        status_tables.out.print(f"Images: {len(written.images)} in {png}", markup=False)
    if written.missing:
        status_tables.out.print(
            f"Not in it, since not there: {', '.join(written.missing).replace('_', ' ')}", markup=False
        )


@app.command(epilog="Examples: `coarsefine serve` · `coarsefine serve --host 0.0.0.0 --storage runs/studies.db`")
def serve(
    storage: Storage = "studies.db",
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
    from coarsefine.search.server import ServeOptions
    from coarsefine.search.server import serve as serve_studies
    from coarsefine.search.storage.location import locate

    options = ServeOptions(host, port, tuple(allowed_host or ()), token_file, no_token, allow_write)
    serve_studies(locate(storage), options, say)
