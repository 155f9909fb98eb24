"""The trial that an Optuna objective receives: it suggests a slot's point, and reports to the slot's worker."""

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    check_distribution_compatibility,
)
from optuna.trial import BaseTrial

from coarsefine.search.campaign.dimension import Dimension, Value
from coarsefine.search.campaign.toml_form import range_line
from coarsefine.search.campaign.words import counted, join_words
from coarsefine.search.errors import CampaignError, TrialEnded
from coarsefine.search.training.user_code.suggestions import allows, allows_all, call_text, chosen_option, dimension_of

NO_CONDITIONS = "conditional spaces are not there yet"
"""What an objective is told that asks for a parameter in some trials only."""


def call_objective(objective: Callable[[BaseTrial], Any], trial: "UserTrial") -> Any:
    """Call an Optuna objective, and return what it returns.

    Raises `CampaignError` if it has not asked for every parameter, and whatever the objective raises.
    """
    value = objective(trial)
    trial.check_all_asked()
    return value


class UserTrial(BaseTrial):
    """A slot in the form of `optuna.trial.Trial`, for an objective that was written for Optuna."""

    def __init__(
        self,
        number: int,
        point: Mapping[str, Value],
        folder: Path,
        attempt: int,
        seed: int,
        epoch: int,
        report: Callable[[float, int | None], bool],
    ) -> None:
        self.point = dict(point)
        """The slot's parameters by name."""
        self.folder = folder
        """A folder for the trial's files, the same for each attempt."""
        self.attempt = attempt
        """1, or more if a worker died with the trial."""
        self.seed = seed
        self.epoch = epoch
        """How many epochs an earlier call has reported, if the campaign is resumable."""
        self.epochs = 1
        """How many epochs the campaign gives a trial."""
        self.ranges: Mapping[str, Dimension] = {}
        """The campaign's ranges: each must lie in that of its `suggest` call."""
        self.stored: dict[str, Any] = {}
        """The user attributes."""
        self._number = number
        self._report = report
        self._ended = False
        self._steps: set[int] = set()
        self._params: dict[str, Any] = {}
        self._distributions: dict[str, BaseDistribution] = {}
        self._started = datetime.now()  # noqa: DTZ005 - Optuna's times have no zone

    # Parameters.

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:  # fmt: skip
        """Return the value of a real parameter."""
        return float(self._suggest(name, FloatDistribution(low, high, log=log, step=step)))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """Return the value of a whole parameter."""
        return int(self._suggest(name, IntDistribution(low, high, log=log, step=step)))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Return one of the choices."""
        return self._suggest(name, CategoricalDistribution(choices))

    def suggest_uniform(self, name: str, low: float, high: float) -> float:
        """Return the value of a real parameter. Optuna's older name for `suggest_float`."""
        return self.suggest_float(name, low, high)

    def suggest_loguniform(self, name: str, low: float, high: float) -> float:
        """Return the value of a real parameter. Optuna's older name for `suggest_float` with `log=True`."""
        return self.suggest_float(name, low, high, log=True)

    def suggest_discrete_uniform(self, name: str, low: float, high: float, q: float) -> float:
        """Return the value of a real parameter. Optuna's older name for `suggest_float` with `step`."""
        return self.suggest_float(name, low, high, step=q)

    def _suggest(self, name: str, distribution: BaseDistribution) -> Any:
        """Return a parameter's value; as in Optuna, the first of several calls for it counts."""
        if name not in self._params:
            self._params[name] = self._value(name, distribution)
            self._distributions[name] = distribution
        elif (first := self._distributions[name]) != distribution:
            check_distribution_compatibility(first, distribution)
            warnings.warn(
                f"trial.{call_text(name, distribution)}: the trial was asked before by "
                f"trial.{call_text(name, first)}, and keeps that value.",
                RuntimeWarning,
                stacklevel=3,
            )
        return self._params[name]

    def _value(self, name: str, distribution: BaseDistribution) -> Any:
        """Return the slot's value of a parameter; raise `CampaignError` if it is none that the call allows."""
        call = f"trial.{call_text(name, distribution)}"
        try:
            wanted = range_line(name, dimension_of(distribution))
        except ValueError as error:
            raise CampaignError(f"{call} cannot be searched: {error}") from error
        if name not in self.point:
            raise CampaignError(
                f"{call}: the campaign has no parameter {name!r}, only {', '.join(self.point)}: add `{wanted}` to the "
                f"space of its first stage. If it is asked for in some trials only: {NO_CONDITIONS}"
            )
        if (range_ := self.ranges.get(name)) is not None and not allows_all(distribution, range_):
            raise CampaignError(
                f"{call} does not allow all of `{range_line(name, range_)}`, which the campaign searches: write "
                f"`{wanted}` in the space of the stage, or a part of that"
            )
        value = self.point[name]
        if not allows(distribution, value):
            raise CampaignError(
                f"{call} does not allow {value!r}, which the campaign drew: write `{wanted}` in the space of the stage"
            )
        return (
            chosen_option(distribution.choices, value) if isinstance(distribution, CategoricalDistribution) else value
        )

    def check_all_asked(self) -> None:
        """Raise `CampaignError` if the objective has not asked for every parameter of the campaign."""
        if missing := [name for name in self.point if name not in self._params]:
            raise CampaignError(
                f"it did not ask for {join_words(missing)}, which the campaign searches: {NO_CONDITIONS}, so ask for "
                "every parameter in every trial, or take it out of the space"
            )

    # Values.

    def report(self, value: float, step: int, *, epoch: int | None = None) -> None:
        """Report a value. At a rung, return once it is decided; `should_prune` says how.

        Each step that was not reported before is one epoch, whatever its number. As in Optuna, a step that is repeated
        is ignored. A call that goes on where an earlier one has stopped gives the number of the `epoch`, from 1.

        Raises `TrialEnded` if the trial has been pruned or stopped by an earlier report, and `CampaignError` if the
        first report of a call after some epochs does not say which one it is: only step 0 is surely epoch 1.
        """
        value, step = _number_of("value", value, float), _number_of("step", step, int)
        if step < 0:
            raise ValueError(f"trial.report: step = {step} must be 0 or above.")
        if self._ended:
            raise TrialEnded
        if step in self._steps:
            warnings.warn(f"trial.report: step {step} was reported before; this value is ignored.", stacklevel=2)
            return
        if self.epoch and not self._steps and step > 0 and epoch is None:
            raise CampaignError(
                f"trial.report: the call goes on after {counted(self.epoch, 'epoch')}, and its first step is {step}: "
                "steps may start at 0 or 1, so give the number of its epoch, from 1: trial.report(value, step, epoch=…)"
            )
        self._steps.add(step)
        self._ended = not self._report(value, epoch)

    def should_prune(self) -> bool:
        """Return whether the trial ends: a rung was decided against it, or the run is stopped."""
        return self._ended

    # Attributes.

    def set_user_attr(self, key: str, value: Any) -> None:
        """Store a value of JSON with the trial."""
        if not isinstance(key, str):
            raise TypeError(f"trial.set_user_attr: the key {key!r} must be a text.")
        json.dumps(value)  # raises a `TypeError` here, as Optuna does, not when the trial has ended
        self.stored[key] = value

    def set_constraint(self, key: str, value: float) -> NoReturn:
        """Refuse a constraint: Coarsefine would choose a winner that breaks it."""
        raise CampaignError(
            f"trial.set_constraint({key!r}, {value!r}): there are no constraints in Coarsefine: return a value that "
            "says how bad a trial is that breaks it"
        )

    @property
    def user_attrs(self) -> dict[str, Any]:
        """Return the stored values."""
        return dict(self.stored)

    @property
    def system_attrs(self) -> dict[str, Any]:
        """Return nothing: Optuna's samplers and pruners, which have such attributes, are not used."""
        return {}

    @property
    def relative_params(self) -> dict[str, Any]:
        """Return nothing: each parameter is drawn independently."""
        return {}

    @property
    def constraints(self) -> dict[str, float]:
        """Return nothing: there are no constraints."""
        return {}

    @property
    def params(self) -> dict[str, Any]:
        """Return the parameters that were asked for."""
        return dict(self._params)

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """Return the ranges that were asked for."""
        return dict(self._distributions)

    @property
    def number(self) -> int:
        """Return the trial's number in its stage."""
        return self._number

    @property
    def datetime_start(self) -> datetime:
        """Return when this attempt started."""
        return self._started

    @property
    def study(self) -> NoReturn:
        """Refuse access to the study: a trial's value must not depend on other trials."""
        raise AttributeError(
            "trial.study: the objective has no access to the study in Coarsefine, since its value must not depend on "
            "other trials; study.stop() and study attributes are not there either"
        )


def _number_of(what: str, value: Any, kind: Callable[[Any], Any]) -> Any:
    try:
        return kind(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise TypeError(f"trial.report: the {what} {value!r} is of type {type(value).__name__}, no number.") from error
