"""A campaign: one whole search, read from TOML or from a study, with the graph of its stages."""

import json
import tomllib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

from pydantic import PrivateAttr, ValidationError

from coarsefine.model import TrainingSettings
from coarsefine.model.errors import ExtensionError, message_of
from coarsefine.model.extensions import Group, load, package_of
from coarsefine.search.arguments import require_path
from coarsefine.search.campaign.command_line import as_line
from coarsefine.search.campaign.declared_packages import installed_versions
from coarsefine.search.campaign.direction import Direction
from coarsefine.search.campaign.fields import STORED
from coarsefine.search.campaign.metric import ACCURACY, Metric
from coarsefine.search.campaign.network_settings import NAMES, OTHERS, SETTINGS, resolved
from coarsefine.search.campaign.presets import preset_names, preset_text
from coarsefine.search.campaign.pruning import LARGEST_COHORT, LARGEST_COHORT_OF_PROCESSES, PRUNERS, Pruning
from coarsefine.search.campaign.sampling import SAMPLERS
from coarsefine.search.campaign.schema import CampaignSchema
from coarsefine.search.campaign.sections import AnyStage, Data, FinalSettings, Model, Stage
from coarsefine.search.campaign.space import Point, Space
from coarsefine.search.campaign.toml_hints import toml_hint
from coarsefine.search.campaign.validation_errors import sentence
from coarsefine.search.errors import CampaignError

_OF_NETWORK = frozenset({"data", "model", *NAMES})
"""Keys of a campaign and of its stages that only a campaign of the network has."""
_LATER_DEFAULTS = {"direction": "maximize", "resumable": False} | dict.fromkeys(
    ("metric", "recycle", "max_failures", "command", "parse", "grace", "threads", "gpus", "packages")
)
"""Keys that are stored only if they have another value, so that exports of earlier versions keep their digest."""
_MOST_FAILURES = 3
"""Unless the campaign sets `max_failures`."""


class NetworkSections(NamedTuple):
    """The sections that every campaign of the network has, and no campaign of an objective."""

    data: Data
    model: Model
    final: FinalSettings


class Campaign(CampaignSchema):
    """One whole search: what is trained, the stages in order, and the final training of a network.

    It trains the network of `model` on the images of `data`, or else the user's own function, the `objective`.
    """

    _folder: Path | None = PrivateAttr(None)

    @classmethod
    def load(cls, source: str | Path) -> Self:
        """Read a preset by its name, or a campaign file by its path.

        Raises `CampaignError` for a file that is missing, is not TOML, or describes no campaign.
        """
        require_path("Campaign.load: source", source, what="a preset's name, or the path of a file")
        where, text = _read(str(source))
        try:
            given = tomllib.loads(text)
            campaign = cls.model_validate(given)
        except ValidationError as error:
            unlisted = _OF_NETWORK if {"objective", "command"} & given.keys() else ()
            raise CampaignError(f"{where}: {sentence(error, cls, unlisted)}") from error
        except (ValueError, RecursionError) as error:  # a number of 5,000 digits, brackets within brackets …
            message = str(error).rstrip(".")
            raise CampaignError(f"{where} is not TOML: {message}.{toml_hint(message, text)}") from error
        if str(source) not in preset_names():
            campaign._folder = Path(source).absolute().parent  # noqa: SLF001 - of this class
        return campaign

    @classmethod
    def from_stored(cls, config: Any, *, extra: Literal["forbid", "ignore"] = "ignore") -> Self:
        """Read what `as_stored` returned from a study.

        `extra` says what to do with keys that only a later version knows, or a package that is not installed. The
        packages of samplers and pruners may be missing until it runs.

        Raises `pydantic.ValidationError` for anything that is not a campaign.
        """
        return cls.model_validate(config, extra=extra, context=STORED)

    def as_stored(self) -> dict[str, Any]:
        """Return what studies store and a resumed campaign must equal: all fields that can change a result.

        A default that came later than the first studies is left out: those do not have it.
        """
        config: dict[str, Any] = json.loads(self.model_dump_json(by_alias=True, exclude={"description"}))
        for name, default in _LATER_DEFAULTS.items():
            if config[name] == default:
                del config[name]
        for stage in config["stage"]:
            del stage["stack"]
            if stage["gpus"] is None:
                del stage["gpus"]
        for section in [*config["stage"], config["model"] or {}]:
            for name in OTHERS:  # which packages are installed is not a part of the campaign
                if section.get(name) is None:
                    section.pop(name, None)
        return config

    @property
    def folder(self) -> Path | None:
        """Return the folder of the campaign's file; None for a preset, and for one from a storage or from Python."""
        return self._folder

    @property
    def network(self) -> NetworkSections:
        """Return the sections about the network; only for a campaign of the network."""
        data, model, final = self.data, self.model, self.final
        assert data and model and final, "the campaign is not of the network"  # noqa: S101, PT018 - one reason for all
        return NetworkSections(data, model, final)

    @property
    def user_code(self) -> str | None:
        """Return the user's code that is searched, by the name of its function or as a command line; or None."""
        return self.objective if self.command is None else as_line(self.command)

    @property
    def metric(self) -> Metric:
        """Return the metric of the trials' values, which says which of them are better."""
        return ACCURACY if self.of_network else Metric.of_function(self.metric_name, Direction(self.direction))

    @property
    def most_failures(self) -> int | None:
        """Return after how many failures in a row with the same cause a worker stops; None for the network."""
        return None if self.of_network else self.max_failures or _MOST_FAILURES

    def packages(self) -> dict[str, str]:
        """Return the packages that it declares, and those that bring what it names, with their versions.

        Raises `CampaignError` if a declared one is not installed, and `ExtensionError` if another one is missing or
        what it brings cannot be used.
        """
        named: list[tuple[Group[Any], str]] = [(SAMPLERS, stage.sampler) for stage in self.stage]
        named += [(PRUNERS, stage.pruner_name) for stage in self.stage]
        if self.model is not None:
            used = {*self.stage[0].own_ranges, *self.model.fixed}
            named += [(SETTINGS, name) for name in OTHERS if name in used]
        for group, name in named:
            load(group, name)
        brought = filter(None, (package_of(group, name) for group, name in named))
        return dict(sorted({**installed_versions(self.package_names or ()), **dict(brought)}.items()))

    def largest_batches(self) -> list[tuple[str, int]]:
        """Return the largest possible mini-batches, each with the section that sets it."""
        ranges = {f"stage '{s.name}':": s.own_ranges["batch"] for s in self.stage if "batch" in s.own_ranges}
        fixed = self.network.model.fixed["batch"]
        return [(where, int(r.at(1.0))) for where, r in ranges.items()] or [("[model]", int(fixed))]

    def check_points(self, points: Iterable[Point]) -> None:
        """Raise `CampaignError` if a setting of another package gives, at one of the points, a value that cannot be."""
        if self.model is not None:
            for point in points:
                resolved({**self.model.fixed, **point})

    # The stages.

    @property
    def stages(self) -> list[AnyStage]:
        """Return all stages in order; the last train the finalists and, for user code, the winner."""
        last = (self.confirm, None if self.of_network else self.final)
        return [*self.stage, *(stage for stage in last if stage is not None)]

    def study_name(self, stage: AnyStage) -> str:
        """Return the name of a stage's study."""
        return f"{self.name}/{stage.name}"

    def parent_of(self, stage: Stage) -> Stage | None:
        """Return the stage that this one narrows or carries from: the one it names, or the one before it."""
        index = self.stage.index(stage)
        if stage.parent is not None:
            return next(s for s in self.stage if s.name == stage.parent)
        return self.stage[index - 1] if index else None

    def bounds_of(self, stage: Stage) -> Space:
        """Return the ranges that the user set for a stage: its own, and its nearest ancestor's for the rest."""
        parent = self.parent_of(stage)
        inherited = self.bounds_of(parent) if parent is not None else {}
        return Space.of({**inherited, **stage.own_ranges})

    def planned_space(self, stage: AnyStage) -> Space | None:
        """Return what a stage draws from; None if that depends on trials, as those of a narrowed stage do."""
        return None if not isinstance(stage, Stage) or stage.narrow else self.bounds_of(stage)

    def epochs_of(self, stage: AnyStage) -> int:
        """Return the number of epochs of a trial that trains to its end."""
        return stage.epochs or self.usual_epochs

    def gpus_of(self, stage: AnyStage) -> int | None:
        """Return how many GPUs each trial of a stage uses; None if the campaign does not say.

        Trials of the finalists and of the winner use as many as those of the last stage.
        """
        own = (stage if isinstance(stage, Stage) else self.stage[-1]).gpus
        return self.gpus if own is None else own

    def pruning(self, stage: AnyStage) -> Pruning:
        """Return how a stage prunes its trials.

        Raises `ExtensionError` or `CampaignError` if its pruner is of another package and cannot be used.
        """
        epochs = self.epochs_of(stage)
        if not isinstance(stage, Stage):
            return Pruning.of("none", {}, epochs)
        waits_in_process = not (self.of_network or self.resumable)
        largest = LARGEST_COHORT_OF_PROCESSES if waits_in_process else LARGEST_COHORT
        try:
            return replace(stage.pruning(epochs), largest_cohort=largest, direction=self.metric.direction)
        except ExtensionError:
            raise
        except ValueError as error:
            raise CampaignError(f"Stage '{stage.name}' cannot prune: {message_of(error)}.") from error

    def training_settings(self, stage: AnyStage) -> TrainingSettings:
        """Return the settings that the network's trials of a stage share."""
        return self.network.model.training_settings(self.epochs_of(stage), self.seed)


def _read(source: str) -> tuple[str, str]:
    """Return how to name a source in messages, and its text."""
    if source in preset_names():
        return f"preset {source}", preset_text(source)
    try:
        return source, Path(source).read_text("utf-8-sig")  # Windows editors may start a file with a byte-order mark
    except FileNotFoundError as error:
        known = ", ".join(preset_names())
        raise CampaignError(f"There is no campaign file '{source}', and no preset of that name ({known}).") from error
    except (OSError, ValueError) as error:  # a folder, no permission, not UTF-8, a NUL in the path
        raise CampaignError(f"The campaign file {source!r} cannot be read: {error}.") from error
