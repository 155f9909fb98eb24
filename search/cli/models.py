"""Commands for a winner: `export` it, `train` it to the end, and `predict` with the trained network."""

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from coarsefine.search.cli.options import CampaignName, Data, Json, Storage, TrialName, app, cores
from coarsefine.search.cli.output import interruptible, observed, opened, print_json, program, say, storage_option

if TYPE_CHECKING:
    from coarsefine.search.network.function_export import FunctionExport
    from coarsefine.search.network.predict import Prediction


@app.command(
    epilog="Examples: `coarsefine export digits` · `coarsefine export digits --trial fine#3 --output third.json` · "
    '`eval "$(coarsefine export digits --as env)"`'
)
def export(
    campaign: CampaignName = None,
    storage: Storage = "studies.db",
    trial: Annotated[
        TrialName | None,
        typer.Option(metavar="STAGE#NUMBER", parser=TrialName.parse, help="Trial to export. Default: the winner."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="File to write. Default: exports/CAMPAIGN.json or, with --trial, exports/CAMPAIGN-STAGE-NUMBER.json.",
        ),
    ] = None,
    form: Annotated[
        Literal["file", "params", "env"],
        typer.Option(
            "--as", help="Write the whole file, or print only the parameters: as JSON, or as environment variables."
        ),
    ] = "file",
    as_json: Json = False,
) -> None:
    """Write a campaign's winner to a JSON file, with all that its training depends on and why it was chosen."""
    from coarsefine.search.errors import UsageError
    from coarsefine.search.network.export import check_target, export_any, trial_of, write_export
    from coarsefine.search.network.export_folders import folders_of, with_copies
    from coarsefine.search.network.function_export import FunctionExport
    from coarsefine.search.results.campaign_studies import read_studies

    if form != "file" and output is not None:
        raise UsageError(f"--as {form} goes to stdout: --output {output} is not used. Leave it out.")
    with opened(storage) as source:
        name, studies = read_studies(source, campaign)
    if form != "file":
        _, chosen, _ = trial_of(studies, trial)
        _print_params(chosen.params, form)
        return
    found = export_any(studies, trial)
    named = f"{name}-{found.trial.stage}-{found.trial.number}" if trial is not None else name
    path = output if output is not None else source.location.output_folder("exports") / f"{named}.json"
    check_target(path, name if output is None else None)
    if isinstance(found, FunctionExport):
        found = with_copies(found, path, folders_of(found, source.location))
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
    export: Annotated[Path, typer.Argument(metavar="EXPORT", help="File written by `coarsefine export`.")],
    storage: Storage = "studies.db",
    data: Data = None,
    epochs: Annotated[int | None, typer.Option(help="Number of epochs. Default: the campaign's.")] = None,
    seeds: Annotated[
        int | None, typer.Option(help="Number of trainings, each with its own seed. Default: the campaign's.")
    ] = None,
    decay: Annotated[float | None, typer.Option(help="Factor on η after each epoch. Default: the campaign's.")] = None,
    on_validation: Annotated[
        bool | None,
        typer.Option(
            "--on-validation/--not-on-validation", help="Also train on validation images.", show_default=False
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Folder of the result. Default: a new one in trained/ next to the studies."
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(min=1, max=256, help="Threads that train together; they change no bit. Default: one per core."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Train an exported trial again, then to its end with [final]; measure a network on test images. Resumes."""
    from coarsefine.search.errors import UsageError
    from coarsefine.search.network.export import read_export
    from coarsefine.search.network.function_export import FunctionExport
    from coarsefine.search.network.train import final_settings_for
    from coarsefine.search.network.train import train as train_export
    from coarsefine.search.terminal.plain_output import PlainOutput
    from coarsefine.search.terminal.status_tables import print_final

    found = read_export(export)
    if isinstance(found, FunctionExport):
        if data is not None or decay is not None or on_validation is not None or threads is not None:
            raise UsageError(
                f"{export} is of code of your own: --data, --decay, --on-validation and --threads are for the network. "
                "Leave them out."
            )
        _train_function(found, storage, epochs, seeds, output, as_json=as_json)
        return
    final_settings = final_settings_for(found, epochs=epochs, seeds=seeds, decay=decay, on_validation=on_validation)
    with interruptible("Interrupted. To resume from the last checkpoint", storage) as stop:
        final, study = train_export(
            found, final_settings, storage, data=data, output=output, observer=PlainOutput(verbose=False), stop=stop,
            threads=threads or cores(),
        )  # fmt: skip
    if as_json:
        print_json({**final.as_dict(), "recorded": study})
        return
    print_final(final)
    if study is not None:
        say(f"Recorded with {study}, for `status` and `report`.")
    else:
        say("Recorded only in its folder: the storage does not hold this campaign.")


def _train_function(
    export: "FunctionExport", storage: str, epochs: int | None, seeds: int | None, output: Path | None, *, as_json: bool
) -> None:
    from dataclasses import replace

    from coarsefine.search.campaign.campaign import Campaign
    from coarsefine.search.engine.retraining import final_for, retrain
    from coarsefine.search.storage.location import locate
    from coarsefine.search.terminal.console import print_line
    from coarsefine.search.terminal.status_tables import print_final_runs

    final = final_for(export, epochs, seeds)
    with observed("Interrupted. To resume", storage, verbose=None) as (observer, stop):
        workers = min(cores(), final.seeds if final else 1)
        result = retrain(export, final, locate(storage), output=output, workers=workers, observer=observer, stop=stop)
    if as_json:
        print_json(result.as_dict())
        return
    print_line(result.words)
    if result.final_runs is not None:  # its study in the folder has the exported trial as its only one
        of_export = replace(
            result.final_runs, study=f"{export.campaign.name}/{export.trial.stage}", number=export.trial.number
        )
        print_final_runs(of_export, Campaign.from_stored(export.config).metric)
    print_line(f"Folder: {result.folder}")


@app.command(
    epilog="Examples: `coarsefine predict trained/mine cat.png` · `coarsefine predict trained/mine --split test --json`"
)
def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Folder of a final training, or its model.npz.")],
    images: Annotated[list[Path] | None, typer.Argument(metavar="IMAGES...", help="Image files.")] = None,
    split: Annotated[
        Literal["train", "validation", "test"] | None,
        typer.Option(help="Use these images of its campaign instead of files."),
    ] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Print the probability of each class for images."""
    from coarsefine.search.errors import UsageError
    from coarsefine.search.network.predict import predict_files, predict_split

    if (split is None) == (not images):
        raise UsageError("Give either image files or --split train, validation or test: one of the two.")
    if split is None and data is not None:
        raise UsageError(f"Image files need no --data: {data} is not used. Leave it out.")
    found = predict_split(model, split, data, say) if split is not None else predict_files(model, images or [])
    if as_json:
        print_json(found.as_dict())
    else:
        _print_prediction(found)


def _print_prediction(found: "Prediction") -> None:
    from coarsefine.search.campaign.metric import ACCURACY
    from coarsefine.search.terminal.console import print_line, print_rows

    percent = ACCURACY.text
    if found.accuracy is None:  # labels of image files are not known
        rows = [
            (name, *(f"{found.classes[k]} {percent(row[k])}" for k in row.argsort()[::-1][:3]))
            for name, row in zip(found.names, found.probabilities, strict=True)
        ]
        print_rows(("image", "first", "second", "third")[: len(rows[0])], rows)
        return
    shares = [(name, found.accuracy_of(label)) for label, name in enumerate(found.classes)]
    print_rows(("class", "correct"), [(name, percent(share)) for name, share in shares if share is not None])
    print_line(f"{percent(found.accuracy)} of {len(found.names):,} images are classified correctly.")


def _print_params(params: Mapping[str, Any], form: str) -> None:
    if form == "params":
        print_json(dict(params))
        return
    from coarsefine.search.campaign.command_line import distinct_variables, text_of
    from coarsefine.search.errors import UsageError

    try:
        variables = distinct_variables(params)
    except ValueError as error:
        raise UsageError(f"--as env is not possible: {error}. Use --as params, which prints JSON.") from error
    for name, value in params.items():
        sys.stdout.write(f"export {variables[name]}={shlex.quote(text_of(value))}\n")
