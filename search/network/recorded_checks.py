"""Gradient check and momentum study: on a dataset, or on a campaign's own images and network and recorded with it."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self

from coarsefine.model import gradcheck
from coarsefine.model.datasets import Dataset, Part
from coarsefine.search.campaign.schema import Data, Model
from coarsefine.search.errors import UsageError
from coarsefine.search.network import momentum
from coarsefine.search.results.status import read_studies
from coarsefine.search.results.study import Study, campaign_of
from coarsefine.search.storage.location import Location, locate
from coarsefine.search.storage.optuna_storage import open_storage
from coarsefine.search.training.identity import images_attr, refuse_other, versions
from coarsefine.search.training.images import load_images

GRADIENT_CHECK = "gradient_check"
MOMENTUM = "momentum"
"""Keys of the user attributes of a campaign's first study, which hold the JSON form of each."""
_LAMBDA = 0.01
"""Of the gradient check: large enough that a wrong penalty would show."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose images and network are looked at; the study, if any, is the one that the outcome is recorded with."""

    data: Data
    model: Model = field(default_factory=Model)
    location: Location | None = None
    study: Study | None = None

    @classmethod
    def find(cls, dataset: Literal["digits", "cifar10"] | None, campaign: str | None, storage: str | Path) -> Self:
        """Return a campaign as it was begun in its storage; without one, a dataset with the usual network.

        Raises `UsageError` where both are named, or the storage does not hold the campaign.
        """
        if campaign is None:
            return cls(Data(dataset=dataset or "digits"))
        if dataset is not None:
            raise UsageError(f"The campaign '{campaign}' brings its own images: leave --dataset {dataset} out.")
        location = locate(storage)
        with closing(open_storage(location)) as opened:
            _, studies = read_studies(opened, campaign)
        first = next(iter(studies.values()))
        begun = campaign_of(studies)
        if begun.data is None or begun.model is None:
            raise UsageError(
                f"The campaign '{begun.name}' searches {begun.objective}, and has no network of ours to look at: "
                "name another campaign, or leave --campaign out."
            )
        return cls(begun.data, begun.model, location, first)

    def load_images(self, source: Path | None, say: Callable[[str], None]) -> Dataset:
        """Return the images; raise `CampaignError` where the campaign began with others."""
        loaded = load_images(self.data, source, say)
        if self.study is not None:
            refuse_other({self.study.name: self.study}, {"data": images_attr(loaded)})
        return loaded

    def record(self, key: str, outcome: dict[str, Any]) -> str | None:
        """Keep an outcome with the campaign, instead of an earlier one; return the name of the study that holds it."""
        if self.location is None or self.study is None:
            return None
        opened = open_storage(self.location, writing=True)
        try:
            ended = {"versions": versions(), "ended": datetime.now(UTC).isoformat()}
            opened.set_study_attrs(self.study.id, {key: {**outcome, **ended}})
        finally:
            opened.close()
        return self.study.name


def check_gradients(subject: Subject, data: Dataset, *, images: int, sample: int, seed: int) -> dict[str, Any]:
    """Check the network's gradients on the first training images; return the JSON form.

    The relative error of a tensor is None where every coordinate drawn lay at a kink.
    """
    part = Part(data.train.x[:images], data.train.y[:images])
    hidden = subject.model.hidden
    checks = gradcheck.check_gradients(part, len(data.classes), hidden, lam=_LAMBDA, sample=sample, seed=seed)
    tensors = [{**asdict(c), "relative_error": c.relative_error if c.checked else None} for c in checks]
    chosen = {"dataset": data.name, "images": len(part.y), "hidden": hidden, "lambda": _LAMBDA, "seed": seed}
    return {**chosen, "sample": sample, "tensors": tensors}


def study_momentum(
    subject: Subject, data: Dataset, *, eta: float, epochs: int, seed: int, told: Callable[[int], None]
) -> tuple[list[momentum.Curve], dict[str, Any]]:
    """Train the network with each ρ; return the curves, and the JSON form of the whole study."""
    model = subject.model
    settings = model.settings(epochs, seed)
    curves = momentum.study_momentum(data, settings, eta=eta, decay=model.decay, seed=seed, told=told)
    chosen = {"dataset": data.name, "hidden": model.hidden, "batch": model.batch, "decay": model.decay}
    drawn = {"eta": eta, "lambda": 0.0, "epochs": epochs, "seed": seed}
    return curves, {**chosen, **drawn, "curves": [curve.as_dict() for curve in curves]}
