"""One call of an Optuna objective, to see what it asks for and how often it reports."""

import sys
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from coarsefine.search.campaign.dimension import Dimension
from coarsefine.search.campaign.toml_form import toml_value
from coarsefine.search.errors import CampaignError, TrialEnded
from coarsefine.search.training.user_code.failures import describe
from coarsefine.search.training.user_code.module_source import Reached
from coarsefine.search.training.user_code.optuna_trial import UserTrial, call_objective
from coarsefine.search.training.user_code.suggestions import call_text, dimension_of, middle, written_option
from coarsefine.search.training.user_code.trial_process import seed_generators

_OWN = (str(Path(__file__).parent), str(Path(optuna.__file__).parent))
"""Where the code of trials is, as the file names of its frames start."""


@dataclass(frozen=True, slots=True)
class FirstCall:
    """What an objective did when it was called once."""

    space: dict[str, Dimension]
    """The range of each parameter, in the order in which it asked for them."""
    comments: dict[str, str]
    """What is not obvious about a range, by parameter."""
    reports: int
    stopped: bool
    """Whether it was stopped at its first report."""
    pruned: bool
    """Whether it ended itself by `TrialPruned`."""
    reached: Reached


def call_once(name: str, objective: Callable[[Any], Any], file: Path, *, to_first_report: bool) -> FirstCall:
    """Call an objective, with values from the middle of each range.

    Raises `CampaignError` if it asks for no parameter, or for one that no campaign can search, or returns no number.
    """
    with tempfile.TemporaryDirectory() as folder:
        trial = _RecordingTrial(Path(folder), file, to_first_report=to_first_report)
        seed_generators(trial.seed)
        pruned = _call(name, objective, trial)
    if not trial.params:
        raise CampaignError(
            f"objective = '{name}' asked for no parameter, so there is nothing to search: have it call "
            'trial.suggest_float("lr", 1e-5, 1e-1, log=True) or the like, before its first report.'
        )
    return FirstCall(
        {parameter: _dimension(distribution, parameter) for parameter, distribution in trial.distributions.items()},
        {parameter: _comment(distribution) for parameter, distribution in trial.distributions.items()},
        trial.reports,
        to_first_report and trial.reports > 0,
        pruned,
        trial.reached,
    )


def _call(name: str, objective: Callable[[Any], Any], trial: UserTrial) -> bool:
    """Call an objective; return whether it ended itself by `TrialPruned`."""
    try:
        _check_value(name, call_objective(objective, trial))
    except CampaignError:
        raise
    except (TrialEnded, optuna.TrialPruned) as end:
        return isinstance(end, optuna.TrialPruned)
    except (Exception, SystemExit) as error:  # whatever the objective raises
        raise CampaignError(
            f"objective = '{name}' failed when it was called: {describe(error)}. Fix it, or try it with Optuna first."
        ) from error
    return False


class _RecordingTrial(UserTrial):
    """A trial that is given its point while it is asked for parameters."""

    def __init__(self, folder: Path, file: Path, *, to_first_report: bool) -> None:
        super().__init__(0, {}, folder, 1, 0, 0, self._count)
        self.reports = 0
        self.reached = Reached()
        self._file = str(file)
        self._to_first_report = to_first_report

    def _suggest(self, name: str, distribution: BaseDistribution) -> Any:
        self._note_place(name)
        return super()._suggest(name, distribution)

    def _value(self, name: str, distribution: BaseDistribution) -> Any:
        _dimension(distribution, name)
        return middle(distribution)

    def report(self, value: float, step: int, *, epoch: int | None = None) -> None:
        """Count a report; end the call if it is to end at the first one."""
        super().report(value, step, epoch=epoch)
        if self._ended:
            raise TrialEnded

    def _count(self, value: float, epoch: int | None) -> bool:  # noqa: ARG002 - what a report has
        self.reports += 1
        return not self._to_first_report

    def _note_place(self, name: str) -> None:
        """Note which line of the objective's module asks for a parameter."""
        asking = True
        for frame, line in traceback.walk_stack(sys._getframe()):  # noqa: SLF001 - documented, and CPython's only
            if frame.f_code.co_filename == self._file:
                if asking:
                    self.reached.names.setdefault((line, frame.f_lasti), []).append(name)
                self.reached.functions.add(frame.f_code.co_firstlineno)
            asking &= frame.f_code.co_filename.startswith(_OWN)


def _dimension(distribution: BaseDistribution, name: str) -> Dimension:
    try:
        return dimension_of(distribution)
    except ValueError as error:
        raise CampaignError(f"trial.{call_text(name, distribution)} cannot be searched: {error}.") from error


def _comment(distribution: BaseDistribution) -> str:
    if isinstance(distribution, CategoricalDistribution):
        objects = [option for option in distribution.choices if written_option(option) != option]
        return ", ".join(f"{toml_value(written_option(option))} stands for {option!r}" for option in objects)
    return "log-uniform" if isinstance(distribution, FloatDistribution) and distribution.log else ""


def _check_value(name: str, value: Any) -> None:
    if isinstance(value, tuple | list):
        raise CampaignError(
            f"objective = '{name}' returned {len(value)} values, and Coarsefine searches one: return one, and store "
            "the others with trial.set_user_attr."
        )
    try:
        float(value)
    except (TypeError, ValueError) as error:
        raise CampaignError(f"objective = '{name}' returned {value!r}, no number: have it return one.") from error
