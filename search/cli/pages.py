"""Commands that show campaigns in a browser: `report` and `serve`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from coarsefine.search.cli.options import CampaignName, Json, Storage, app
from coarsefine.search.cli.output import opened, print_json, say


@app.command(
    epilog="Examples: `coarsefine report digits` · `coarsefine report paper --output paper.html --png figures`"
)
def report(
    campaign: CampaignName = None,
    storage: Storage = "studies.db",
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Path of the page. Default: reports/CAMPAIGN.html next to the studies."),
    ] = None,
    png: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Also draw the figures as PNG files (needs the extra `png` and a Chromium)."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a report of a campaign as one HTML file that opens offline."""
    from coarsefine.search.report import write_report
    from coarsefine.search.terminal.console import print_line

    with opened(storage) as studies:
        written = write_report(studies, campaign, output, png, say)
    if as_json:
        print_json(asdict(written))
        return
    print_line(f"Report: {written.report}")
    if written.images:
        print_line(f"Images: {len(written.images)} in {png}")
    if written.missing:
        print_line(f"Not in the report, because not recorded: {', '.join(written.missing).replace('_', ' ')}")


@app.command(epilog="Examples: `coarsefine serve` · `coarsefine serve --host 0.0.0.0 --storage runs/studies.db`")
def serve(
    storage: Storage = "studies.db",
    host: Annotated[
        str, typer.Option(help="Address to listen on. On any other than 127.0.0.1, visitors need a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 selects a free port.")] = 8080,
    token_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="File with the token. Default: COARSEFINE_TOKEN, or a new token if one is needed."
        ),
    ] = None,
    no_token: Annotated[
        bool, typer.Option("--no-token", help="Require no token; refused if other machines can connect.")
    ] = False,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[:PORT]", help="Another name of the server, as behind a proxy or a tunnel. Repeatable."
        ),
    ] = None,
    allow_write: Annotated[
        bool, typer.Option("--allow-write", help="Let optuna-dashboard write notes and delete studies.")
    ] = False,
) -> None:
    """Serve campaigns to a browser: their pages, JSON under /api/v1, and optuna-dashboard."""
    from coarsefine.search.server import ServeOptions
    from coarsefine.search.server import serve as serve_studies
    from coarsefine.search.storage.location import locate

    options = ServeOptions(host, port, tuple(allowed_host or ()), token_file, no_token, allow_write)
    serve_studies(locate(storage), options, say)
