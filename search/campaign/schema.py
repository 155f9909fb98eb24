"""What a campaign file may contain. Each section refuses impossible values in one sentence."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, model_validator

from coarsefine.model.hyperparameters import Order, Precision, TrainingSettings
from coarsefine.search.campaign import fields
from coarsefine.search.campaign.dimension import Dimension, Value
from coarsefine.search.campaign.json_form import STRICT
from coarsefine.search.campaign.network_settings import NETWORK_SETTINGS
from coarsefine.search.campaign.space import Sampler

if TYPE_CHECKING:
    from coarsefine.model.datasets import Selection

CONFIRM = "confirm"
_HALF = 2.0


class Section(BaseModel):
    """A table of a campaign file. It takes its own fields only, converts no types and never changes."""

    model_config = STRICT


class Data(Section):
    """`[data]`: the images. Only `cifar10` uses the names of batches."""

    dataset: Literal["digits", "cifar10"]
    train: list[fields.BatchName] = ["data_batch_1", "data_batch_3"]
    validation: fields.BatchName = "data_batch_2"
    validation_images: Annotated[int, Field(ge=1, le=10_000)] = 1000
    test: fields.BatchName = "test_batch"
    held_out: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _check_held_out(self) -> Self:
        if self.held_out and self.dataset == "digits":
            raise ValueError('held_out needs dataset = "cifar10": the digits have a fixed split')
        return self

    def selection(self) -> "Selection":
        """Return the selection of CIFAR-10 batches."""
        from coarsefine.model.datasets import Selection  # noqa: PLC0415 - datasets are slow to import

        return Selection(tuple(self.train), self.validation, self.validation_images, self.test, self.held_out)


class Model(Section):
    """`[model]`: the network and its training; the value of every setting that no stage searches."""

    eta: fields.Eta | None = None
    lam: Annotated[fields.Lam | None, Field(alias="lambda")] = None
    hidden: fields.Hidden = 50
    batch: fields.BatchSize = 100
    epochs: fields.Epochs = 10
    rho: fields.Rho = 0.9
    decay: fields.Decay = 0.95
    order: Order = "shuffled"
    precision: Precision = "float32"
    mirror: bool = False

    def training_settings(self, epochs: int, order_seed: int) -> TrainingSettings:
        """Return the settings that all trials of a stack share."""
        return TrainingSettings(self.hidden, self.batch, epochs, self.order, order_seed, self.precision, self.mirror)

    @property
    def fixed(self) -> dict[str, Value]:
        """Return the values it gives of the settings that can be searched."""
        given = self.model_dump(by_alias=True, include={*NETWORK_SETTINGS, "lam"}, exclude_none=True)
        return {name: given[name] for name in NETWORK_SETTINGS if name in given}


class Narrow(Section):
    """`[stage.narrow]`: how closely a stage's ranges surround its parent's best trials, the winners."""

    top: Annotated[int, Field(ge=1)] = 5
    """Number of the parent's best trials that count as winners."""
    margin: Annotated[float, Field(ge=0, le=10)] = 0.25
    """Space added on either side of their box, as a share of its width."""
    least: Annotated[float, Field(ge=0.01, le=10)] = 0.3
    """Least width: in decades for a log-uniform range, as a fraction of the configured range for a linear one."""
    widen: bool = False
    """Whether a range may leave the user's bounds if winners press against them."""


class Stage(Section):
    """`[[stage]]`: one study, with ranges of its own or ranges narrowed from its parent.

    The network's settings are fields of their own (`eta`, `lambda` …); the parameters of an objective are its `space`.
    """

    name: fields.Name
    trials: Annotated[int, Field(ge=1, le=1_000_000)]
    eta: fields.EtaRange | None = None
    lam: Annotated[fields.LamRange | None, Field(alias="lambda")] = None
    rho: fields.RhoRange | None = None
    decay: fields.DecayRange | None = None
    hidden: fields.HiddenRange | None = None
    batch: fields.BatchRange | None = None
    space: fields.Ranges | None = None
    narrow: Narrow | None = None
    parent: str | None = None
    carry: Annotated[int, Field(ge=0)] = 0
    sampler: Sampler = "random"
    epochs: fields.Epochs | None = None
    stack: fields.Stack = "auto"
    pruner: Literal["none", "halving"] = "none"
    rungs: list[Annotated[int, Field(ge=1)]] | None = None
    factor: Annotated[float, Field(gt=1, le=100)] = _HALF

    @model_validator(mode="after")
    def _check_fields_together(self) -> Self:
        if bool(self.own_ranges) == (self.narrow is not None):
            raise ValueError("give either ranges, such as eta = [0.001, 0.3], or [stage.narrow]")
        if self.space is not None and self._network_ranges:
            raise ValueError("give ranges of the network's settings, or the space of an objective, not both")
        if self.pruner == "none" and (self.rungs is not None or self.factor != _HALF):
            raise ValueError('rungs and factor need pruner = "halving": add that, or remove them')
        if self.rungs is not None and (not self.rungs or self.rungs != sorted(set(self.rungs))):
            raise ValueError(f"rungs = {self.rungs} must be epochs in rising order, at least one")
        if self.carry > self.trials:
            raise ValueError(f"carry = {self.carry} is more than its {self.trials} trials")
        return self

    @property
    def own_ranges(self) -> Mapping[str, Dimension]:
        """Return the ranges that the campaign gives this stage; empty if it is narrowed."""
        return self._network_ranges if self.space is None else self.space

    @property
    def _network_ranges(self) -> dict[str, Dimension]:
        own = (self.eta, self.lam, self.rho, self.decay, self.hidden, self.batch)
        return {name: dimension for name, dimension in zip(NETWORK_SETTINGS, own, strict=True) if dimension is not None}


class Confirm(Section):
    """`[confirm]`: the last stage, which trains the best settings of all others again on new seeds."""

    top: Annotated[int, Field(ge=1, le=100)] = 6
    seeds: Annotated[int, Field(ge=2, le=1000)] = 6
    near: Annotated[float, Field(ge=0, le=1)] = 0.05
    epochs: fields.Epochs | None = None

    @property
    def name(self) -> str:
        """Return the stage's name."""
        return CONFIRM

    @property
    def trials(self) -> int:
        """Return the largest number of slots; there are fewer if the search finds fewer different settings."""
        return self.top * self.seeds


AnyStage = Stage | Confirm
"""One study of a campaign."""


class FinalSettings(Section):
    """`[final]`: the long training of the winner, once for each seed."""

    epochs: fields.Epochs = 30
    seeds: Annotated[int, Field(ge=1, le=1000)] = 1
    decay: fields.Decay | None = None
    on_validation: bool = False


class CampaignSchema(Section):
    """A campaign file as a whole, and the checks across its sections."""

    name: fields.Name
    description: str = ""
    seed: fields.Seed = 0
    objective: fields.FunctionName | None = None
    epochs: fields.Epochs | None = None
    timeout: fields.Timeout | None = None
    data: Data | None = None
    model: Model | None = None
    stage: Annotated[list[Stage], Field(min_length=1)]
    confirm: Confirm | None = None
    final: FinalSettings | None = None

    @model_validator(mode="before")
    @classmethod
    def _add_defaults(cls, given: Any) -> Any:
        """Add the sections that a network's campaign leaves out."""
        if not isinstance(given, dict) or given.get("objective") is not None:
            return given
        return given | {name: {} for name in ("model", "final") if given.get(name) is None}

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.objective is None:
            self._check_network()
        else:
            self._check_objective()
        if self.confirm and any(stage.name == CONFIRM for stage in self.stage):
            raise ValueError(f"a stage is named '{CONFIRM}', which is the name of [confirm]: give it another name")
        for index, stage in enumerate(self.stage):
            self._check_place(index, stage, [s.name for s in self.stage[:index]])
            self._check_rungs(stage)
        self._check_sources()
        return self

    @property
    def usual_epochs(self) -> int:
        """Return the epochs of a trial in stages that give no number of their own."""
        return (self.model.epochs if self.model else self.epochs) or 1

    def _check_network(self) -> None:
        if self.data is None:
            raise ValueError("'data' is missing: add it, or the `objective` that is searched instead of a network")
        if self.epochs is not None or self.timeout is not None:
            raise ValueError("epochs and timeout belong to an objective: the network's epochs go into [model]")
        if (stage := next((s for s in self.stage if s.space is not None), None)) is not None:
            raise ValueError(
                f"stage '{stage.name}': a space belongs to an objective; give ranges of the network's "
                "settings by name, such as eta = [0.001, 0.3]"
            )

    def _check_objective(self) -> None:
        of_network = [f"[{name}]" for name in ("data", "model", "final") if getattr(self, name) is not None]
        if of_network:
            raise ValueError(f"{' and '.join(of_network)} belong to the network, not to an objective: remove them")
        for stage in self.stage:
            if stage.space is None and (names := ", ".join(stage.own_ranges)):
                raise ValueError(f"stage '{stage.name}': an objective's parameters, {names}, go into its space")

    @staticmethod
    def _check_place(index: int, stage: Stage, earlier: list[str]) -> None:
        if stage.name in earlier:
            raise ValueError(f"two stages are named '{stage.name}': give each its own name")
        if stage.parent is not None and stage.parent not in earlier:
            known = ", ".join(earlier) or "none, it is the first"
            raise ValueError(
                f"stage '{stage.name}': parent = '{stage.parent}' is not an earlier stage (earlier: {known})"
            )
        if index == 0 and (stage.narrow or stage.carry):
            raise ValueError(f"stage '{stage.name}' is the first: it has no parent to narrow or carry from")

    def _check_rungs(self, stage: Stage) -> None:
        last = stage.epochs or self.usual_epochs
        if stage.rungs is not None and stage.rungs[-1] >= last:
            raise ValueError(f"stage '{stage.name}': rungs = {stage.rungs} must lie before its last epoch, {last}")
        if self.objective is not None and stage.pruner == "halving" and last == 1:
            raise ValueError(
                f"stage '{stage.name}': halving needs more than one epoch: give `epochs`, the number of reports that "
                "the objective makes"
            )

    def _check_sources(self) -> None:
        """Check that every setting has a value or a range in the first stage."""
        searched = self.stage[0].own_ranges
        for name in ("eta", "lambda"):
            if self.model is not None and name not in searched and name not in self.model.fixed:
                raise ValueError(
                    f"{name} is neither searched nor fixed: give its range in the first stage, or its value in [model]"
                )
        for stage in self.stage[1:]:
            if new := [name for name in stage.own_ranges if name not in searched]:
                raise ValueError(
                    f"stage '{stage.name}' searches {', '.join(new)}, and the first stage does not: give a range "
                    f"there, too{', or leave it to [model]' * (self.model is not None)}"
                )
