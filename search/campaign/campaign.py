"""The campaign file: what a whole search is, read from TOML, and refused with one sentence where it is wrong."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, model_validator

from coarsefine.model import TrainingSettings
from coarsefine.search.campaign.dimension import Value
from coarsefine.search.campaign.fields import LONGEST, FunctionName, Name, Seed
from coarsefine.search.campaign.halving import NO_HALVING, Halving
from coarsefine.search.campaign.metric import Metric, metric_for
from coarsefine.search.campaign.schema import (
    CONFIRM,
    AnyStage,
    Confirm,
    Data,
    FinalSettings,
    Model,
    Section,
    Stage,
)
from coarsefine.search.campaign.space import Space
from coarsefine.search.campaign.validation_errors import sentence
from coarsefine.search.errors import CampaignError


@dataclass(frozen=True, slots=True)
class PlannedStage:
    """A stage as the campaign plans it, whether or not its study exists."""

    name: str
    trials: int
    space: Space | None
    """What it draws from; None if that depends on trials: of a narrowed stage, and of the finalists."""
    epochs: int
    """Epochs of each trial."""


class Campaign(Section):
    """One whole search: what is trained, stages in order, and of the network the final training.

    What is trained is the network of `model` on the images of `data`, or else the user's own function: the `objective`.
    """

    name: Name
    description: str = ""
    seed: Seed = 0
    objective: FunctionName | None = None
    epochs: Annotated[int | None, Field(ge=1, le=100_000)] = None
    timeout: Annotated[float | None, Field(gt=0, le=LONGEST)] = None
    data: Data | None = None
    model: Model | None = None
    stage: Annotated[list[Stage], Field(min_length=1)]
    confirm: Confirm | None = None
    final: FinalSettings | None = None

    @model_validator(mode="before")
    @classmethod
    def _with_defaults(cls, given: Any) -> Any:
        """Give a network's campaign the sections that it leaves out."""
        if not isinstance(given, dict) or given.get("objective") is not None:
            return given
        return given | {name: {} for name in ("model", "final") if given.get(name) is None}

    @model_validator(mode="after")
    def _of_one_kind(self) -> Self:
        if self.objective is None:
            if self.data is None:
                raise ValueError("'data' is missing: add it, or the `objective` that is searched in place of a network")
            if self.epochs is not None or self.timeout is not None:
                raise ValueError("epochs and timeout are of an objective: the network's epochs go into [model]")
            if (stage := next((s for s in self.stage if s.space is not None), None)) is not None:
                raise ValueError(
                    f"stage '{stage.name}': a space is of an objective; the network's settings are given by their "
                    "names, such as eta = [0.001, 0.3]"
                )
            return self
        of_network = [f"[{name}]" for name in ("data", "model", "final") if getattr(self, name) is not None]
        if of_network:
            raise ValueError(f"{' and '.join(of_network)} go with the network, not with an objective: remove them")
        for stage in self.stage:
            if stage.space is None and (given := ", ".join(stage.given)):
                raise ValueError(f"stage '{stage.name}': an objective's parameters, {given}, go into its space")
        return self

    @model_validator(mode="after")
    def _stages_in_order(self) -> Self:
        if self.confirm and any(stage.name == CONFIRM for stage in self.stage):
            raise ValueError(f"a stage is named '{CONFIRM}', as that of [confirm] is: give it another name")
        for index, stage in enumerate(self.stage):
            self._check_place(index, stage, [s.name for s in self.stage[:index]])
            self._check_rungs(stage)
        return self

    def _check_rungs(self, stage: Stage) -> None:
        last = self.epochs_of(stage)
        if stage.rungs is not None and stage.rungs[-1] >= last:
            raise ValueError(f"stage '{stage.name}': rungs = {stage.rungs} must lie before its last epoch, {last}")
        if self.objective is not None and stage.pruner == "halving" and last == 1:
            raise ValueError(
                f"stage '{stage.name}': halving needs more than one epoch: give `epochs`, as often as the objective "
                "reports"
            )

    @model_validator(mode="after")
    def _every_setting_has_a_source(self) -> Self:
        searched = self.stage[0].given
        for name in ("eta", "lambda"):
            if self.model is not None and name not in searched and name not in self.model.fixed:
                raise ValueError(
                    f"{name} is neither searched nor fixed: give its range in the first stage, or its value in [model]"
                )
        for stage in self.stage[1:]:
            if new := [name for name in stage.given if name not in searched]:
                raise ValueError(
                    f"stage '{stage.name}' searches {', '.join(new)}, and the first stage does not: give a range "
                    f"there, too{', or leave it to [model]' * (self.model is not None)}"
                )
        return self

    @staticmethod
    def _check_place(index: int, stage: Stage, earlier: list[str]) -> None:
        if stage.name in earlier:
            raise ValueError(f"two stages are named '{stage.name}': give each its own name")
        if stage.parent is not None and stage.parent not in earlier:
            known = ", ".join(earlier) or "none, it is the first"
            raise ValueError(f"stage '{stage.name}': parent = '{stage.parent}' is no earlier stage (earlier: {known})")
        if index == 0 and (stage.narrow or stage.carry):
            raise ValueError(f"stage '{stage.name}' is the first: it has no parent to narrow or carry from")

    @classmethod
    def load(cls, source: str | Path) -> Self:
        """Read a preset by its name, or a campaign file by its path.

        Raises `CampaignError` for a file that is missing, is no TOML, or describes no campaign.
        """
        where, text = _read(str(source))
        try:
            return cls.model_validate(tomllib.loads(text))
        except ValidationError as error:
            raise CampaignError(f"{where}: {sentence(error, cls)}") from error
        except (ValueError, RecursionError) as error:  # a number of 5,000 digits, brackets within brackets …
            raise CampaignError(f"{where} is not TOML: {str(error).rstrip('.')}.") from error

    @classmethod
    def from_stored(cls, config: Any) -> Self:
        """Read a campaign as its studies store it, without the keys that only a later version knows.

        Raises `pydantic.ValidationError` for anything that is not a campaign.
        """
        return cls.model_validate(config, extra="ignore")

    @property
    def network(self) -> Model:
        """Return the network and its training: for a campaign that has no objective."""
        assert self.model is not None, "an objective is in its place"  # noqa: S101
        return self.model

    @property
    def images(self) -> Data:
        """Return which images the network learns: for a campaign that has no objective."""
        assert self.data is not None, "an objective is in their place"  # noqa: S101
        return self.data

    @property
    def final_settings(self) -> FinalSettings:
        """Return the final training of the network: for a campaign that has no objective."""
        assert self.final is not None, "an objective is in its place"  # noqa: S101
        return self.final

    @property
    def metric(self) -> Metric:
        """Return what its trials are judged by."""
        return metric_for(self.objective)

    @property
    def stages(self) -> list[AnyStage]:
        """Return all stages in order, that of the finalists last."""
        return [*self.stage, self.confirm] if self.confirm else list(self.stage)

    def planned_stages(self) -> list[PlannedStage]:
        """Return name, trials, space and epochs of each stage, the finalists' last."""
        return [PlannedStage(s.name, s.trials, self._planned_space(s), self.epochs_of(s)) for s in self.stages]

    def _planned_space(self, stage: AnyStage) -> Space | None:
        return None if isinstance(stage, Confirm) or stage.narrow else self.bounds_of(stage)

    def parent_of(self, stage: Stage) -> Stage | None:
        """Return the stage that this one narrows or carries from: named, else the one before."""
        index = self.stage.index(stage)
        if stage.parent is not None:
            return next(s for s in self.stage if s.name == stage.parent)
        return self.stage[index - 1] if index else None

    def bounds_of(self, stage: Stage) -> Space:
        """Return the ranges the user set for a stage: its own, and of what it gives none its nearest ancestor's."""
        parent = self.parent_of(stage)
        inherited = self.bounds_of(parent) if parent is not None else {}
        return Space.of({**inherited, **stage.given})

    def batches(self) -> list[tuple[str, int]]:
        """Return the largest mini-batches there may be, and where the campaign says so."""
        if "batch" not in self.stage[0].given:
            return [("[model]", self.network.batch)]
        return [(f"stage '{s.name}':", int(s.given["batch"].at(1.0))) for s in self.stage if "batch" in s.given]

    def setting(self, point: Mapping[str, Value]) -> dict[str, Value]:
        """Return all settings of the network at a point: what is not searched is the model's."""
        return {**self.network.fixed, **point}

    def epochs_of(self, stage: AnyStage) -> int:
        """Return how many epochs a trial of the stage is trained."""
        return stage.epochs or (self.model.epochs if self.model else self.epochs) or 1

    def halving(self, stage: AnyStage) -> Halving:
        """Return after which epochs a stage prunes, and how much."""
        if isinstance(stage, Confirm) or stage.pruner == "none":
            return NO_HALVING
        if stage.rungs is not None:
            return Halving(tuple(stage.rungs), stage.factor)
        return Halving.usual(self.epochs_of(stage), stage.factor)

    def study_name(self, stage: AnyStage) -> str:
        """Return the name of a stage's study."""
        return f"{self.name}/{stage.name}"

    def settings(self, stage: AnyStage) -> TrainingSettings:
        """Return what the network's trials of a stage have in common."""
        return self.network.settings(self.epochs_of(stage), self.seed)

    def fingerprint(self) -> dict[str, Any]:
        """Return what must stay the same for a begun campaign: all but what changes no bit of a result."""
        config: dict[str, Any] = json.loads(self.model_dump_json(by_alias=True, exclude={"description"}))
        for stage in config["stage"]:
            del stage["stack"]
        return config


def presets() -> list[Campaign]:
    """Return the campaigns that ship with the package."""
    return [Campaign.load(name) for name in preset_names()]


def preset_names() -> list[str]:
    """Return the names of the presets."""
    return sorted(
        entry.name.removesuffix(".toml")
        for entry in (files("coarsefine.search.campaign") / "presets").iterdir()
        if entry.name.endswith(".toml")
    )


def preset_text(name: str) -> str:
    """Return a preset's TOML."""
    if name not in preset_names():
        raise CampaignError(f"There is no preset '{name}': the presets are {', '.join(preset_names())}.")
    return (files("coarsefine.search.campaign") / "presets" / f"{name}.toml").read_text("utf-8")


def _read(source: str) -> tuple[str, str]:
    if source in preset_names():
        return f"preset {source}", preset_text(source)
    try:
        return source, Path(source).read_text("utf-8-sig")  # editors of Windows begin files with a mark
    except FileNotFoundError as error:
        known = ", ".join(preset_names())
        raise CampaignError(f"There is no campaign file '{source}', and no preset of that name ({known}).") from error
    except (OSError, ValueError) as error:  # a folder, no permission, not UTF-8, NUL in the path
        raise CampaignError(f"The campaign file {source!r} cannot be read: {error}.") from error
