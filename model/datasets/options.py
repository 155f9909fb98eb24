"""The base class of the options that Coarsefine's own datasets take in `[data]`."""

from pydantic import BaseModel, ConfigDict


class Options(BaseModel):
    """Options of a dataset. They convert no types and never change."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)
