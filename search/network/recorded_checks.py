"""Gradient check (the paper's Table 1) and momentum study (Figure 1), on a dataset or a campaign's images and network.

Results for a campaign are recorded with it, for its report.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError
from threadpoolctl import threadpool_limits

from coarsefine.model import Report, gradcheck, train
from coarsefine.model.datasets import Dataset, Part
from coarsefine.search.campaign.json_form import finite_or_none
from coarsefine.search.campaign.sections import Data, Model
from coarsefine.search.campaign.validation_errors import sentence
from coarsefine.search.errors import UsageError
from coarsefine.search.results.campaign_studies import campaign_of, read_studies
from coarsefine.search.results.study import Study
from coarsefine.search.storage.database import storage_errors
from coarsefine.search.storage.location import Location, locate
from coarsefine.search.storage.opening import open_storage
from coarsefine.search.training.identity import images_attr, refuse_other, versions
from coarsefine.search.training.images import load_images

GRADIENT_CHECK = "gradient_check"
MOMENTUM = "momentum"
"""User attributes of a campaign's first study that hold the results, in JSON form."""
_LAMBDA = 0.01
"""L2 weight of the gradient check, large enough that a wrong penalty would show."""
_RHOS = (0.0, 0.5, 0.9, 0.99)
"""The momentum parameters of the momentum study."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The images and network to examine, and the study to record the result with, if any."""

    data: Data
    model: Model = field(default_factory=Model)
    location: Location | None = None
    study: Study | None = None

    @classmethod
    def find(cls, dataset: str | None, campaign: str | None, storage: str | Path) -> Self:
        """Return a campaign's images and network as stored, or a dataset and the default network.

        Raises `UsageError` if both are named, or if there is no such dataset, or no such campaign in the storage.
        """
        if campaign is None:
            try:
                return cls(Data(dataset=dataset or "digits"))
            except ValidationError as error:
                raise UsageError(f"--dataset {dataset} cannot be used: {sentence(error, Data)}") from error
        if dataset is not None:
            raise UsageError(f"The campaign '{campaign}' has its own images: leave out --dataset {dataset}.")
        location = locate(storage)
        with closing(open_storage(location)) as opened:
            _, studies = read_studies(opened, campaign)
        first = next(iter(studies.values()))
        stored = campaign_of(studies)
        if stored.data is None or stored.model is None:
            raise UsageError(
                f"The campaign '{stored.name}' searches {stored.user_code}, not the built-in network: "
                "name another campaign, or leave out --campaign."
            )
        return cls(stored.data, stored.model, location, first)

    def load_images(self, source: Path | None, say: Callable[[str], None]) -> Dataset:
        """Return the images. Raises `CampaignError` if the campaign was started with others."""
        loaded = load_images(self.data, source, say)
        if self.study is not None:
            refuse_other({self.study.name: self.study}, {"data": images_attr(loaded)})
        return loaded

    def record(self, key: str, result: dict[str, Any]) -> str | None:
        """Store a result with the campaign, in place of an earlier one, and return the study's name."""
        if self.location is None or self.study is None:
            return None
        made = {"versions": versions(), "ended": datetime.now(UTC).isoformat()}
        with closing(open_storage(self.location, writing=True)) as opened:
            opened.set_study_attrs(self.study.id, {key: {**result, **made}})
        return self.study.name


def check_gradients(model: Model, data: Dataset, *, images: int, sample: int, seed: int) -> dict[str, Any]:
    """Check the network's gradients on the first training images, and return the JSON form.

    A tensor's relative error is None if every sampled coordinate lay at a kink.
    """
    part = Part(data.train.x[:images], data.train.y[:images])
    hidden = int(model.fixed["hidden"])
    checks = gradcheck.check_gradients(part, len(data.classes), hidden, lam=_LAMBDA, sample=sample, seed=seed)
    tensors = [{**asdict(c), "relative_error": c.relative_error if c.checked else None} for c in checks]
    chosen = {"dataset": data.name, "images": len(part.y), "hidden": hidden, "lambda": _LAMBDA, "seed": seed}
    return {**chosen, "sample": sample, "tensors": tensors}


def study_momentum(
    model: Model, data: Dataset, *, eta: float, epochs: int, seed: int, on_epoch: Callable[[int], None]
) -> dict[str, Any]:
    """Train a network with each of `_RHOS` and λ = 0, all from the same initial weights, and return the JSON form.

    Accuracies are fractions of the validation images. `on_epoch` is called with the number of each finished epoch.
    """
    trials = [model.hyperparameters({"eta": eta, "lambda": 0.0, "rho": rho}, seed) for rho in _RHOS]
    histories: list[list[Report]] = [[] for _ in trials]
    with threadpool_limits(1):
        for reports in train(trials, model.training_settings(epochs, seed), data):
            for report in reports:
                histories[report.number].append(report)
            on_epoch(reports[0].epoch)
    return {
        "dataset": data.name,
        **{name: model.fixed[name] for name in ("hidden", "batch", "decay")},
        "eta": eta,
        "lambda": 0.0,
        "epochs": epochs,
        "seed": seed,
        "curves": [_curve(rho, history) for rho, history in zip(_RHOS, histories, strict=True)],
    }


def write_figure(study: Mapping[str, Any], path: Path) -> None:
    """Draw a study's training losses as an HTML file that opens offline."""
    from coarsefine.search.charts import curves  # noqa: PLC0415 - Plotly takes half a second to import

    lines = {f"ρ = {curve['rho']:g}": curve["train_losses"] for curve in study["curves"]}
    title = f"Momentum on {study['dataset']}: η = {study['eta']:g}, λ = 0, decay {study['decay']:g}"
    figure = curves(lines, "training loss").update_layout(title=title, template="plotly_white")
    figure.update_yaxes(type="log")
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(figure.to_html(include_plotlyjs=True), "utf-8")


def _curve(rho: float, reports: Sequence[Report]) -> dict[str, Any]:
    last = reports[-1]
    return {
        "rho": rho,
        "epochs": last.epoch,
        "train_loss": finite_or_none(last.train_loss),
        "validation_loss": finite_or_none(last.validation.loss),
        "validation_accuracy": last.validation.accuracy,
        "best_validation_accuracy": max(report.validation.accuracy for report in reports),
        "diverged": last.diverged,
        "train_losses": [finite_or_none(report.train_loss) for report in reports],
        "validation_losses": [finite_or_none(report.validation.loss) for report in reports],
        "validation_accuracies": [report.validation.accuracy for report in reports],
    }
