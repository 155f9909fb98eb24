"""The model card of a final training, in Markdown: what it is, what speaks for it, and what it does not show."""

from collections.abc import Iterator, Sequence
from statistics import fmean

from coarsefine.model import Network
from coarsefine.search.campaign import labels
from coarsefine.search.campaign.accuracy import Accuracy
from coarsefine.search.campaign.space import Point, Space
from coarsefine.search.campaign.winner import Estimate
from coarsefine.search.network.export_schema import Export, Finalist, Interval
from coarsefine.search.results.final_result import FinalResult


def card_of(export: Export, final: FinalResult, network: Network) -> str:
    """Return the card of trained networks."""
    parts = (
        _head(export, final, network),
        _results(final),
        _why(export),
        _origin(export, final),
        _limits(final, network),
    )
    return "\n".join(line for part in parts for line in (*part, ""))


def _head(export: Export, final: FinalResult, network: Network) -> Iterator[str]:
    own, dataset = export.settings, export.data.selection.dataset
    beside = ", those for validation among them" if final.on_validation else ""
    yield f"# {export.campaign.name}: a two-layer network for {dataset}"
    yield ""
    yield f"- **Network**: {len(network.mean)} pixels, {own.hidden} hidden units (ReLU), {len(network.classes)} classes"
    yield f"  (softmax), {own.precision}; {_counted(len(final.seeds), 'network')}, one for each seed."
    yield f"- **Trained on**: {final.images[0]:,} images{beside}, of {export.data.description}."
    yield f"- **Training**: {final.epochs} epochs of mini-batches of {own.batch}, momentum ρ = {own.rho:g},"
    yield f"  η = {own.eta:.6g} times {final.decay:g} after each epoch, L2 weight λ = {own.lam:.6g}."
    if own.mirror:
        yield "  Each image was mirrored, left to right, in half of the epochs."
    yield f"- **Classes**: {', '.join(network.classes)}."
    yield "- **Files**: `model.npz` (arrays, no pickle), `curves.csv`, `curves.html`, `export.json`, `final.json`."


def _results(final: FinalResult) -> Iterator[str]:
    yield "## Accuracy"
    yield ""
    yield "| images | mean | each seed |"
    yield "|---|---|---|"
    parts = (final.train_accuracies, final.validation_accuracies, final.test_accuracies)
    for name, values in zip(("training", "validation", "test"), parts, strict=True):
        if values:
            yield f"| {name} | {fmean(values):.2%} | {', '.join(f'{value:.2%}' for value in values)} |"
    if len(final.seeds) > 1:
        yield f"| test, the ensemble | {final.ensemble_accuracy:.2%} | |"
    yield ""
    if (test := final.test) is not None:
        yield f"Test accuracy of one network: {_interval(test)}."
    yield f"This training used the {final.images[2]:,} test images once, after its last epoch ({final.ended}):"
    yield "nothing in it was chosen by them. Other final trainings of the campaign, if there were any, used them too."


def _why(export: Export) -> Iterator[str]:
    trial, planned = export.trial, export.settings.epochs
    epochs = (
        f"after {len(trial.values)} of {planned} epochs, where it was pruned" if len(trial.values) < planned else ""
    )
    completed = sum(one.completed for one in export.lineage)
    yield "## Why this setting"
    yield ""
    value = f"a validation accuracy of {trial.values[-1]:.2%}{epochs}"
    yield f"Trial {trial.number} of {trial.study}, with {value}."
    if export.chosen == "named":
        yield "It was named by hand, not chosen by the campaign."
    elif export.evidence is None:
        yield f"It had the highest of {completed} completed trials. It was chosen for that value, which is thus an"
        yield "optimistic one, and was not trained again on fresh seeds."
    else:
        yield from _evidence(export.evidence.verdict, export.evidence.finalists, export.evidence.optimism)


def _evidence(verdict: str, finalists: Sequence[Finalist], optimism: float | None) -> Iterator[str]:
    yield verdict
    yield ""
    yield "| finalist | setting | in the search | on fresh seeds | behind the leader | is best with probability |"
    yield "|---|---|---|---|---|---|"
    for finalist in finalists:
        yield f"| {' | '.join(_finalist(finalist))} |"
    if optimism is not None:
        yield ""
        yield f"The search's best value was {100 * optimism:+.2f} points above what came when it was trained again."


def _finalist(told: Finalist) -> Sequence[str]:
    behind = told.behind
    return (
        f"{told.study} #{told.number}",
        labels.setting(Point.of(told.params)),
        f"{told.value:.2%}",
        _interval(told.confirmed) if told.confirmed else "failed on a seed",
        f"{100 * behind.mean:.2f} points ({100 * behind.low:.2f} to {100 * behind.high:.2f})" if behind else "–",
        f"{told.probability_best:.0%}",
    )


def _origin(export: Export, final: FinalResult) -> Iterator[str]:
    yield "## Where it comes from"
    yield ""
    yield "| stage | trials | completed | ranges |"
    yield "|---|---|---|---|"
    for one in export.lineage:
        ranges = labels.ranges(Space.from_dict(one.space))
        yield f"| {one.stage} | {one.trials} | {one.completed} | {ranges}{f' ({one.rule})' if one.rule else ''} |"
    yield ""
    yield f"- {final.reproduction.words}"
    digests = (export.digest, export.campaign.fingerprint, export.data.digest)
    yield "- Digests of export, campaign and images: {}, {}, {}.".format(*(digest[:12] for digest in digests))
    libraries = ", ".join(f"{name} {number}" for name, number in export.versions.items())
    yield f"- The trial was made by {libraries}; {export.trial.arithmetic}."
    yield f"- This training was made by {final.made_by}."


def _limits(final: FinalResult, network: Network) -> Iterator[str]:
    low, high = Accuracy(final.test_accuracy, final.images[2]).interval
    yield "## Limits"
    yield ""
    yield "- The networks differ in their initial weights alone: all saw the same mini-batches. Their interval says"
    yield "  nothing of the choice of test images: for that, the 95 % interval (Wilson) of the mean accuracy is"
    yield f"  {100 * low:.2f} to {100 * high:.2f} %."
    yield "- Finalists' intervals are over initial weights and mini-batches, on one set of validation images."
    yield "- The search judged settings by one split of the images; another split may choose others."
    shape = "×".join(map(str, network.shape))
    yield f"- It takes images of {shape} numbers, scaled by 1/{network.scale:g}, less the mean of the training images,"
    yield f"  and gives each the probabilities of {len(network.classes)} classes, whatever it shows."
    yield "- Probabilities are not calibrated, and were not tested on images from elsewhere."


def _interval(estimate: Interval | Estimate) -> str:
    low, high = (100 * min(max(bound, 0), 1) for bound in (estimate.low, estimate.high))
    return f"{estimate.mean:.2%} ({low:.2f} to {high:.2f}, 95 %, n = {estimate.n})"


def _counted(n: int, what: str) -> str:
    return f"{n} {what}{'s' * (n != 1)}"
