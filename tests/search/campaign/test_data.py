"""Test `[data]`: each dataset's own options, stored as they always were, and readable where it is not installed."""

import json

import pytest
from pydantic import ValidationError

from coarsefine import Campaign, CampaignError
from coarsefine.search.campaign.sections import Data

BATCHES = (
    '"train": ["data_batch_1", "data_batch_3"], "validation": "data_batch_2", "validation_images": 1000, '
    '"test": "test_batch"'
)
STORED = {
    "digits": f'{{"dataset": "digits", {BATCHES}, "held_out": 0}}',
    "paper": f'{{"dataset": "cifar10", {BATCHES}, "held_out": 0}}',
    "cifar10": f'{{"dataset": "cifar10", {BATCHES}, "held_out": 4000}}',
}
"""The JSON text that the first versions stored for each preset."""


@pytest.mark.parametrize("preset", STORED)
def test_stored_form_is_that_of_the_first_versions(preset):
    """The presets store `[data]` with the same text as before, so that their campaigns resume."""
    campaign = Campaign.load(preset)
    assert json.dumps(campaign.as_stored()["data"]) == STORED[preset]
    assert json.dumps(campaign.network.data.model_dump(mode="json")) == STORED[preset]
    assert json.dumps(json.loads(campaign.model_dump_json(by_alias=True))["data"]) == STORED[preset]


def test_stored_form_is_read_as_the_same():
    """`[data]` as stored, or as a Data that was made before, is read as the same section."""
    for data in (Data(dataset="cifar10", held_out=9), Data(dataset="digits"), Data(dataset="arrays", path="a.npz")):
        assert Data.model_validate(data.model_dump(mode="json")) == data
        assert Data.model_validate_json(data.model_dump_json()) == data
        assert Data.model_validate(data) == data


def test_own_arrays_store_their_options():
    """The options of a user's own arrays are stored with their defaults."""
    expected = {"dataset": "arrays", "path": "mydata.npz", "name": None, "scale": 255.0}
    assert Data(dataset="arrays", path="mydata.npz", scale=255).model_dump(mode="json") == expected


def file_with(tmp_path, **data):
    """Write a campaign with this [data]; return its path."""
    lines = "\n".join(f"{key} = {json.dumps(value)}" for key, value in data.items())
    stage = '[[stage]]\nname = "coarse"\ntrials = 3\neta = [0.01, 0.1]\nlambda = [1e-6, 0.1]\n'
    path = tmp_path / "mine.toml"
    path.write_text(f'name = "mine"\n[data]\n{lines}\n{stage}', "utf-8")
    return path


WRONG = {
    "unknown dataset": (
        {"dataset": "mnist"}, "data, dataset = 'mnist': there is no dataset 'mnist' (known: digits, cifar10, arrays)."
    ),
    "no dataset": ({"train": ["data_batch_1"]}, "'dataset' is missing in data: add it."),
    "number": ({"dataset": 3}, "data, dataset = 3: must be a valid string."),
    "unknown key": (
        {"dataset": "cifar10", "trian": []},
        "unknown key 'trian' in data: did you mean 'train'? If not, remove it, or correct its spelling (known: "
        "dataset, train, validation, validation_images, test, held_out).",
    ),
    "key of another dataset": (
        {"dataset": "arrays", "held_out": 3},
        "unknown key 'held_out' in data: remove it, or correct its spelling (known: dataset, path, name, scale).",
    ),
    "no such key": ({"dataset": "digits", "options": {}}, "unknown key 'options' in data"),
    "unknown batch": ({"dataset": "cifar10", "train": ["data_batch_9"]}, "data, train 1 = 'data_batch_9': must"),
    "batch twice": (
        {"dataset": "cifar10", "test": "data_batch_1"},
        "data: the batch 'data_batch_1' is chosen twice: training, validation and test may share no image.",
    ),
    "too many held out": ({"dataset": "cifar10", "held_out": 20_000}, "data: held_out = 20000: of 20,000"),
    "number of images": ({"dataset": "cifar10", "validation_images": 0}, "validation_images = 0: must be greater"),
    "half an image": ({"dataset": "cifar10", "validation_images": 1.5}, "validation_images = 1.5: must be a whole"),
    "batch of the digits": (
        {"dataset": "digits", "validation_images": 100},
        'data: validation_images needs dataset = "cifar10": the digits have a fixed split.',
    ),
    "path as a number": ({"dataset": "arrays", "path": 3}, "data, path = 3: must be a valid string."),
    "scale of zero": ({"dataset": "arrays", "scale": 0}, "data, scale = 0: must be greater than 0."),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong_section_is_refused(tmp_path, case):
    """The message names the key, its value and what is known or possible."""
    data, message = WRONG[case]
    with pytest.raises(CampaignError) as error:
        Campaign.load(file_with(tmp_path, **data))
    assert message in str(error.value)


def test_campaign_of_a_dataset_that_is_not_installed_is_read():
    """A stored campaign is read without its dataset, or with options that it no longer takes; a file is not."""
    config = Campaign.load("digits").as_stored()
    for data in (
        {"dataset": "shapes", "size": 12, "parts": ["a", "b"]},
        {"dataset": "digits", "validation_images": 100},
    ):
        stored = Campaign.from_stored({**config, "data": data})
        assert stored.as_stored()["data"] == data
        assert stored.network.data.title in {"shapes", "8×8 handwritten digits"}
        with pytest.raises(ValidationError):
            Campaign.model_validate({**config, "data": data})


def test_options_that_only_a_later_version_knows_are_ignored():
    """A stored campaign may hold options that a later version of the dataset added."""
    config = Campaign.load("digits").as_stored()
    later = {**config, "data": {**config["data"], "later": 1}}
    assert Campaign.from_stored(later).as_stored() == config


def test_name_of_own_arrays_is_their_title():
    """Pages and reports call a dataset by its title, or by the name that the campaign gives it."""
    assert Data(dataset="cifar10").title == "CIFAR-10 images"
    assert Data(dataset="arrays").title == "images from arrays"
    assert Data(dataset="arrays", name="flowers").title == "flowers"
