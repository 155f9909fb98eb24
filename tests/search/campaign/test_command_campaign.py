"""Campaign files with a command: what is read, and what is refused."""

import pytest
from campaigns import read_campaign, write_campaign

from coarsefine import Campaign, CampaignError

COMMAND = ["train", "--a={a}", "--shape", "{shape}", "{seed}"]


def of_command(*words, **changes):
    """Return a campaign with a command instead of an objective."""
    return read_campaign("objective", objective=None, command=list(words or COMMAND), **changes)


def test_command_takes_the_place_of_an_objective():
    """A campaign with a command is none of the network, and the command is a part of what is stored."""
    campaign = of_command(parse="acc=(?P<value>.*)", grace=2.5, threads=2, gpus=1)
    assert not campaign.of_network
    assert campaign.command == COMMAND
    assert Campaign.from_stored(campaign.as_stored()) == campaign


def test_campaigns_without_a_command_are_stored_as_before():
    """The new keys do not make a campaign differ from one that an earlier version has stored."""
    stored = read_campaign("objective").as_stored()
    assert stored.keys().isdisjoint({"command", "parse", "grace", "threads", "gpus"})


def test_stage_has_gpus_of_its_own():
    """A stage's trials use its own number of GPUs, else the campaign's; those of the finalists the last stage's."""
    campaign = of_command(gpus=1, stage={"fine": {"gpus": 2}})
    assert [campaign.gpus_of(stage) for stage in campaign.stages] == [1, 2, 2]
    assert {of_command().gpus_of(stage) for stage in of_command().stages} == {None}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objective": "user_functions:single"}, "objective and command are both given"),
        ({"command": "python train.py"}, r"a command is a list of its words, such as \[\"python\", \"train.py\""),
        ({"command": []}, "a command is a list of its words"),
        ({"command": ["train", 3]}, "its word 3 is no text: put it in quotes"),
        ({"command": [" "]}, "its first word is empty"),
        ({"command": ["train", "a\0b"]}, "has a NUL character"),
        ({"command": ["train", "{rate}"]}, r"the placeholder \{rate\}, which is unknown \(known: \{a\}, \{shape\}, "),
        ({"command": ["train", "{a"]}, r"has a single \{"),
        ({"parse": "acc=(.*)"}, "parse = 'acc=\\(.\\*\\)': it needs a group with the name value"),
        ({"parse": "acc=("}, "it is not a regular expression"),
        ({"parse": 3}, "it is a regular expression, in quotes"),
        ({"recycle": 3}, "recycle belongs to an objective: each trial of a command has a process of its own"),
        ({"grace": -1}, "grace = -1: must be greater than or equal to 0"),
        ({"threads": 0}, "threads = 0: must be greater"),
        ({"gpus": -1}, "gpus = -1: must be greater"),
        ({"data": {"dataset": "digits"}}, r"\[data\] belongs to the network"),
        ({"stage": {"coarse": {"space": {"seed": [0.1, 1.0]}}}}, "a parameter is named seed, which is also a place"),
        ({"stage": {"coarse": {"space": {"a": [0.1, 1.0], "A": [0.1, 1.0]}}}}, "COARSEFINE_PARAM_A"),
    ],
)
def test_bad_command_is_refused(tmp_path, changes, message):
    """A command that cannot be run with the points of the space is refused when the file is read."""
    given = {"objective": None, "command": COMMAND, **changes}
    with pytest.raises(CampaignError, match=message) as refused:
        Campaign.load(write_campaign(tmp_path, "objective", checked=False, **given) / "small.toml")
    assert "lambda" not in str(refused.value)


@pytest.mark.parametrize("key", ["parse", "grace"])
def test_objective_has_no_keys_of_a_command(tmp_path, key):
    """A pattern or a grace is refused without a command."""
    values = {"parse": "(?P<value>.)", "grace": 3.0}
    with pytest.raises(CampaignError, match=f"{key} belong to a command, not to an objective: remove them"):
        Campaign.load(write_campaign(tmp_path, "objective", **{key: values[key]}) / "small.toml")


@pytest.mark.parametrize("changes", [{"threads": 2}, {"gpus": 1}, {"stage": {"coarse": {"gpus": 1}}}])
def test_network_has_no_keys_of_user_code(tmp_path, changes):
    """Threads and GPUs are refused for the network, whose workers train with one thread each."""
    with pytest.raises(CampaignError, match="belong to an objective or a command: remove them"):
        Campaign.load(write_campaign(tmp_path, **changes) / "small.toml")


def test_option_of_a_stored_campaign_may_be_unknown():
    """A campaign of a later version, whose command has a placeholder that this one does not know, can be looked at."""
    stored = of_command().as_stored() | {"command": ["train", "{from_the_future}"]}
    assert Campaign.from_stored(stored).command == ["train", "{from_the_future}"]
