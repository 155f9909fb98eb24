"""Reading image files as inputs of a network."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from coarsefine.model.errors import DataError
from coarsefine.model.saved_network import Network

_MODES = {"L": {"L", "1"}, "RGB": {"RGB", "P"}}
"""Pillow's modes of images that convert without loss to 8-bit grey (`L`) or RGB."""
_WHITE = 255
"""The largest number of a pixel of 8 bits."""
_ROUNDING = 1e-3


def read_image_files(paths: Sequence[Path], network: Network) -> npt.NDArray[np.float32]:
    """Return image files as normalised inputs (n, d) of a network, in the order of channels, rows and columns.

    The pixels of a file are divided by 255, to 0…1. Raises `DataError` for a file that is not an image, or whose size
    or colours differ from the training images, and for a network that was trained on pixels of another range.
    """
    _check_takes_images(network)
    rows = [_pixels(path, network.shape) for path in paths]
    x = np.array(rows, np.float32).reshape(len(rows), -1) / np.float32(_WHITE)
    return np.asarray(x - network.mean.astype(np.float32))


def _check_takes_images(network: Network) -> None:
    if len(network.shape) == 1:
        raise DataError(f"The network takes {network.shape[0]} numbers, not images: leave the files out, use --split.")
    if not _trained_on_pixels(network):
        low, high = (round(limit, 3) + 0.0 for limit in network.limits or (network.mean.min(), network.mean.max()))
        raise DataError(
            f"The network was trained on numbers of {low:g} to {high:g}, and the pixels of files are divided by 255: "
            "they cannot be compared. Search with uint8 pixels of 0 to 255 and without a scale, or with numbers of 0 "
            "for black to 1 for white; or use --split instead of files."
        )


def _trained_on_pixels(network: Network) -> bool:
    """Return whether pixels that are divided by 255 are on the scale of the training images."""
    if network.limits is None:  # earlier versions store no more
        return bool(network.mean.min() >= 0 and network.mean.max() <= 1)
    low, high = network.limits
    # Without white among the images, only the scale says what is white; 0 and 1 are black and white, not 8 bits.
    eight_bits = network.scale == _WHITE and high * _WHITE > 1 + _ROUNDING
    return low >= -_ROUNDING and high <= 1 + _ROUNDING and (eight_bits or high >= 1 - _ROUNDING)


def _pixels(path: Path, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    from PIL import Image, UnidentifiedImageError  # noqa: PLC0415 - only needed here

    *channels, height, width = shape
    mode = "RGB" if channels and channels[0] > 1 else "L"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                if image.size != (width, height) or image.mode not in _MODES[mode]:
                    raise DataError(
                        f"{path} is {image.width} × {image.height} pixels, {image.mode}: the network takes {width} × "
                        f"{height}, 8-bit {'grey' if mode == 'L' else mode}. Scale and convert it first."
                    )
                pixels = np.asarray(image.convert(mode))
    except UnidentifiedImageError as error:
        raise DataError(f"{path} is not an image that Pillow can read: give PNG, JPEG or the like.") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise DataError(f"{path} cannot be read as an image: {reason}.") from error
    return pixels if mode == "L" else pixels.transpose(2, 0, 1)
