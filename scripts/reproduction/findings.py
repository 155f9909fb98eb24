"""Compute every number of the page from the measurements, and their JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from reproduction.evidence import AS_OURS, VARIATIONS, Named, named_settings, the_report
from reproduction.plan import FIXED, NARROWED
from reproduction.spread import Spread

Outcomes = Mapping[str, Sequence[Mapping[str, Any]]]
"""The outcomes of each kind of measurement, one per seed."""
SEARCH_EPOCHS = 10
"""The epoch after which the report's searches compare."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One column of Table 1."""

    name: str
    reported: float
    errors: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Momentum:
    """One curve of Figure 1."""

    rho: float
    loss: Spread
    """Loss on the training images in the last epoch."""
    accuracy: Spread
    """The highest accuracy on the validation images."""
    arrives: Spread | None
    """Epochs until the loss at which ρ = 0 ends; None if it is never reached with some seed."""


@dataclass(frozen=True, slots=True)
class Search:
    """One search: the best of its trials."""

    name: str
    reported: Mapping[str, Any]
    best: Spread
    points: tuple[tuple[float, float], ...]
    """η and λ of the best trial, for each seed."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting that the report names, trained in each variation."""

    named: Named
    searched: Mapping[str, Spread]
    """Validation accuracy after the epochs of a search."""
    last: Spread
    """Accuracy after the epochs of the figure, in our own variation."""
    train: Mapping[str, Spread]
    test: Mapping[str, Spread]
    """Test accuracy; only of the final setting."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step beyond the report."""

    key: str
    test: Spread
    """Mean of the final trainings of each campaign."""
    gain: Spread | None
    """Gain over the previous step, campaign by campaign; None for the first step."""
    ensemble: Spread | None
    seeds: Spread
    """Standard deviation of one winner's final trainings."""


@dataclass(frozen=True, slots=True)
class Rule:
    """The picks of a rule in the simulation, for each measured campaign."""

    best: Spread
    """How often it picks the truly best setting tried."""
    truth: Spread
    regret: Spread


@dataclass(frozen=True, slots=True)
class Findings:
    """All numbers of the page."""

    tensors: list[Tensor]
    momentum: list[Momentum]
    searches: list[Search]
    settings: list[Setting]
    train: Spread
    """Final trainings of the campaigns with the winner's own seed; the report has one."""
    test: Spread
    lams: tuple[float, ...]
    """λ of the winners of the campaigns."""
    steps: list[Step]
    optimism: Spread
    """How much the highest value of a search exceeds the accuracy of its setting on new seeds."""
    rules: dict[str, Rule]
    noise: Spread
    """Standard deviation over seeds."""
    repetitions: int

    @property
    def searched(self) -> list[Setting]:
        """Return the settings for which the report states a validation accuracy."""
        return [setting for setting in self.settings if setting.named.searched is not None]

    @property
    def final_setting(self) -> Setting:
        """Return the report's final setting."""
        return self.settings[-1]

    @property
    def reported_test(self) -> float:
        """Return the report's test accuracy."""
        return float(the_report().final["test_accuracy"])

    @property
    def reported_train(self) -> float:
        """Return the report's training accuracy after its final training."""
        return float(the_report().final["train_accuracy"])

    def apart(self, variation: str) -> Spread:
        """Return by how much our accuracies of the report's settings exceed the reported ones, for each seed."""
        rows = [[v - (s.named.searched or 0.0) for v in s.searched[variation].values] for s in self.searched]
        return Spread.of([fmean(column) for column in zip(*rows, strict=True)])


def find(measured: Outcomes) -> Findings:
    """Return the findings."""
    fixed = measured[FIXED]
    own = [outcome["steps"]["fixed"] for outcome in fixed]
    return Findings(
        tensors=_tensors(measured["gradients"]),
        momentum=_momentum(measured["momentum"]),
        searches=_searches(fixed),
        settings=[_setting(place, named, measured) for place, named in enumerate(named_settings())],
        train=Spread.of([final["train"][0] for final in own]),
        test=Spread.of([final["test"][0] for final in own]),
        lams=tuple(outcome["status"]["winner"]["params"]["lambda"] for outcome in fixed),
        steps=_steps(measured),
        optimism=Spread.of([outcome["status"]["confirm"]["optimism"] for outcome in measured[NARROWED]]),
        rules=_rules(measured["selection"]),
        noise=Spread.of([study["noise"] for study in measured["selection"]]),
        repetitions=measured["selection"][0]["repetitions"],
    )


def _rules(studies: Sequence[Mapping[str, Any]]) -> dict[str, Rule]:
    return {
        rule: Rule(
            *(Spread.of([study["rules"][rule][key] for study in studies]) for key in ("best", "truth", "regret"))
        )
        for rule in studies[0]["rules"]
    }


def _tensors(checks: Sequence[Mapping[str, Any]]) -> list[Tensor]:
    errors = [{tensor["tensor"]: tensor["relative_error"] for tensor in check["tensors"]} for check in checks]
    reported = the_report().gradient_check["errors"]
    return [Tensor(name, value, tuple(error[name] for error in errors)) for name, value in reported.items()]


def _momentum(studies: Sequence[Mapping[str, Any]]) -> list[Momentum]:
    plain = [study["curves"][0]["train_loss"] for study in studies]
    return [_curve([study["curves"][place] for study in studies], plain) for place in range(len(studies[0]["curves"]))]


def _curve(curves: Sequence[Mapping[str, Any]], plain: Sequence[float]) -> Momentum:
    arrivals = [_arrival(curve["train_losses"], loss) for curve, loss in zip(curves, plain, strict=True)]
    known = [arrival for arrival in arrivals if arrival is not None]
    return Momentum(
        curves[0]["rho"],
        Spread.of([curve["train_loss"] for curve in curves]),
        Spread.of([curve["best_validation_accuracy"] for curve in curves]),
        Spread.of(known) if len(known) == len(curves) else None,
    )


def _arrival(losses: Sequence[float | None], wanted: float) -> int | None:
    return next((epoch for epoch, loss in enumerate(losses, 1) if loss is not None and loss <= wanted), None)


def _searches(campaigns: Sequence[Mapping[str, Any]]) -> list[Search]:
    report = the_report()
    return [
        _search(stage["name"], report.best_of(stage["name"])[0], [c["status"]["stages"][place] for c in campaigns])
        for place, stage in enumerate(report.stage)
    ]


def _search(name: str, reported: Mapping[str, Any], stages: Sequence[Mapping[str, Any]]) -> Search:
    best = [stage["best"][0] for stage in stages]
    points = tuple((trial["params"]["eta"], trial["params"]["lambda"]) for trial in best)
    return Search(name, reported, Spread.of([trial["value"] for trial in best]), points)


def _setting(place: int, named: Named, measured: Outcomes) -> Setting:
    curves = {name: [one["curves"][place] for one in measured[f"settings-{name}"]] for name in VARIATIONS}
    accuracies = {name: [curve["validation_accuracies"] for curve in of_one] for name, of_one in curves.items()}
    final = named.searched is None
    return Setting(
        named=named,
        searched={name: Spread.of([a[:SEARCH_EPOCHS][-1] for a in of_one]) for name, of_one in accuracies.items()},
        last=Spread.of([a[-1] for a in accuracies[AS_OURS]]),
        train={name: Spread.of([c["train_accuracy"] for c in of_one]) for name, of_one in curves.items() if final},
        test={name: Spread.of([c["test_accuracy"] for c in of_one]) for name, of_one in curves.items() if final},
    )


def _steps(measured: Outcomes) -> list[Step]:
    """Return the steps in order, each compared with the previous one."""
    by_seed = zip(*(measured[kind] for kind in (FIXED, NARROWED)), strict=True)
    finals = [{key: final for outcome in of_seed for key, final in outcome["steps"].items()} for of_seed in by_seed]
    steps: list[Step] = []
    for key in finals[0]:
        of_step = [of_seed[key] for of_seed in finals]
        test = Spread.of([fmean(final["test"]) for final in of_step])
        gain = test.less(steps[-1].test) if steps else None
        ensemble = Spread.of([f["ensemble"] for f in of_step]) if "ensemble" in of_step[0] else None
        steps.append(Step(key, test, gain, ensemble, Spread.of([stdev(f["test"]) for f in of_step])))
    return steps
