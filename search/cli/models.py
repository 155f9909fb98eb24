"""Commands that carry a winner to its end: export it, train it, use what was trained."""

import json
import re
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from coarsefine.search.cli.options import Data, Json, Named, Storage, app
from coarsefine.search.cli.output import print_json, program, same_command, say, storage_option

if TYPE_CHECKING:
    from coarsefine.search.network.predict import Prediction

_LIKELIEST = 3


@app.command(
    epilog="Examples: `coarsefine export digits` · `coarsefine export digits --trial fine#3 --output third.json` · "
    "`eval $(coarsefine export digits --as env)`"
)
def export(
    campaign: Named = None,
    storage: Storage = "studies.db",
    trial: Annotated[
        str | None, typer.Option(metavar="STUDY#NUMBER", help="Any trial with a value. Default: the winner.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Default: exports/CAMPAIGN.json beside the studies, of a named trial CAMPAIGN-STAGE-NUMBER.json.",
        ),
    ] = None,
    form: Annotated[
        Literal["file", "params", "env"],
        typer.Option("--as", help="The whole file; or on stdout the parameters alone, as JSON or for a shell."),
    ] = "file",
    as_json: Json = False,
) -> None:
    """Write a campaign's winner into one JSON file: all that its training follows from, and what speaks for it."""
    from coarsefine.search.errors import UsageError
    from coarsefine.search.network.export import export_trial, export_winner, trial_of, winner_of, write_export
    from coarsefine.search.results.status import read_studies
    from coarsefine.search.storage.location import locate
    from coarsefine.search.storage.opening import open_storage

    if form != "file" and output is not None:
        raise UsageError(f"--as {form} goes to stdout: --output {output} is not used. Leave it out.")
    location = locate(storage)
    with closing(open_storage(location)) as opened:
        name, studies = read_studies(opened, campaign)
    if form != "file":
        study, number = trial_of(studies, trial) if trial is not None else winner_of(studies)[:2]
        _print_params(study.trials[number].params, form)
        return
    found = export_trial(studies, trial) if trial is not None else export_winner(studies)
    named = f"{name}-{found.trial.stage}-{found.trial.number}" if trial is not None else name
    path = output if output is not None else location.output_folder("exports") / f"{named}.json"
    write_export(found, path)
    if as_json:
        print_json({"export": str(path), "digest": found.digest, "params": dict(found.trial.params)})
        return
    say(f"Exported trial {found.trial.number} of {found.trial.study}: {path}")
    sys.stdout.write(f"Next: {program()} train {shlex.quote(str(path))}{storage_option(storage)}\n")


@app.command(
    epilog="Examples: `coarsefine train exports/digits.json --seeds 8` · `coarsefine train mine.json --epochs 60`"
)
def train(
    export: Annotated[Path, typer.Argument(metavar="EXPORT", help="The file that `coarsefine export` wrote.")],
    storage: Storage = "studies.db",
    data: Data = None,
    epochs: Annotated[int | None, typer.Option(help="Default: the campaign's.")] = None,
    seeds: Annotated[
        int | None, typer.Option(help="So many networks at once, as one stack. Default: the campaign's.")
    ] = None,
    decay: Annotated[float | None, typer.Option(help="Factor on η after each epoch. Default: the campaign's.")] = None,
    on_validation: Annotated[
        bool | None,
        typer.Option(
            "--on-validation/--not-on-validation", help="Train on validation images, too.", show_default=False
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Default: one of its own under trained/ beside the studies.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Reproduce an exported trial, train it to the end, and measure it once on test images; resume what was left."""
    from coarsefine.search.engine.signals import Interrupts
    from coarsefine.search.errors import Interrupted
    from coarsefine.search.network.export import read_export
    from coarsefine.search.network.train import final_settings_for
    from coarsefine.search.network.train import train as train_export
    from coarsefine.search.terminal import status_tables
    from coarsefine.search.terminal.plain_output import Lines

    found = read_export(export)
    final_settings = final_settings_for(found, epochs=epochs, seeds=seeds, decay=decay, on_validation=on_validation)
    try:
        with Interrupts() as stop:
            final, study = train_export(
                found, final_settings, storage, data=data, output=output, observer=Lines(verbose=False), stop=stop
            )
    except (Interrupted, KeyboardInterrupt) as error:
        raise Interrupted(f"Interrupted. To go on from the last checkpoint: {same_command(storage)}") from error
    if as_json:
        print_json({**final.as_dict(), "recorded": study})
        return
    status_tables.print_final(final)
    where = f"with {study}, for `status` and `report`" if study else "in its folder alone: no such campaign is at hand"
    say(f"Recorded {where}.")


@app.command(
    epilog="Examples: `coarsefine predict trained/mine cat.png` · `coarsefine predict trained/mine --split test --json`"
)
def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="The folder of a final training, or its model.npz.")],
    images: Annotated[list[Path] | None, typer.Argument(metavar="IMAGES...", help="Image files.")] = None,
    split: Annotated[
        Literal["train", "validation", "test"] | None, typer.Option(help="Images of its campaign, in place of files.")
    ] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Tell the probabilities of the classes for images."""
    from coarsefine.search.errors import UsageError
    from coarsefine.search.network.predict import predict_files, predict_split

    if (split is None) == (not images):
        raise UsageError("Give image files, or --split train, validation or test: one of the two.")
    if split is None and data is not None:
        raise UsageError(f"Image files need no --data: {data} is not used. Leave it out.")
    found = predict_split(model, split, data, say) if split is not None else predict_files(model, images or [])
    if as_json:
        print_json(found.as_dict())
    elif split is not None:
        _print_classes(found)
    else:
        _print_images(found)


def _print_images(found: "Prediction") -> None:
    from coarsefine.search.terminal.status_tables import percent, print_table

    rows = []
    for name, row in zip(found.names, found.probabilities, strict=True):
        best = row.argsort()[::-1][:_LIKELIEST]
        rows.append((name, *(f"{found.classes[k]} {percent(row[k])}" for k in best)))
    print_table(("image", "likeliest", "then", "then")[: len(rows[0])], rows)


def _print_classes(found: "Prediction") -> None:
    from coarsefine.search.terminal.status_tables import out, percent, print_table

    shares = [(name, found.accuracy_of(label)) for label, name in enumerate(found.classes)]
    print_table(("class", "right"), [(name, percent(share)) for name, share in shares if share is not None])
    assert found.accuracy is not None, "labels of a split are known"  # noqa: S101
    out.print(f"{percent(found.accuracy)} of {len(found.names):,} images are right.", markup=False)


def _print_params(params: Mapping[str, Any], form: str) -> None:
    if form == "params":
        print_json(dict(params))
        return
    sys.stdout.write("".join(f"export {key}={shlex.quote(value)}\n" for key, value in _variables(params)))


def _variables(params: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Return parameters as environment variables: numbers to the last bit."""
    for name, value in params.items():
        told = value if isinstance(value, str) else json.dumps(value)
        yield f"COARSEFINE_{re.sub('[^A-Z0-9]', '_', name.upper())}", told
