import dataclasses

import numpy as np
import pytest
from oracle import Oracle

from coarsefine.model import Evaluation, Hyperparameters, Training, TrainingSettings, evaluate, train
from coarsefine.model.arithmetic import best_arithmetic
from coarsefine.model.datasets import Dataset, load_digits
from coarsefine.model.epoch import image_order, mirrored_images
from coarsefine.model.network import Parameters
from coarsefine.model.sgd import NumpyArithmetic

ARITHMETIC = {"kernel": best_arithmetic, "NumPy": NumpyArithmetic}


@pytest.fixture(scope="module")
def digits():
    return load_digits()


@pytest.fixture(params=ARITHMETIC)
def arithmetic(request):
    return ARITHMETIC[request.param]()


def stack_of(n, **common):
    etas = np.geomspace(0.003, 0.3, n)
    lams = np.geomspace(1e-6, 1e-2, n)
    return [
        Hyperparameters(float(eta), float(lam), seed, **common)
        for seed, (eta, lam) in enumerate(zip(etas, lams, strict=True))
    ]


def train_oracle(trial, settings, data):
    """Train the plain network on the same mini-batches; return it with its losses and validation accuracies."""
    dtype = np.dtype(settings.precision)
    start = Parameters.draw([trial.seed], data.train.x.shape[1], settings.hidden, len(data.classes), dtype)
    oracle = Oracle(*(tensor[0] for tensor in start))
    train_losses, accuracies = [], []
    for epoch in range(1, settings.epochs + 1):
        order = image_order(len(data.train.y), settings, epoch)
        images = data.train.x.copy()
        for image in np.flatnonzero(mirrored_images(len(images), settings, epoch)):
            images[image] = images[image].reshape(data.shape)[..., ::-1].ravel()
        losses = []
        for first in range(0, len(order), settings.batch):
            chosen = order[first : first + settings.batch]
            x, y = images[chosen].T.astype(dtype), data.train.y[chosen]
            losses.append(oracle.cross_entropy(x, y) * len(chosen))
            oracle.step(x, y, trial.eta * trial.decay ** (epoch - 1), trial.lam, trial.rho)
        train_losses.append(sum(losses) / len(order))
        _, p = oracle.probabilities(data.validation.x.T.astype(dtype))
        accuracies.append(float((p.argmax(axis=0) == data.validation.y).mean()))
    return oracle, train_losses, accuracies


@pytest.mark.parametrize(
    ("precision", "tolerance", "mirrored"),
    [("float64", 1e-11, False), ("float32", 2e-3, False), ("float64", 1e-11, True)],
    ids=["float64", "float32", "mirrored"],
)
def test_stack_agrees_with_the_plain_network(digits, arithmetic, precision, tolerance, mirrored):
    """Every trial of a stack ends with the weights and losses of the paper's equations, trained alone."""
    settings = TrainingSettings(hidden=20, batch=50, epochs=5, precision=precision, mirror=mirrored)
    trials = stack_of(4)
    training = Training.start(trials, settings, digits)
    training.arithmetic = arithmetic
    history = [training.run_epoch() for _ in range(settings.epochs)]
    for number, trial in enumerate(trials):
        oracle, losses, accuracies = train_oracle(trial, settings, digits)
        for ours, expected in zip(training.theta, oracle.theta, strict=True):
            np.testing.assert_allclose(ours[number], expected, rtol=0, atol=tolerance * np.abs(expected).max())
        np.testing.assert_allclose([reports[number].train_loss for reports in history], losses, rtol=tolerance)
        agreed = [reports[number].validation.accuracy for reports in history]
        np.testing.assert_allclose(agreed, accuracies, atol=0 if precision == "float64" else 2 / 300)


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.99])
def test_momentum_follows_equations_5_and_6(digits, arithmetic, rho):
    """The heavy-ball form makes the steps of equations (5) and (6) for any ρ."""
    settings = TrainingSettings(hidden=10, batch=100, epochs=2, precision="float64")
    trial = Hyperparameters(0.01, 1e-3, 7, rho=rho, decay=0.9)
    training = Training.start([trial], settings, digits)
    training.arithmetic = arithmetic
    for _ in range(settings.epochs):
        training.run_epoch()
    oracle, _, _ = train_oracle(trial, settings, digits)
    np.testing.assert_allclose(training.theta.W1[0], oracle.theta[0], rtol=0, atol=1e-11)


def bits(training, number):
    place = training.numbers.index(number)
    return b"".join(tensor[place].tobytes() for tensor in training.theta)


def trained(trials, settings, data):
    training = Training.start(trials, settings, data)
    reports = [training.run_epoch() for _ in range(settings.epochs)]
    return training, reports


@pytest.mark.parametrize("shape", ["digits", "wide"])
@pytest.mark.parametrize("width", [2, 5, 12])
def test_trial_is_independent_of_its_stack(digits, shape, width):
    """A trial has the same weights and reports, bit for bit, alone and anywhere in stacks of 2, 5 and 12."""
    data = digits if shape == "digits" else wide_images(digits)
    settings = TrainingSettings(hidden=50, batch=64, epochs=2)
    trials = stack_of(width)
    together, reports = trained(trials, settings, data)
    for number in {0, width // 2, width - 1}:
        alone, own = trained([trials[number]], settings, data)
        assert bits(together, number) == bits(alone, 0)
        for epoch in range(settings.epochs):
            assert reports[epoch][number].validation == own[epoch][0].validation
            assert reports[epoch][number].train_loss == own[epoch][0].train_loss


def wide_images(digits):
    """Return images as wide as CIFAR-10's, 3,072, made of the digits."""

    def widen(part):
        return dataclasses.replace(part, x=np.ascontiguousarray(np.tile(part.x[:256], (1, 48))), y=part.y[:256])

    return dataclasses.replace(digits, train=widen(digits.train), validation=widen(digits.validation))


def test_diverged_trial_does_not_affect_the_others(digits):
    """A diverged trial leaves with its epoch and loss; the others train as if it had never been there."""
    settings = TrainingSettings(hidden=50, batch=20, epochs=4)
    good, bad = stack_of(3), Hyperparameters(eta=1e4, lam=1e-3, seed=5)
    mixed, reports = trained([good[0], bad, *good[1:]], settings, digits)
    clean, _ = trained(good, settings, digits)
    (failure,) = [report for epoch in reports for report in epoch if report.diverged]
    assert failure.number == 1
    assert failure.divergence.startswith(f"diverged in epoch {failure.epoch}: training loss")
    assert mixed.numbers == [0, 2, 3]
    for ours, others in zip([0, 2, 3], range(3), strict=True):
        assert bits(mixed, ours) == bits(clean, others)


def test_training_ends_when_every_trial_diverged(digits):
    """A stack without trials yields no further epochs."""
    hopeless = [Hyperparameters(eta=1e6, lam=0.1, seed=seed) for seed in range(2)]
    epochs = list(train(hopeless, TrainingSettings(batch=20, epochs=50), digits))
    assert 1 <= len(epochs) < 50
    assert all(report.diverged for report in epochs[-1])


@pytest.mark.parametrize("shape", [(28, 28), (3, 17, 23)], ids=["grey", "colour"])
def test_mirrored_images_train_as_the_plain_network(shape):
    """Images with rows of any width are mirrored in the mini-batches; the weights are those of the equations."""
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (90, *shape), dtype=np.uint8), np.arange(90) % 3
    data = Dataset.from_arrays(images, labels)
    settings = TrainingSettings(hidden=8, batch=20, epochs=3, precision="float64", mirror=True)
    trial = Hyperparameters(0.01, 1e-3, 5)
    training = Training.start([trial], settings, data)
    losses = [training.run_epoch()[0].train_loss for _ in range(settings.epochs)]
    oracle, expected, _ = train_oracle(trial, settings, data)
    np.testing.assert_allclose(losses, expected, rtol=1e-11)
    np.testing.assert_allclose(training.theta.W1[0], oracle.theta[0], rtol=1e-9, atol=1e-11)


def test_evaluation_is_the_closed_form_for_zero_weights(digits, arithmetic):
    """A network of zeros has the loss log C and classifies everything as class 0."""
    theta = Parameters.draw([0], 64, 8, 10, np.float64)
    for tensor in theta:
        tensor[...] = 0
    (evaluation,) = evaluate(theta, digits.test, arithmetic)
    expected = Evaluation(float(np.log(10)), float((digits.test.y == 0).mean()))
    assert evaluation.loss == pytest.approx(expected.loss, rel=1e-12)
    assert evaluation.accuracy == expected.accuracy


@pytest.mark.parametrize("epoch", [1, 2, 3])
@pytest.mark.parametrize("hidden", [20, 50])
def test_trials_resumed_after_an_epoch_end_with_the_same_weights(digits, epoch, hidden):
    """Trials that leave a stack after an epoch and resume in another end with the same weights and reports."""
    settings = TrainingSettings(hidden=hidden, batch=50, epochs=4)
    trials = stack_of(5)
    undisturbed, first = (Training.start(trials, settings, digits) for _ in range(2))
    history = [undisturbed.run_epoch() for _ in range(4)]
    for _ in range(epoch):
        first.run_epoch()
    states = [{name: array.copy() for name, array in first.state_of(number).items()} for number in (4, 1)]
    second = Training.resume([trials[4], trials[1]], settings, digits, [4, 1], epoch, states)
    assert second.epoch == epoch
    reports = [second.run_epoch() for _ in range(4 - epoch)]
    assert reports == [[at[4], at[1]] for at in history[epoch:]]
    for number, place in ((4, 0), (1, 1)):
        for ours, expected in zip(second.theta, undisturbed.theta, strict=True):
            assert ours[place].tobytes() == expected[number].tobytes()


def test_states_of_another_network_are_refused(digits):
    """The error names the array, its shape and precision, and those that the network needs; or the missing array."""
    trials, settings = stack_of(1), TrainingSettings(hidden=20, batch=50, epochs=1)
    state = Training.start(trials, settings, digits).state_of(0)
    other = {**state, "W1": state["W1"][:10].astype(np.float64)}
    needed = r"shape \(10, 64\) and dtype float64; this network needs \(20, 64\) and float32"
    with pytest.raises(ValueError, match=f"^W1 has {needed}$"):
        Training.resume(trials, settings, digits, [0], 0, [other])
    del state["b2"]
    with pytest.raises(ValueError, match=r"^b2 is missing$"):
        Training.resume(trials, settings, digits, [0], 0, [state])
