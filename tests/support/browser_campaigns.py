"""Provide campaigns that were searched in seconds, each in another state, and a server for them."""

import tomllib
from contextlib import contextmanager
from pathlib import Path

import optuna
import pytest
from campaigns import campaign_toml
from optuna.trial import TrialState, create_trial
from serving import serving as serving_storage
from stored import forget_seal

from coarsefine import Campaign, run
from coarsefine.search.errors import Interrupted, NothingCompleted

MINIMIZED = {
    "direction": "minimize", "metric": "val_loss",
    "stage": {"coarse": {"trials": 24, "pruner": "halving"}, "fine": {"trials": 12}},
}  # fmt: skip
MARKUP = "<script>window.planted = 1</script><img src=x onerror='window.planted = 1'>"


def make_campaigns():
    """Search campaigns into studies.db of the working directory: finished, interrupted, diverged, and more."""
    _search(campaign_toml(stage={"coarse": {"eta": [0.01, 1e5]}}))  # its upper rates diverge
    with pytest.raises(Interrupted):
        _search(campaign_toml(name="fresh"), stop=lambda: True)
    with pytest.raises(NothingCompleted):
        _search(campaign_toml(name="blown", stage={"coarse": {"eta": [1e8, 1e9]}}))
    _search(campaign_toml(name="planted"))
    _search(campaign_toml(name="confirmed", confirm={"top": 3, "seeds": 2}))
    _search(campaign_toml("wide", name="wide"))
    _search(campaign_toml("objective", name="function", objective="user_functions:at_once", epochs=None))
    _search(campaign_toml("objective", name="minimized", objective="user_functions:several_losses", **MINIMIZED))
    _plant("sqlite:///studies.db")


def _search(text, **options):
    path = Path(f"{tomllib.loads(text)['name']}.toml")
    path.write_text(text, "utf-8")
    run(Campaign.load(path), **options)


def _plant(url):
    """Write markup wherever a user with access to the storage can."""
    forget_seal("studies.db")
    storage = optuna.storages.RDBStorage(url)
    coarse = optuna.load_study(study_name="planted/coarse", storage=storage)
    coarse.set_user_attr("data", {**coarse.user_attrs["data"], "description": f"images {MARKUP}"})
    coarse.set_user_attr("slots", coarse.user_attrs["slots"] + 1)  # the planted trial passes for a slot
    trial = coarse.trials[0]
    attrs = {"seed": 1, "reason": f"ended {MARKUP}", "ended": {"state": "FAIL", "value": None}}
    coarse.add_trial(
        create_trial(
            state=TrialState.FAIL, params=trial.params, distributions=trial.distributions, user_attrs=attrs
        )
    )  # fmt: skip
    optuna.create_study(storage=storage, study_name=f"planted/{MARKUP.replace('/', '|')}")
    storage.remove_session()
    storage.engine.dispose()


@contextmanager
def serving(folder, port=0):
    """Serve a folder's studies; yield the address."""
    with serving_storage(folder / "studies.db", port) as client:
        yield str(client.base_url).rstrip("/")
