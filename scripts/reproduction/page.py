"""The page: tables and sentences computed from the measurements. First the report, then what lies beyond it."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reproduction.beyond import beyond, choice
from reproduction.evidence import AS_OURS, VARIATIONS, Variation, the_report
from reproduction.findings import SEARCH_EPOCHS, Findings, Momentum, Setting
from reproduction.markdown import bullets, picture, quick_warning, section, table
from reproduction.pictures import MOMENTUM, SEARCHES, SETTINGS
from reproduction.spread import Spread, compared, gain, lowest_to_highest, mean_of, percent


def write_page(found: Findings, conditions: Mapping[str, Any]) -> str:
    """Return the whole page."""
    reproduced = (_gradients(found), _momentum(found.momentum), _searches(found), _named(found), _final(found))
    return "\n\n".join([_head(conditions), *reproduced, beyond(found, conditions), choice(found)]) + "\n"


def _head(conditions: Mapping[str, Any]) -> str:
    seeds = conditions["seeds"]
    lines = [
        "# The report, reproduced; and what lies beyond it",
        "After this page you can compare each number of the student report with ours, and see what further steps gain.",
        quick_warning(conditions),
        f"The report is *{the_report().source}*. This page, its pictures and [its numbers](results.json) were written "
        f"by `{conditions['command']}` from what it measured in {conditions['core_minutes']:.0f} minutes of a core.",
        f"Campaign seeds: {', '.join(map(str, seeds))} (n = {len(seeds)}). Each is a whole reproduction, with draws, "
        "initial weights and mini-batches of its own. `a ± b` is a mean over the seeds with half its 95 % interval "
        "(Student's t). A value of the report is *within our spread* where it lies in the range that would hold one "
        "more of ours, 95 times of 100.",
        f"Images: {conditions['images']}. Machine: {conditions['machine']}; {conditions['versions']}.",
    ]
    return "\n\n".join(filter(None, lines))


def _gradients(found: Findings) -> str:
    rows = [(t.name, f"{t.reported:.2e}", f"{min(t.errors):.1e} to {max(t.errors):.1e}") for t in found.tensors]
    larger = [tensor.name for tensor in found.tensors if max(tensor.errors) > tensor.reported]
    but = f", but for {', '.join(larger)}" if larger else ""
    text = (
        f"On every seed ours is the smaller one{but}. We take central "
        "differences in float64, and leave out coordinates whose step carries a hidden unit across its kink, where "
        "there is no derivative. The report does not say how it took its differences."
    )
    columns = ("relative error of", "the report", "ours, lowest to highest")
    return section("Table 1: gradient check", table(columns, rows), text)


def _momentum(curves: Sequence[Momentum]) -> str:
    published = the_report().momentum
    rows = [
        (f"{c.rho:g}", f"{c.loss.mean:.4f} ± {c.loss.half:.4f}", _epochs(c.arrives), mean_of(c.accuracy))
        for c in curves
    ]
    columns = ("ρ", "training loss at the end", "epochs to the loss that ρ = 0 ends with", "best validation accuracy")
    return section(
        "Figure 1: momentum",
        picture("Training loss over the epochs for four ρ, mean and range over the seeds", MOMENTUM),
        table(columns, rows),
        f"The report: {published['epochs']} epochs, {published['text']}",
        f"Ours: {_faster(curves)} {_better(curves)}",
    )


def _epochs(arrives: Spread | None) -> str:
    if arrives is None:
        return "not on every seed"
    return f"{arrives.mean:.0f} ({min(arrives.values):.0f} to {max(arrives.values):.0f})"


def _faster(curves: Sequence[Momentum]) -> str:
    plain = curves[0].arrives
    slow = [c.rho for c in curves[1:] if not (c.arrives and plain and max(c.arrives.values) < min(plain.values))]
    if slow:
        return f"that momentum needs fewer epochs does not hold on every seed for ρ = {', '.join(map(str, slow))}."
    first = min(curves, key=lambda c: c.arrives.mean if c.arrives else math.inf)
    return f"momentum needs fewer epochs on every seed, as the report says; ρ = {first.rho:g} the fewest."


def _better(curves: Sequence[Momentum]) -> str:
    seeds = range(len(curves[0].loss.values))
    lowest = [min(curves, key=lambda c, s=seed: c.loss.values[s]).rho for seed in seeds]  # type: ignore[misc]
    highest = [max(curves, key=lambda c, s=seed: c.accuracy.values[s]).rho for seed in seeds]  # type: ignore[misc]
    text = f"The lowest training loss at the end has {_counted(lowest)}, the highest validation accuracy"
    if {0.9} in (set(lowest), set(highest)):
        return f"{text} {_counted(highest)}: ρ = 0.9 is the better one here, too."
    differs = "the report's ρ = 0.9 is neither on every seed; its curves are of one training, at an η it does not state"
    return f"{text} {_counted(highest)}: {differs}."


def _counted(rhos: Sequence[float]) -> str:
    return " and ".join(f"ρ = {rho:g} on {rhos.count(rho)} of {len(rhos)} seeds" for rho in sorted(set(rhos)))


def _searches(found: Findings) -> str:
    rows = [
        (s.name, percent(s.reported["accuracy"]), mean_of(s.best), lowest_to_highest(s.best), _point(s.reported),
         _points(s.points))
        for s in found.searches
    ]  # fmt: skip
    columns = ("search", "the report's best", "our best", "lowest to highest", "its η, λ", "our η, our λ")
    first, last = found.searches[0], found.searches[-1]
    rise = last.reported["accuracy"] - first.reported["accuracy"]
    return section(
        "The three searches: validation accuracy of the best of each",
        picture("Validation accuracy of the best of each search", SEARCHES),
        table(columns, rows),
        bullets(f"{s.name}: {compared(s.reported['accuracy'], s.best, 'campaigns')}." for s in found.searches),
        f"From the first search to the last, the report gains {100 * rise:.2f} points; ours: "
        f"{gain(last.best.less(first.best))}. {_why_searches(found)}",
    )


def _why_searches(found: Findings) -> str:
    apart = found.apart(AS_OURS)
    text = (
        f"The six settings that the report lists of its searches, trained by us for as many epochs, come out at "
        f"{gain(apart)} points from what it reports of them"
    )
    if apart.estimate.low <= 0 <= apart.estimate.high:
        return f"{text}: the same settings give the same."
    return f"{text}: the difference is not one of draws, but of how the network is trained or measured. Next is where."


def _named(found: Findings) -> str:
    rows = [
        (s.named.where, f"{s.named.eta:g}, {s.named.lam:g}", percent(s.named.searched or 0),
         *(mean_of(s.searched[name]) for name in VARIATIONS), f"{mean_of(s.last)} ({s.named.epochs})")
        for s in found.searched
    ]  # fmt: skip
    columns = (
        "figure",
        "η, λ",
        "the report",
        *(way.words for way in VARIATIONS.values()),
        "as here, to its last epoch",
    )
    return section(
        "Figures 2 to 8: the settings that the report names",
        picture("Training and validation loss over the epochs of the seven settings", SETTINGS),
        f"Validation accuracy after {SEARCH_EPOCHS} epochs, as in the searches (the captions of Figures 5 to 7 say 15: "
        "the last column). The report says neither how its mini-batches are ordered nor how its weights are drawn; "
        "here they are shuffled each epoch, and drawn from N(0, 1/√fan-in). Both are varied:",
        table(columns, rows),
        _why_named(found),
    )


def _why_named(found: Findings) -> str:
    ours = found.apart(AS_OURS)
    changes = {name: found.apart(name).less(ours) for name in VARIATIONS if name != AS_OURS}
    text = "; ".join(f"{VARIATIONS[name].words}: {gain(change)}" for name, change in changes.items())
    left = min((found.apart(name) for name in VARIATIONS), key=lambda spread: abs(spread.mean))
    chance, n = 100 * _chance(found), f"{the_report().validation_images:,}"
    if 100 * abs(left.mean) <= chance:
        why = (
            f"Accuracies on two sets of {n} images differ by up to {chance:.1f} points by chance (95 %), and the "
            f"report does not say which {n} of the 10,000 it took; ours are the first. That could be all of it."
        )
    else:
        why = (
            f"That is more than another choice of {n} images explains ({chance:.1f} points, 95 %): we do not know why."
        )
    return f"In points, of the mean of all six: {text}. At the nearest, {gain(left)} are left. {why}"


def _chance(found: Findings) -> float:
    """Return 1.96 standard errors of the difference between accuracies on two sets of images."""
    share = sum(setting.named.searched or 0.0 for setting in found.searched) / len(found.searched)
    return 1.96 * math.sqrt(2 * share * (1 - share) / the_report().validation_images)


def _final(found: Findings) -> str:
    setting, report = found.final_setting, the_report().final
    rows = [
        ("the report", percent(found.reported_train), percent(found.reported_test)),
        *(
            (f"its setting, trained {_how(way)}", mean_of(setting.train[name]), mean_of(setting.test[name]))
            for name, way in VARIATIONS.items()
        ),
        ("our campaigns, each its own winner", mean_of(found.train), mean_of(found.test)),
        ("… lowest to highest", lowest_to_highest(found.train), lowest_to_highest(found.test)),
    ]
    columns = (f"final training, {report['epochs']} epochs", "training accuracy", "test accuracy")
    return section("The final numbers", table(columns, rows), bullets(_why_final(found, setting)))


def _why_final(found: Findings, setting: Setting) -> Iterable[str]:
    parts = (
        ("Training", found.reported_train, setting.train, found.train),
        ("Test", found.reported_test, setting.test, found.test),
    )
    for part, reported, own, ours in parts:
        holding = [way.words for name, way in VARIATIONS.items() if own[name].holds(reported)]
        spread = f"the report's is within the spread of its own setting ({'; '.join(holding)})"
        text = spread if holding else "its own setting gives what it reports in none of our ways"
        yield f"{part} accuracy: {text}. Our campaigns' own winners: {compared(reported, ours, 'campaigns')}."
    reported = the_report().final["lambda"]
    smaller = sum(lam < reported for lam in found.lams)
    yield (
        f"Our winners' λ ({', '.join(f'{lam:.2g}' for lam in found.lams)}) is below the report's {reported:g} in "
        f"{smaller} of {len(found.lams)} campaigns. Beside the report's setting trained by us, that is worth "
        f"{gain(found.train.less(setting.train[AS_OURS]))} points on the training and "
        f"{gain(found.test.less(setting.test[AS_OURS]))} on the test images."
    )


def _how(way: Variation) -> str:
    """Return a variation's description as it follows a verb."""
    return way.words if way == VARIATIONS[AS_OURS] else f"with {way.words}"


def _point(best: Mapping[str, Any]) -> str:
    return f"{best['eta']:g}, {best['lambda']:g}"


def _points(points: Sequence[tuple[float, float]]) -> str:
    etas, lams = ([point[place] for point in points] for place in (0, 1))
    return f"{min(etas):.2g} to {max(etas):.2g}, {min(lams):.2g} to {max(lams):.2g}"
