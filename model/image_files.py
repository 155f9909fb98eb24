"""Reading image files as inputs of a network."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from coarsefine.model.errors import DataError
from coarsefine.model.saved_network import Network

_FULL = 255
_GREY, _COLOUR = 1, 3
_MODES = {_GREY: {"L", "1"}, _COLOUR: {"RGB", "P"}}
"""Pillow's modes of images that convert to 8-bit grey or RGB without loss, by number of channels."""


def read_image_files(paths: Sequence[Path], network: Network) -> npt.NDArray[np.float32]:
    """Return image files as normalised inputs (n, d) of a network, in the order of channels, rows and columns.

    Raises `DataError` for a file that is no image, or whose size or colours differ from the training images.
    """
    rows = [_pixels(path, network.shape) for path in paths]
    x = np.array(rows, np.float32).reshape(len(rows), -1) / np.float32(_FULL)
    return np.asarray(x - network.mean.astype(np.float32))


def _pixels(path: Path, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    from PIL import Image, UnidentifiedImageError  # noqa: PLC0415 - only needed here

    channels, (height, width) = (_GREY if len(shape) == 2 else shape[0]), shape[-2:]  # noqa: PLR2004 - rows, columns
    kind = "grey" if channels == _GREY else "RGB"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                if image.size != (width, height) or image.mode not in _MODES[channels]:
                    raise DataError(
                        f"{path} is {image.width} × {image.height} pixels, {image.mode}: the network takes {width} × "
                        f"{height}, 8-bit {kind}. Scale and convert it first."
                    )
                pixels = np.asarray(image.convert("L" if channels == _GREY else "RGB"))
    except UnidentifiedImageError as error:
        raise DataError(f"{path} is no image that Pillow can read: give PNG, JPEG or the like.") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise DataError(f"{path} cannot be read as an image: {reason}.") from error
    return pixels if channels == _GREY else pixels.transpose(2, 0, 1)
