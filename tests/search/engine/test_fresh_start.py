"""A campaign whose file was changed before any trial had a result starts again; others keep what they have."""

import shutil
import threading
from contextlib import closing

import pytest
from campaigns import write_campaign
from stored import table

from coarsefine import Campaign, CampaignError, Interrupted, RepeatedFailure, retry, run
from coarsefine.search.results.campaign_studies import find_studies
from coarsefine.search.results.observer import Observer

SHORT = {"stage": {"coarse": {"trials": 4}, "fine": None}, "confirm": None}


@pytest.fixture
def folder(tmp_path, made_file, monkeypatch):
    """Return the working directory, with an empty storage."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(made_file, tmp_path / "studies.db")
    return tmp_path


def interrupted(storage="studies.db"):
    """Run the campaign of the file until it has claimed a slot."""
    claimed, observer = threading.Event(), Observer()
    observer.on_claimed = lambda *_: claimed.set()
    with pytest.raises(Interrupted):
        run(Campaign.load("small.toml"), storage, observer=observer, stop=claimed.is_set)


def searched(folder, messages=None, **changes):
    """Run a short campaign of a function that always reports six times; collect the messages."""
    observer = Observer()
    observer.on_message = (messages if messages is not None else []).append
    write_campaign(folder, "objective", **SHORT | changes)
    return run(Campaign.load("small.toml"), observer=observer)


@pytest.mark.parametrize("puts_back", [False, True], ids=["at once", "after a retry"])
def test_changed_file_starts_again_before_any_result(folder, puts_back):
    """What a failure says about `epochs` helps: the file with other epochs runs to its end under the same name."""
    with pytest.raises(RepeatedFailure, match=r"returned after 6 reports, and `epochs` is 9: .* set `epochs` to 6"):
        searched(folder, epochs=9)
    if puts_back:
        retry("small")
    messages = []
    status = searched(folder, messages, epochs=6)
    assert (status.state, status.stages[0].completed) == ("done", 4)
    assert len(table(folder / "studies.db")) == 4
    assert "small starts again: no trial had a result before its file was changed (epochs was 9, now 6)." in messages


def test_interrupted_campaign_starts_again_before_any_result(folder):
    """A run that was stopped before its first result starts again with another file, too."""
    write_campaign(folder, "objective", **SHORT)
    interrupted()
    assert searched(folder, seed=5).state == "done"


def test_campaign_with_a_result_keeps_what_it_was_started_with(folder):
    """A changed file of a campaign with a completed trial is refused in the words of the file, and nothing changes."""
    searched(folder)
    before = table(folder / "studies.db")
    for changes, words in (
        ({"stage": {"coarse": {"trials": 5}, "fine": None}}, "stage 'coarse': trials was 4, now 5"),
        ({"final": {"epochs": 3}}, "final was not given, now {'epochs': 3"),
        ({"stage": {}}, "stage was 'coarse', now 'coarse', 'fine'"),
    ):
        with pytest.raises(CampaignError) as refused:
            searched(folder, **changes)
        assert words in str(refused.value)
        assert str(refused.value).endswith("or start the campaign under another name or --storage.")
    assert table(folder / "studies.db") == before


def test_files_of_trials_keep_their_campaign(folder):
    """A campaign whose trials have left files is not started again: other trials would find them."""
    with pytest.raises(RepeatedFailure):
        searched(folder, epochs=9)
    (folder / "trials" / "small" / "coarse-0").mkdir(parents=True)
    with pytest.raises(CampaignError, match=r"epochs was 9, now 6"):
        searched(folder, epochs=6)


def test_studies_in_use_are_not_discarded(opened, folder):
    """Studies stay while a process holds a slot, before any slot was claimed, and after one has a result."""
    storage = opened()
    write_campaign(folder, "objective", **SHORT)
    interrupted(storage.location)
    (study,) = find_studies(storage, "small").values()
    (claim,) = storage.queue.claim(study.id, 1)
    with closing(opened()) as other:
        assert not other.discard([study.id])
    storage.queue.release([claim])
    assert storage.discard([study.id])
    assert not find_studies(storage, "small")
    assert not storage.discard([study.id])
