"""Test the text of a new campaign file, and values as TOML."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coarsefine import Campaign
from coarsefine.search.campaign.dimension import Choice, Integer, LogUniform, Stepped, Uniform, as_json
from coarsefine.search.campaign.draft import Draft, campaign_text
from coarsefine.search.campaign.toml_form import range_line, toml_line

SPACE = {
    "lr": LogUniform(1e-05, 0.1),
    "dropout": Uniform(0.0, 0.5),
    "drop_path": Stepped(0.0, 0.5, 0.1),
    "layers": Integer(1, 3),
    "units": Integer(10, 100, 5),
    "channels": Integer(32, 512, log=True),
    "optimizer": Choice(("Adam", 'a "name"', 3, 0.5, True)),
}
VALUES = st.recursive(
    st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
)


@given(st.text(st.characters(codec="utf-8")), VALUES)
def test_values_are_read_back(key, value):
    """TOML's own parser reads every value as it was written."""
    assert tomllib.loads(toml_line(key, value)) == {key: value}


@pytest.mark.parametrize(("name", "dimension"), SPACE.items())
def test_ranges_are_read_back(name, dimension):
    """A range is written as it is read; the default step is left out."""
    read = tomllib.loads(range_line(name, dimension))[name]
    assert as_json(dimension) in (read, {**read, "step": 1} if isinstance(read, dict) else read)


def campaign_of(draft):
    return Campaign.model_validate(tomllib.loads(campaign_text(draft)))


def test_draft_is_a_campaign():
    """A draft has a coarse stage, a narrowed one of half as many trials, and a confirmation."""
    campaign = campaign_of(Draft("lab.train:objective", 30, 12, SPACE, comments={"lr": "a comment"}))
    coarse, fine = campaign.stage
    assert (campaign.name, campaign.objective, campaign.epochs) == ("train", "lab.train:objective", 12)
    assert (coarse.trials, fine.trials, fine.narrow.top) == (30, 15, 5)
    assert coarse.space == SPACE
    assert campaign.direction == "maximize"
    assert campaign_of(Draft("a:objective", 1, None, SPACE, "minimize")).direction == "minimize"
    assert (coarse.pruner, fine.pruner) == ("halving", "halving")
    assert campaign.confirm.trials == 20


@pytest.mark.parametrize("epochs", [None, 1, 2])
def test_few_epochs_are_not_pruned(epochs):
    """A function that hardly reports has no pruner."""
    assert {stage.pruner for stage in campaign_of(Draft("a:objective", 1, epochs, SPACE)).stage} == {"none"}


@pytest.mark.parametrize(
    ("objective", "name"),
    [
        ("train:objective", "train"),
        ("lab.digits_svm:train", "digits_svm-train"),
        ("train:Model.fit", "train-Model-fit"),
        ("übung:função", "bung-fun-o"),
        ("é:é", "mine"),
    ],
)
def test_name_of_the_campaign(objective, name):
    """A campaign is named as its function is, in letters that a name may have."""
    assert Draft(objective, 1, None, {}).name == name


def test_draft_without_ranges_must_be_completed():
    """If ranges are not known, each parameter has a comment, and the file is no campaign until they are written."""
    text = campaign_text(Draft("a:f", 10, None, {}, names=["lr", "decay"]))
    assert "# lr = [" in text
    assert "# decay = [" in text
    with pytest.raises(ValueError, match="a space is a table of parameters"):
        Campaign.model_validate(tomllib.loads(text))
    completed = text.replace("# lr", "lr").replace("# decay", "decay").replace("# epochs", "epochs")
    assert Campaign.model_validate(tomllib.loads(completed)).epochs == 10
