"""Campaign files for measurements."""

from pathlib import Path

_TEXT = """
name = "bench"
seed = 1

[data]
{data}

[model]
{model}

[[stage]]
name = "warm-up"
trials = {warm_up}
epochs = 1
stack = 1
eta = {eta}
lambda = [1e-4, 1e-2]

[[stage]]
name = "measured"
trials = {trials}
epochs = {epochs}
eta = {eta}
lambda = [1e-4, 1e-2]

[final]
epochs = 1
"""
_TWO_BATCHES = 'dataset = "cifar10"'
_ONE_BATCH = f'{_TWO_BATCHES}\ntrain = ["data_batch_1"]'
_BATCH_IMAGES = 10_000


def paper_images(images: int) -> int:
    """Return the number of training images of a campaign of the paper's shape, which uses whole batches."""
    return _BATCH_IMAGES if images <= _BATCH_IMAGES else 2 * _BATCH_IMAGES


def write_paper_shaped(path: Path, *, images: int, trials: int, epochs: int, workers: int = 1) -> str:
    """Write a campaign with one measured stage like the preset `paper`'s, in which no trial diverges."""
    data = _ONE_BATCH if paper_images(images) == _BATCH_IMAGES else _TWO_BATCHES
    return _write(path, data, "hidden = 50\nbatch = 100", "[0.02, 0.04]", trials, epochs, workers)


def write_digits(path: Path, *, trials: int, epochs: int) -> str:
    """Write a campaign with one measured stage like the preset `digits`'s, in which no trial diverges."""
    return _write(path, 'dataset = "digits"', "hidden = 50\nbatch = 20", "[0.001, 0.1]", trials, epochs, 1)


def _write(path: Path, data: str, model: str, eta: str, trials: int, epochs: int, workers: int) -> str:
    text = _TEXT.format(data=data, model=model, eta=eta, trials=trials, epochs=epochs, warm_up=workers)
    path.write_text(text, "utf-8")
    return str(path)
