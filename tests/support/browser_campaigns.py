"""Campaigns of seconds that were really searched, each in another state, and a server over them."""

import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState, create_trial
from small_campaign import SMALL, WIDE

from coarsefine import Campaign, run
from coarsefine.search.errors import Interrupted, NothingCompleted

MARKUP = "<script>window.planted = 1</script><img src=x onerror='window.planted = 1'>"
RATES = "eta = [0.01, 1.0]"


def make_campaigns():
    """Search campaigns into studies.db of the working directory: done, begun, diverged, marked up, confirmed, wide."""
    _search("small", SMALL.replace(RATES, "eta = [0.01, 1e5]"))  # its upper rates diverge
    with pytest.raises(Interrupted):
        _search("fresh", SMALL, stop=lambda: True)
    with pytest.raises(NothingCompleted):
        _search("blown", SMALL.replace(RATES, "eta = [1e8, 1e9]"))
    _search("planted", SMALL)
    _search("confirmed", SMALL + "\n[confirm]\ntop = 3\nseeds = 2\n")
    _search("wide", WIDE)
    _plant("sqlite:///studies.db")


def _search(name, text, **options):
    path = Path(f"{name}.toml")
    path.write_text(text.replace('name = "small"', f'name = "{name}"'), "utf-8")
    run(Campaign.load(path), **options)


def _plant(url):
    """Write markup wherever somebody can who has a hand on the storage."""
    storage = optuna.storages.RDBStorage(url)
    coarse = optuna.load_study(study_name="planted/coarse", storage=storage)
    coarse.set_user_attr("data", {**coarse.user_attrs["data"], "description": f"images {MARKUP}"})
    trial, attrs = coarse.trials[0], {"seed": 1, "reason": f"ended {MARKUP}"}
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
    """Serve a folder's studies; give the address."""
    command = [sys.executable, "-m", "coarsefine", "serve", "--port", str(port)]
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True) as process:
        try:
            told = process.stderr.readline()
            found = re.search(r"http://\S+[^/\s]", told)
            assert found, told
            yield found[0]
        finally:
            process.terminate()
            process.communicate(timeout=30)
