"""Commands that check gradients, momentum and the machine: `gradcheck`, `momentum` and `doctor`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from coarsefine.search.cli.options import Data, Dataset, Json, RecordWith, Storage, app
from coarsefine.search.cli.output import print_json, say

_CURVE_COLUMNS = {
    "rho": "ρ",
    "epochs": "epochs",
    "train_loss": "training loss",
    "validation_loss": "validation loss",
    "validation_accuracy": "accuracy",
    "best_validation_accuracy": "best accuracy",
}


@app.command(epilog="Examples: `coarsefine gradcheck` · `coarsefine gradcheck --campaign paper --data FOLDER --json`")
def gradcheck(
    dataset: Dataset = None,
    campaign: RecordWith = None,
    storage: Storage = "studies.db",
    data: Data = None,
    images: Annotated[int, typer.Option(min=1, help="Number of training images in the cost.")] = 20,
    sample: Annotated[int, typer.Option(min=1, help="Largest number of coordinates to check in each tensor.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the network and of the chosen coordinates.")] = 0,
    as_json: Json = False,
) -> None:
    """Compare analytic with numerical gradients in float64 (the paper's Table 1)."""
    from coarsefine.search.network.recorded_checks import GRADIENT_CHECK, Subject, check_gradients
    from coarsefine.search.terminal.console import print_rows

    subject = Subject.find(dataset, campaign, storage)
    check = check_gradients(subject.model, subject.load_images(data, say), images=images, sample=sample, seed=seed)
    _report_recorded(subject.record(GRADIENT_CHECK, check))
    tensors = check["tensors"]
    if as_json:
        print_json({t["tensor"]: t["relative_error"] for t in tensors})
        return
    errors = [f"{t['relative_error']:.2e}" if t["relative_error"] is not None else "none checked" for t in tensors]
    rows = [(t["tensor"], error, t["checked"], t["kinks"]) for t, error in zip(tensors, errors, strict=True)]
    print_rows(("gradient", "relative error", "coordinates", "left out at a kink"), rows)


@app.command(
    epilog="Examples: `coarsefine momentum` · `coarsefine momentum --campaign paper --data FOLDER --epochs 50`"
)
def momentum(
    dataset: Dataset = None,
    campaign: RecordWith = None,
    storage: Storage = "studies.db",
    data: Data = None,
    eta: Annotated[float, typer.Option(min=1e-12, max=1e12, help="Learning rate in the first epoch.")] = 0.01,
    epochs: Annotated[int, typer.Option(min=1, help="Number of epochs.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the initial weights and mini-batches.")] = 0,
    figure: Annotated[Path, typer.Option(help="Path of the figure.")] = Path("figures/momentum.html"),
    as_json: Json = False,
) -> None:
    """Train with ρ = 0, 0.5, 0.9, 0.99 as one stack (the paper's Figure 1)."""
    from coarsefine.search.network.recorded_checks import MOMENTUM, Subject, study_momentum, write_figure
    from coarsefine.search.terminal.console import print_line, print_rows

    def on_epoch(epoch: int) -> None:
        if epoch % 20 == 0 or epoch == epochs:
            say(f"epoch {epoch} of {epochs}")

    subject = Subject.find(dataset, campaign, storage)
    loaded = subject.load_images(data, say)
    study = study_momentum(subject.model, loaded, eta=eta, epochs=epochs, seed=seed, on_epoch=on_epoch)
    _report_recorded(subject.record(MOMENTUM, study))
    write_figure(study, figure)
    if as_json:
        print_json({"dataset": study["dataset"], "eta": eta, "figure": str(figure), "curves": study["curves"]})
        return
    rows = [[f"{curve[key]:.4g}" for key in _CURVE_COLUMNS] for curve in study["curves"]]
    print_rows(_CURVE_COLUMNS.values(), rows)
    print_line(f"Figure: {figure}")


@app.command(epilog="Examples: `coarsefine doctor` · `coarsefine doctor --data cifar-10-batches-bin --json`")
def doctor(storage: Storage = "studies.db", data: Data = None, as_json: Json = False) -> None:
    """Check whether this machine, its data and its storage are ready for a search."""
    from rich.text import Text

    from coarsefine.search.cli.doctor import examine, exit_code_of
    from coarsefine.search.storage.location import locate
    from coarsefine.search.terminal.console import out, print_line

    findings = examine(locate(storage), data)
    if as_json:
        print_json({"findings": [asdict(finding) for finding in findings]})
    else:
        colours = {"ok": "green", "note": "yellow", "unfit": "red"}
        for finding in findings:
            out.print(Text.assemble((finding.verdict, colours[finding.verdict]), f"  {finding.check}: "), end="")
            print_line(finding.found)
    raise typer.Exit(exit_code_of(findings))


def _report_recorded(study: str | None) -> None:
    if study is not None:
        say(f"Recorded with {study}, for `coarsefine report`.")
