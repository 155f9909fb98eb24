"""The campaign file: what a whole search is, read from TOML, and refused with one sentence where it is wrong."""

import json
import math
import re
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    model_validator,
)

from model import Settings
from model.datasets import Selection
from search.complaint import sentence
from search.errors import CampaignError
from search.halving import NO_HALVING, Halving
from search.narrow import Rule
from search.space import Range, Sampler, Space

_NAME = re.compile(r"(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}", re.ASCII)


def _name(value: Any) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value) or value != value.strip():
        raise ValueError(
            "a name is 1 to 64 letters, digits, spaces, '-', '_' or single '.', begun by a letter or digit"
        )
    return value


def _width(value: Any) -> Any:
    if value != "auto" and (type(value) is not int or not 1 <= value <= _WIDEST):
        raise ValueError(f'a stack is "auto", or 1 to {_WIDEST} trials')
    return value


def _float(number: float) -> float:
    try:
        return float(number)
    except OverflowError:  # a whole number of hundreds of digits
        return math.inf


def _range(value: Any) -> Range:
    if isinstance(value, Range):
        return value
    numbers = isinstance(value, list) and len(value) == 2 and all(type(v) in {int, float} for v in value)  # noqa: PLR2004
    if not numbers:
        raise ValueError("a range is two numbers, [low, high]")
    low, high = map(_float, value)
    if not (0 < low < float("inf") and 0 < high < float("inf")):  # NaN fails every comparison
        raise ValueError("both bounds must be finite and above 0, since the range is log-uniform")
    if low >= high:
        raise ValueError("low must be below high")
    if not math.isfinite(high / low):
        raise ValueError("high is more than 10^308 times low")
    return Range(low, high)


CONFIRM = "confirm"
_HALF = 2.0
_WIDEST = 1024
Name = Annotated[str, BeforeValidator(_name)]
Bounds = Annotated[Range, BeforeValidator(_range), PlainSerializer(lambda r: [r.low, r.high])]
Width = Annotated[int | Literal["auto"], BeforeValidator(_width)]
Batch = Literal["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Share = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Section(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class Data(_Section):
    """`[data]`: which images. The batches matter for `cifar10` alone."""

    dataset: Literal["digits", "cifar10"]
    train: list[Batch] = ["data_batch_1", "data_batch_3"]
    validation: Batch = "data_batch_2"
    validation_images: Annotated[int, Field(ge=1, le=10_000)] = 1000
    test: Batch = "test_batch"

    def selection(self) -> Selection:
        """Return the CIFAR-10 batches."""
        return Selection(tuple(self.train), self.validation, self.validation_images, self.test)


class Model(_Section):
    """`[model]`: the network and its training, the same for every trial."""

    hidden: Annotated[int, Field(ge=1, le=100_000)] = 50
    batch: Annotated[int, Field(ge=1)] = 100
    epochs: Annotated[int, Field(ge=1, le=100_000)] = 10
    rho: Annotated[float, Field(ge=0, lt=1)] = 0.9
    decay: Annotated[float, Field(gt=0, le=1)] = 0.95
    order: Literal["shuffled", "fixed"] = "shuffled"
    precision: Literal["float32", "float64"] = "float32"


class Narrow(_Section):
    """`[stage.narrow]`: how a stage's ranges come from its parent's best trials."""

    top: Annotated[int, Field(ge=1)] = 5
    margin: Annotated[float, Field(ge=0, le=10)] = 0.25
    least: Annotated[float, Field(ge=0.01, le=10)] = 0.3
    widen: bool = False

    def rule(self) -> Rule:
        """Return the rule that `search.narrow` applies."""
        return Rule(self.top, self.margin, self.least, self.widen)


class Stage(_Section):
    """`[[stage]]`: one study. Its ranges are given (`eta`, `lambda`), or narrowed from its parent."""

    name: Name
    trials: Annotated[int, Field(ge=1, le=1_000_000)]
    eta: Bounds | None = None
    lam: Annotated[Bounds | None, Field(alias="lambda")] = None
    narrow: Narrow | None = None
    parent: str | None = None
    carry: Annotated[int, Field(ge=0)] = 0
    sampler: Sampler = "random"
    epochs: Annotated[int | None, Field(ge=1, le=100_000)] = None
    stack: Width = "auto"
    pruner: Literal["none", "halving"] = "none"
    rungs: list[Annotated[int, Field(ge=1)]] | None = None
    factor: Annotated[float, Field(gt=1, le=100)] = _HALF

    @model_validator(mode="after")
    def _one_source_of_ranges(self) -> Self:
        if (self.eta is None) != (self.lam is None):
            raise ValueError("eta and lambda go together: give both ranges, or [stage.narrow]")
        if (self.eta is None) == (self.narrow is None):
            raise ValueError("give either the ranges eta and lambda, or [stage.narrow]")
        if self.pruner == "none" and (self.rungs is not None or self.factor != _HALF):
            raise ValueError('rungs and factor are of pruner = "halving": give that too, or remove them')
        if self.rungs is not None and (not self.rungs or self.rungs != sorted(set(self.rungs))):
            raise ValueError(f"rungs = {self.rungs} must be epochs in rising order, at least one")
        if self.carry > self.trials:
            raise ValueError(f"carry = {self.carry} is more than its {self.trials} trials")
        return self

    @property
    def space(self) -> Space | None:
        """Return the ranges that the campaign gives, if it gives any."""
        return Space(self.eta, self.lam) if self.eta and self.lam else None


class Confirm(_Section):
    """`[confirm]`: the last stage, in which the best settings of all others are trained again on fresh seeds."""

    top: Annotated[int, Field(ge=1, le=100)] = 6
    seeds: Annotated[int, Field(ge=2, le=1000)] = 6
    near: Annotated[float, Field(ge=0, le=1)] = 0.05
    epochs: Annotated[int | None, Field(ge=1, le=100_000)] = None

    @property
    def name(self) -> str:
        """Return the stage's name."""
        return CONFIRM

    @property
    def trials(self) -> int:
        """Return how many slots it has at most: fewer where fewer settings came out of the search."""
        return self.top * self.seeds


Step = Stage | Confirm
"""One study of a campaign."""


class Final(_Section):
    """`[final]`: the long training of the winner."""

    epochs: Annotated[int, Field(ge=1, le=100_000)] = 30


class Campaign(_Section):
    """One whole search: data, model, stages in order, final training."""

    name: Name
    description: str = ""
    seed: Seed = 0
    data: Data
    model: Model = Model()
    stage: Annotated[list[Stage], Field(min_length=1)]
    confirm: Confirm | None = None
    final: Final = Final()

    @model_validator(mode="after")
    def _stages_in_order(self) -> Self:
        if self.confirm and any(stage.name == CONFIRM for stage in self.stage):
            raise ValueError(f"a stage is named '{CONFIRM}', as that of [confirm] is: give it another name")
        for index, stage in enumerate(self.stage):
            self._check_place(index, stage, [s.name for s in self.stage[:index]])
            if stage.rungs is not None and stage.rungs[-1] >= (last := self.epochs_of(stage)):
                raise ValueError(f"stage '{stage.name}': rungs = {stage.rungs} must lie before its last epoch, {last}")
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

    @property
    def steps(self) -> list[Step]:
        """Return all stages in order, that of the finalists last."""
        return [*self.stage, self.confirm] if self.confirm else list(self.stage)

    def parent_of(self, stage: Stage) -> Stage | None:
        """Return the stage that this one narrows or carries from: named, else the one before."""
        index = self.stage.index(stage)
        if stage.parent is not None:
            return next(s for s in self.stage if s.name == stage.parent)
        return self.stage[index - 1] if index else None

    def bounds_of(self, stage: Stage) -> Space:
        """Return the ranges the user set for a stage: its own, or its nearest ancestor's."""
        while (space := stage.space) is None:
            parent = self.parent_of(stage)
            assert parent is not None, "the first stage has ranges of its own"  # noqa: S101
            stage = parent
        return space

    def epochs_of(self, stage: Step) -> int:
        """Return how many epochs a trial of the stage is trained."""
        return stage.epochs or self.model.epochs

    def halving(self, stage: Step) -> Halving:
        """Return after which epochs a stage prunes, and how much."""
        if isinstance(stage, Confirm) or stage.pruner == "none":
            return NO_HALVING
        if stage.rungs is not None:
            return Halving(tuple(stage.rungs), stage.factor)
        return Halving.usual(self.epochs_of(stage), stage.factor)

    def study_name(self, stage: Step) -> str:
        """Return the name of a stage's study."""
        return f"{self.name}/{stage.name}"

    def settings(self, stage: Step) -> Settings:
        """Return what the trials of a stage have in common."""
        return Settings(
            hidden=self.model.hidden,
            batch=self.model.batch,
            epochs=self.epochs_of(stage),
            order=self.model.order,
            order_seed=self.seed,
            precision=self.model.precision,
        )

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
        for entry in (files("search") / "presets").iterdir()
        if entry.name.endswith(".toml")
    )


def preset_text(name: str) -> str:
    """Return a preset's TOML."""
    if name not in preset_names():
        raise CampaignError(f"There is no preset '{name}': the presets are {', '.join(preset_names())}.")
    return (files("search") / "presets" / f"{name}.toml").read_text("utf-8")


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
