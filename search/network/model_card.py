"""The model card of a final training, in Markdown: what was trained, how well it does, why, and its limits."""

from collections.abc import Iterator, Sequence
from statistics import fmean

from coarsefine.model import Network
from coarsefine.search.campaign import labels
from coarsefine.search.campaign.accuracy import Accuracy
from coarsefine.search.campaign.winner import Estimate, Finalist, Verdict
from coarsefine.search.network.export_schema import Export
from coarsefine.search.results.final_result import FinalResult


def card_of(export: Export, final: FinalResult, network: Network) -> str:
    """Return the model card of trained networks."""
    sections = {
        "Accuracy": _accuracies(final),
        "Why these hyperparameters": _choice(export),
        "Origin": _origin(export, final),
        "Limits": _limits(final, network),
    }
    parts = [_summary(export, final, network), *((f"## {title}", "", *lines) for title, lines in sections.items())]
    return "\n".join(line for part in parts for line in (*part, ""))


def _summary(export: Export, final: FinalResult, network: Network) -> Iterator[str]:
    settings, dataset = export.settings, export.data.selection.dataset
    including = ", including the validation images" if final.on_validation else ""
    count = f"{len(final.seeds)} network{'s' * (len(final.seeds) > 1)}, one per seed"
    yield f"# {export.campaign.name}: a two-layer network for {dataset}"
    yield ""
    yield f"- **Network**: {len(network.mean)} pixels, {settings.hidden} hidden units (ReLU), {len(network.classes)}"
    yield f"  classes (softmax), {settings.precision}; {count}."
    yield f"- **Trained on**: {final.images[0]:,} images{including}. Dataset: {export.data.description}."
    yield f"- **Training**: {final.epochs} epochs of mini-batches of {settings.batch}, momentum ρ = {settings.rho:g},"
    yield f"  L2 weight λ = {settings.lam:.6g}, learning rate η = {settings.eta:.6g}, multiplied by {final.decay:g}"
    yield "  after each epoch."
    if settings.mirror:
        yield "  Each image was mirrored left to right in half of the epochs."
    yield f"- **Classes**: {', '.join(network.classes)}."
    yield "- **Files**: `model.npz` (arrays, no pickle), `curves.csv`, `curves.html`, `export.json`, `final.json`."


def _accuracies(final: FinalResult) -> Iterator[str]:
    yield "| images | mean | by seed |"
    yield "|---|---|---|"
    parts = (final.train_accuracies, final.validation_accuracies, final.test_accuracies)
    for name, values in zip(("training", "validation", "test"), parts, strict=True):
        if values:
            yield f"| {name} | {fmean(values):.2%} | {', '.join(f'{value:.2%}' for value in values)} |"
    if len(final.seeds) > 1:
        yield f"| test, all networks together | {final.ensemble_accuracy:.2%} | |"
    yield ""
    if (test := final.test) is not None:
        yield f"The test accuracy of a single network is {_interval(test)}."
    yield f"This training used the {final.images[2]:,} test images once, after its last epoch ({final.ended}), and"
    yield "nothing was chosen by them. Other final trainings of the campaign, if any, used them as well."


def _choice(export: Export) -> Iterator[str]:
    trial, epochs = export.trial, export.settings.epochs
    pruned = f" after {len(trial.values)} of {epochs} epochs, when it was pruned" if len(trial.values) < epochs else ""
    yield f"They are those of trial {trial.number} of {trial.study}. It reached a validation accuracy of"
    yield f"{trial.values[-1]:.2%}{pruned}."
    if export.chosen == "named":
        yield "The trial was chosen by a user, not by the campaign."
    elif export.evidence is None:
        completed = sum(stage.completed for stage in export.lineage)
        yield f"It had the highest of {completed} completed trials. The trial was chosen for that value, which"
        yield "is therefore optimistic, and was not trained again on new seeds."
    else:
        yield from _finalists(export.evidence)


def _finalists(verdict: Verdict) -> Iterator[str]:
    yield verdict.summary
    yield ""
    yield "| finalist | hyperparameters | in the search | on new seeds | behind the leader | probability of best |"
    yield "|---|---|---|---|---|---|"
    for finalist in verdict.finalists:
        yield f"| {' | '.join(_cells(finalist))} |"
    if verdict.optimism is not None:
        side = "above" if verdict.optimism >= 0 else "below"
        yield ""
        yield f"The search's best value was {100 * abs(verdict.optimism):.2f} points {side} the mean of the same"
        yield "hyperparameters on new seeds."


def _cells(finalist: Finalist) -> Sequence[str]:
    behind = finalist.behind
    return (
        f"{finalist.study} #{finalist.number}",
        labels.point_text(finalist.point),
        f"{finalist.value:.2%}",
        _interval(finalist.confirmed) if finalist.confirmed else "failed on a seed",
        f"{100 * behind.mean:.2f} points ({100 * behind.low:.2f} to {100 * behind.high:.2f})" if behind else "–",
        f"{finalist.probability_best:.0%}",
    )


def _origin(export: Export, final: FinalResult) -> Iterator[str]:
    yield "| stage | trials | completed | ranges |"
    yield "|---|---|---|---|"
    for stage in export.lineage:
        ranges = labels.space_text(stage.space)
        rule = f" ({stage.rule})" if stage.rule else ""
        yield f"| {stage.stage} | {stage.trials} | {stage.completed} | {ranges}{rule} |"
    yield ""
    yield f"- {final.reproduction.words}"
    digests = (export.digest, export.campaign.fingerprint, export.data.digest)
    yield "- Digests: export {}, campaign {}, images {}.".format(*(digest[:12] for digest in digests))
    libraries = ", ".join(f"{name} {number}" for name, number in export.versions.items())
    yield f"- The trial ran with {libraries}; {export.trial.arithmetic}."
    yield f"- This training ran with {final.made_by}."


def _limits(final: FinalResult, network: Network) -> Iterator[str]:
    low, high = Accuracy(final.test_accuracy, final.images[2]).interval
    shape = "×".join(map(str, network.shape))
    yield "- The networks differ only in their initial weights: all trained on the same mini-batches. Their interval"
    yield "  does not include the chance in the choice of test images. With that, the 95 % interval (Wilson) of the"
    yield f"  mean accuracy is {100 * low:.2f} to {100 * high:.2f} %."
    yield "- The finalists' intervals are over initial weights and mini-batches, on one set of validation images."
    yield "- The search used one split of the images. Another split may lead to other hyperparameters."
    yield f"- The network takes images of {shape} numbers, scaled by 1/{network.scale:g}, minus the mean of the"
    yield "  training images. For any image, whatever it shows, it returns the probabilities of"
    yield f"  {len(network.classes)} classes."
    yield "- The probabilities are not calibrated, and were not tested on images from other sources."


def _interval(estimate: Estimate) -> str:
    low, high = (100 * min(max(bound, 0), 1) for bound in (estimate.low, estimate.high))
    return f"{estimate.mean:.2%} ({low:.2f} to {high:.2f}, 95 %, n = {estimate.n})"
