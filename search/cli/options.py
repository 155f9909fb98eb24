"""The command line's frame, and the options that commands share."""

from pathlib import Path
from typing import Annotated, Literal

import typer

app = typer.Typer(
    name="coarsefine",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Staged random search for the learning rate η and the L2 weight λ, every trial exactly once.",
    epilog="Examples: `coarsefine run digits` · `coarsefine status digits --json`",
)

Storage = Annotated[
    str,
    typer.Option(metavar="FILE|URL", help="The studies: a SQLite file, or postgresql+psycopg://USER@HOST/DATABASE."),
]
Data = Annotated[
    Path | None,
    typer.Option(metavar="PATH", help="CIFAR-10: the archive, or the folder of its files. Default: COARSEFINE_DATA."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Talk = Annotated[
    bool | None,
    typer.Option(
        "--verbose/--quiet",
        help="Tell also what each worker claims, resumes and records; or say nothing on stderr but errors.",
        show_default=False,
    ),
]
Named = Annotated[str | None, typer.Argument(metavar="[CAMPAIGN]", help="Name of a campaign in the storage.")]
Dataset = Annotated[
    Literal["digits", "cifar10"] | None, typer.Option(help="Whose images. Default: the campaign's, else the digits.")
]
Beside = Annotated[
    str | None,
    typer.Option("--campaign", metavar="CAMPAIGN", help="Take this campaign's images and network, and record the "
                 "outcome with it, for its report."),
]  # fmt: skip
