"""Five small networks, trained for three epochs, as `tests/model/kernel/digests.c` trains them, and their digests."""

import zlib

import numpy as np

from coarsefine.model.datasets import Part
from coarsefine.model.epoch import Epoch, Rates
from coarsefine.model.network import Parameters

TRIALS, HIDDEN, INPUTS, CLASSES, IMAGES, BATCH, ROW, EPOCHS = 5, 21, 200, 11, 300, 32, 10, 3
DIGESTS = {
    "float": ["d15fae73", "e7c3f695", "9cffb7b3", "14b8e3a8", "1283617a"],
    "double": ["704466ac", "ca20d268", "954d9f82", "18aa37cf", "b1bab22b"],
}
"""CRC-32 of the bits of each trial: losses and hits of each epoch, then the weights.

If they change, the kernel computes other numbers: then `coarsefine.model.arithmetic.KERNEL` needs a new version, since
campaigns and exports that were made before cannot be continued or repeated to the bit.
"""
DTYPES = {"float": np.float32, "double": np.float64}


def digests(arithmetic, precision, trials):
    """Return the digests of trials, by their numbers from 0 to 4, that are trained together in this order."""
    theta, previous = (_initial(trials, DTYPES[precision]) for _ in range(2))
    place = np.array(trials, np.float64)
    rates = Rates(0.03125 * (place + 1), 0.0009765625 * place, 0.875 - 0.125 * place)
    x = (4 * _drawn(1, IMAGES * INPUTS)).astype(np.float32).reshape(IMAGES, INPUTS)
    part = Part(x, ((_drawn(2, IMAGES) + 0.5) * CLASSES).astype(np.int64))
    order = (np.arange(IMAGES) * 7 + 3) % IMAGES
    epoch = Epoch(part, order, _drawn(3, IMAGES) < 0, ROW, BATCH)
    crcs = [0] * len(trials)
    for _ in range(EPOCHS):
        measured = [arithmetic.train_epoch(theta, previous, rates, epoch), *arithmetic.evaluate(theta, part)]
        crcs = [_crc(crc, [values[k] for values in measured]) for k, crc in enumerate(crcs)]
    weights = [array for half in (theta, previous) for array in half]
    return [f"{_crc(crc, [array[k] for array in weights]):08x}" for k, crc in enumerate(crcs)]


def _initial(trials, dtype):
    theta = Parameters.draw(trials, INPUTS, HIDDEN, CLASSES, dtype)
    for k, trial in enumerate(trials):
        theta.W1[k] = 0.125 * _drawn(10 + trial, HIDDEN * INPUTS).reshape(HIDDEN, INPUTS)
        theta.W2[k] = 0.5 * _drawn(20 + trial, CLASSES * HIDDEN).reshape(CLASSES, HIDDEN)
    return theta


def _drawn(stream, count):
    """Return `count` numbers of a stream that needs no library's random numbers, from −½ to ½."""
    bits = (np.arange(1, count + 1, dtype=np.uint32) * np.uint32(2654435761)) + np.uint32(stream * 40503)
    bits ^= bits >> 15
    bits *= np.uint32(2246822519)
    bits ^= bits >> 13
    return (bits >> 8) / 16777216.0 - 0.5


def _crc(crc, arrays):
    for array in arrays:
        crc = zlib.crc32(np.ascontiguousarray(array).tobytes(), crc)
    return crc
