"""The command that writes a campaign file for code of one's own: `init`."""

from typing import Annotated

import typer

from coarsefine.search.cli.options import app
from coarsefine.search.cli.output import print_file, prints_on_stderr, say


@app.command(
    epilog="Examples: `coarsefine init mypackage.train:objective > mine.toml` · "
    "`coarsefine init train:objective --epochs 20 > mine.toml`"
)
def init(
    objective: Annotated[
        str,
        typer.Argument(
            metavar="FUNCTION",
            help="An Optuna objective, or a function of (point, seed, report): package.module:function.",
        ),
    ],
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="How often it reports. Then it is stopped at its first report. Default: it is called "
            "to its end, and its reports are counted.",
        ),
    ] = None,
    trials: Annotated[int, typer.Option(min=1, max=1_000_000, help="Trials of the coarse stage.")] = 40,
) -> None:
    """Print a campaign file for a function: with the ranges that an Optuna objective asks for, else to be filled in."""
    from coarsefine.search.training.user_code.new_campaign import write_campaign

    with prints_on_stderr():
        text = write_campaign(objective, epochs, trials, say)
    print_file(text)
