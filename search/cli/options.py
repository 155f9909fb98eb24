"""The Typer application, and the options that commands share."""

import os
import re
import sys
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Self

import typer
from typer.core import TyperGroup

_MOST_DIGITS = 9
"""The most digits of a trial's number."""


class ReaderLeftError(Exception):
    """The program that reads our output has ended, as in `coarsefine best | head`: that is no error of ours."""


class _Group(TyperGroup):
    """The commands; their messages about a bad value do without the prefix that Typer takes over from pydantic."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # Click would end with exit code 1
            raise ReaderLeftError from None
        except typer.BadParameter as error:
            from coarsefine.search.campaign.json_form import plain

            error.message = plain(error.message)
            raise


app = typer.Typer(
    cls=_Group,
    name="coarsefine",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Staged hyperparameter search on Optuna: every planned trial is trained exactly once.",
    epilog="Examples: `coarsefine run digits` · `coarsefine status digits --json`",
)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        sys.stdout.write(f"coarsefine {version('coarsefine')}\n")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version, and exit.")
    ] = False,
) -> None:
    """Parse the options that come before a command."""


Storage = Annotated[
    str,
    typer.Option(
        metavar="FILE|URL", help="Where the studies are: a SQLite file, or postgresql+psycopg://USER@HOST/DATABASE."
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH",
        help="Archive of CIFAR-10 or folder with its files (default: COARSEFINE_DATA), or .npz file of own arrays.",
    ),
]
Gpus = Annotated[
    str | None,
    typer.Option(
        metavar="LIST",
        help="GPUs for the trials of an objective or a command, such as 0,1,2,3; each worker's trials see their own. "
        "Default: all of this machine, if the campaign has `gpus`.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Verbosity = Annotated[
    bool | None,
    typer.Option(
        "--verbose/--quiet",
        help="Also print what each worker claims, resumes and records; or print only warnings and errors.",
        show_default=False,
    ),
]
CampaignName = Annotated[
    str | None,
    typer.Argument(
        metavar="CAMPAIGN", help="Name of a campaign in the storage. May be left out if it is the only one."
    ),
]
Dataset = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Dataset to use: digits, cifar10, arrays, or one that another package brings. Default: the campaign's, or "
        "digits.",
    ),
]
RecordWith = Annotated[
    str | None,
    typer.Option("--campaign", metavar="CAMPAIGN", help="Use the images and the network of this campaign, and "
                 "record the result with it, for its report."),
]  # fmt: skip
_TRIAL = re.compile(r"(.+)#([0-9]{1,9})", re.DOTALL)


class TrialName(NamedTuple):
    """The name of a trial on the command line, `STAGE#NUMBER`."""

    stage: str
    """Its stage, or the study of the stage."""
    number: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `STAGE#NUMBER`, such as `coarse#7`; raise `UsageError` for any other text."""
        found = _TRIAL.fullmatch(text)
        if found is None:
            from coarsefine.search.errors import UsageError

            raise UsageError(f"{text[:80]!r} names no trial: give STAGE#NUMBER, such as coarse#7.")
        return cls(found[1], int(found[2]))


AcceptChanges = Annotated[
    bool,
    typer.Option(
        "--accept-changes",
        help="Go on though your function's or command's files, or versions that decide bits, have changed; the change "
        "is recorded.",
    ),
]


def trial_name(text: str) -> tuple[str, int]:
    """Return the stage and the number of a trial named STAGE#NUMBER; raise `UsageError` for anything else."""
    from coarsefine.search.errors import UsageError

    stage, _, digits = text.rpartition("#")
    if not stage or not digits.isascii() or not digits.isdigit() or len(digits) > _MOST_DIGITS:
        raise UsageError(f"{text[:80]!r} names no trial: give STAGE#NUMBER, such as coarse#7.")
    return stage, int(digits)


def cores() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
