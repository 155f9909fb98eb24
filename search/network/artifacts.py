"""What a final training leaves in its folder: network, curves, model card, and the export it came from."""

import hashlib
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

from coarsefine.model import Network
from coarsefine.search.campaign.schema import FinalSettings
from coarsefine.search.files import unwritable, write_atomic
from coarsefine.search.network.export import text_of
from coarsefine.search.network.export_schema import Export
from coarsefine.search.network.model_card import card_of
from coarsefine.search.results.final_result import FinalResult

MODEL, EXPORT, CARD, FIGURE = "model.npz", "export.json", "MODEL_CARD.md", "curves.html"
_TABLE = "curves.csv"
History = npt.NDArray[np.float64]
"""(epochs, seeds, 3): training loss, validation loss, validation accuracy."""


def write_training(folder: Path, network: Network, export: Export, seeds: tuple[int, ...], history: History) -> None:
    """Write what training alone gave; a history without validation has NaN there. Raises `StorageError`."""
    try:
        network.save(folder / MODEL)
    except OSError as error:
        raise unwritable(folder / MODEL, error) from error
    write_atomic(folder / EXPORT, text_of(export))
    write_atomic(folder / _TABLE, _table(seeds, history))


def write_story(folder: Path, export: Export, final: FinalResult, network: Network) -> None:
    """Write what tells of a measured training, where it is not there yet; raise `StorageError`."""
    if not (folder / CARD).exists():
        write_atomic(folder / CARD, card_of(export, final, network))
    if not (folder / FIGURE).exists():
        write_atomic(folder / FIGURE, _figure(final, export.campaign.name))


def folder_for(export: Export, final_settings: FinalSettings) -> str:
    """Return the name of the folder of a final training, which no other has."""
    key = json.dumps([export.digest, final_settings.model_dump(mode="json")])
    return f"{export.campaign.name}-{hashlib.sha256(key.encode()).hexdigest()[:8]}"


def _table(seeds: tuple[int, ...], history: History) -> str:
    lines = ["seed,epoch,train_loss,validation_loss,validation_accuracy"]
    for epoch, of_seeds in enumerate(history, 1):
        for seed, told in zip(seeds, of_seeds, strict=True):
            cells = ("" if np.isnan(value) else repr(float(value)) for value in told)
            lines.append(f"{seed},{epoch},{','.join(cells)}")
    return "\n".join([*lines, ""])


def _figure(final: FinalResult, name: str) -> str:
    """Return the mean curves as a page that opens offline."""
    from coarsefine.search.charts import curves, themed  # noqa: PLC0415 - with Plotly, which workers and most commands need not

    losses = {"training": final.curves.train_loss, "validation": final.curves.validation_loss}
    figure = themed(curves({name: values for name, values in losses.items() if values}, "loss"), "light")
    figure.update_layout(title=f"Final training of {name}, mean of {len(final.seeds)}", paper_bgcolor="#fff")
    return str(figure.to_html(include_plotlyjs=True))
