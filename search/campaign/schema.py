"""The campaign file as a whole, and the checks across its sections."""

from typing import Annotated, Any, Self

from pydantic import Field, ValidationInfo, model_validator

from coarsefine.model.errors import ExtensionError
from coarsefine.search.campaign import fields
from coarsefine.search.campaign.command_line import check_command
from coarsefine.search.campaign.direction import DirectionName
from coarsefine.search.campaign.network_settings import NETWORK_SETTINGS, setting
from coarsefine.search.campaign.pruning import PRUNERS
from coarsefine.search.campaign.sections import CONFIRM, FINAL, Confirm, Data, FinalSettings, Model, Section, Stage

_OF_USER_CODE = ("parse", "grace", "threads", "gpus", "package_names")
"""Keys that a campaign of the network does not have."""


class CampaignSchema(Section):
    """A campaign file as a whole, and the checks across its sections."""

    name: fields.Name
    """Name of the campaign; its studies are `NAME/STAGE`."""
    description: str = ""
    """A sentence for people, in `presets` and on the pages."""
    seed: fields.Seed = 0
    """Seed from which all points, initial weights and mini-batches are drawn."""
    objective: fields.FunctionName | None = None
    """A function of yours to search, `"package.module:function"`, instead of the network."""
    direction: DirectionName = "maximize"
    """Whether the highest value of the objective wins, or with `"minimize"` the lowest one."""
    metric_name: fields.MetricName | None = Field(None, alias="metric")
    """Name of the objective's value, as in tables and charts; by default it is called value."""
    epochs: fields.Epochs | None = None
    """How often a call of the objective reports; by default it only returns a value."""
    timeout: fields.Timeout | None = None
    """Seconds that an objective may take to its next report; a day by default."""
    max_failures: fields.MaxFailures | None = None
    """After how many failures of user code in a row with the same cause a worker stops; 3 by default."""
    recycle: fields.Recycle | None = None
    """Trials for which an objective's process is used; by default until its memory has grown by 256 MB."""
    resumable: bool = False
    """Whether an objective continues a trial from its folder: then no trial waits at a rung in memory."""
    command: fields.Command | None = None
    """A program to search instead of a function, `["python", "train.py", "--lr", "{lr}"]`; no shell reads it."""
    parse: fields.Pattern | None = None
    """Pattern of the lines that the command prints its values in; without it, they come from its report file."""
    grace: fields.Grace | None = None
    """Seconds that the command has from SIGTERM to SIGKILL if it is pruned, stopped or timed out; 10 by default."""
    threads: fields.Threads | None = None
    """Threads of each trial of an objective or a command; 1 by default."""
    gpus: fields.Gpus | None = None
    """GPUs of each trial of an objective or a command, in stages that give no number of their own."""
    package_names: fields.Packages = Field(None, alias="packages")
    """Packages that user code computes with, as `pip` names them; another version of one counts as a change."""
    data: Data | None = None
    """The images of the network."""
    model: Model | None = None
    """The network and its training."""
    stage: Annotated[list[Stage], Field(min_length=1)]
    """The stages, in order."""
    confirm: Confirm | None = None
    """Train the best settings again before the winner is chosen."""
    final: FinalSettings | None = None
    """The winner's final training."""

    @model_validator(mode="before")
    @classmethod
    def _add_defaults(cls, given: Any) -> Any:
        """Add the sections that a network's campaign leaves out, and the epochs that an objective's [final] does."""
        if not isinstance(given, dict):
            return given
        if given.get("objective") is not None or given.get("command") is not None:
            final = given.get("final")
            usual = {"epochs": given.get("epochs") or 1}
            return given | {"final": usual | final} if isinstance(final, dict) else given
        return given | {name: {} for name in ("model", "final") if given.get(name) is None}

    @model_validator(mode="after")
    def _check(self, info: ValidationInfo) -> Self:
        if self.of_network:
            self._check_network()
        else:
            self._check_objective()
            self._check_command(info)
        for name, last in ((CONFIRM, self.confirm), (FINAL, None if self.of_network else self.final)):
            if last and any(stage.name == name for stage in self.stage):
                raise ValueError(f"a stage is named '{name}', which is the name of [{name}]: give it another name")
        for index, stage in enumerate(self.stage):
            self._check_place(index, stage, [s.name for s in self.stage[:index]])
            if not fields.is_stored(info) or stage.pruner_name in PRUNERS.built_in:
                self._check_pruner(stage)
        if not fields.is_stored(info):  # without the package of a setting, what it sets has no range and no value
            self._check_sources()
        return self

    @property
    def of_network(self) -> bool:
        """Return whether the built-in network is searched, rather than user code."""
        return self.objective is None and self.command is None

    @property
    def usual_epochs(self) -> int:
        """Return the epochs of a trial in stages that give no number of their own."""
        return (self.model.epochs if self.model else self.epochs) or 1

    def _check_network(self) -> None:
        if self.data is None:
            raise ValueError("'data' is missing: add it, or the `objective` or `command` that is searched instead")
        given = [n for n in ("epochs", "timeout", "recycle", "resumable", "max_failures") if getattr(self, n)]
        if given:
            belong = "belong" if len(given) > 1 else "belongs"
            raise ValueError(f"{' and '.join(given)} {belong} to an objective: the network's epochs go into [model]")
        if self.direction != "maximize" or self.metric_name is not None:
            raise ValueError(
                "direction and metric belong to an objective: the network is searched for the highest validation "
                "accuracy, so remove them"
            )
        known = type(self).model_fields
        if given := [known[name].alias or name for name in _OF_USER_CODE if getattr(self, name) is not None]:
            raise ValueError(f"{' and '.join(given)} belong to an objective or a command: remove them")
        if (stage := next((s for s in self.stage if s.gpus is not None), None)) is not None:
            raise ValueError(f"stage '{stage.name}': gpus belong to an objective or a command: remove them")
        if (stage := next((s for s in self.stage if s.space is not None), None)) is not None:
            raise ValueError(
                f"stage '{stage.name}': a space belongs to an objective; give ranges of the network's "
                "settings by name, such as eta = [0.001, 0.3]"
            )

    def _check_objective(self) -> None:
        of_network = [f"[{name}]" for name in ("data", "model") if getattr(self, name) is not None]
        if of_network:
            belong, them = ("belongs", "it") if len(of_network) == 1 else ("belong", "them")
            named = " and ".join(of_network)
            raise ValueError(f"{named} {belong} to the network, not to an objective: remove {them}")
        if self.final and (self.final.decay is not None or self.final.on_validation):
            raise ValueError(
                "decay and on_validation of [final] belong to the network, not to an objective: remove them"
            )
        for stage in self.stage:
            if stage.space is None and (names := ", ".join(stage.own_ranges)):
                raise ValueError(f"stage '{stage.name}': an objective's parameters, {names}, go into its space")

    def _check_command(self, info: ValidationInfo) -> None:
        if self.command is None:
            if given := [name for name in ("parse", "grace") if getattr(self, name) is not None]:
                raise ValueError(f"{' and '.join(given)} belong to a command, not to an objective: remove them")
            return
        if self.recycle is not None:
            raise ValueError("recycle belongs to an objective: each trial of a command has a process of its own")
        if self.objective is not None:
            raise ValueError("objective and command are both given, and one of them is searched: remove the other")
        if not fields.is_stored(info):  # a later version may know more placeholders
            check_command(self.command, self.stage[0].own_ranges)

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

    def _check_pruner(self, stage: Stage) -> None:
        last = stage.epochs or self.usual_epochs
        if not self.of_network and stage.pruner_name != "none" and last == 1:
            raise ValueError(
                f"stage '{stage.name}': {stage.pruner_name} needs more than one epoch: give `epochs`, the number of "
                "reports that the objective makes, or remove `pruner`"
            )
        try:
            stage.pruning(last)
        except ValueError as error:
            reason = error.reason if isinstance(error, ExtensionError) else error
            raise ValueError(f"stage '{stage.name}': {reason}") from error

    def _check_sources(self) -> None:
        """Check that every setting has one value or range, and that the first stage has a range of each."""
        searched = self.stage[0].own_ranges
        if self.model is not None:
            self._check_settings([*searched, *(name for name in self.model.fixed if name not in searched)])
        for stage in self.stage[1:]:
            if new := [name for name in stage.own_ranges if name not in searched]:
                raise ValueError(
                    f"stage '{stage.name}' searches {', '.join(new)}, and the first stage does not: give a range "
                    f"there, too{', or leave it to [model]' * (self.model is not None)}"
                )

    def _check_settings(self, names: list[str]) -> None:
        """Check the settings that have a range or a value; those of other packages set others."""
        set_by: dict[str, str] = {}
        for name in names:
            if (target := setting(name).sets) and (other := set_by.setdefault(target, name)) != name:
                raise ValueError(f"{other} and {name} both set {target}: remove one")
            if target in self.stage[0].own_ranges:
                raise ValueError(f"{name} sets {target}, which is searched: remove one")
        for name, own in NETWORK_SETTINGS.items():
            if own.default is None and name not in names and name not in set_by:
                raise ValueError(
                    f"{name} is neither searched nor fixed: give its range in the first stage, or its value in [model]"
                )
