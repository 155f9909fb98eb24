"""`coarsefine predict`: probabilities of image files and the accuracy of a split."""

import json
import runpy
import sys

import numpy as np
import pytest
from campaigns import write_campaign
from commands import coarsefine
from PIL import Image

from coarsefine.model import Network
from coarsefine.model.datasets import load_digits
from coarsefine.model.errors import DataError
from coarsefine.model.image_files import read_image_files
from coarsefine.model.network import Parameters
from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.engine.run import run


@pytest.fixture(scope="module")
def trained_folder(tmp_path_factory):
    """Run the small campaign and write three digits as PNG files; return the folder and the training's folder."""
    folder = write_campaign(tmp_path_factory.mktemp("predicted"))
    run(Campaign.load(folder / "small.toml"), folder / "studies.db")
    (trained,) = (folder / "trained").iterdir()
    data = load_digits()
    for place in range(3):
        pixels = np.round((data.test.x[place] + data.mean) * 255).astype(np.uint8).reshape(8, 8)
        Image.fromarray(pixels).save(folder / f"{place}.png")
    return folder, trained


def test_image_files_get_probabilities(trained_folder):
    """`predict` prints each image's probabilities, and the model can be named by its folder or file."""
    folder, trained = trained_folder
    data = load_digits()
    expected = Network.load(trained / "model.npz").probabilities(data.test.x[:3])
    for model in (trained, trained / "model.npz"):
        result = coarsefine("predict", model, "0.png", "1.png", "2.png", "--json", cwd=folder)
        assert result.returncode == 0, result.stderr
        output = json.loads(result.stdout)
        found = np.array([image["probabilities"] for image in output["images"]])
        np.testing.assert_allclose(found, expected, atol=0.02)  # 8 bits cannot store a digit's 17 levels exactly
        assert [image["class"] for image in output["images"]] == [str(k) for k in expected.argmax(1)]
        assert [image["image"] for image in output["images"]] == ["0.png", "1.png", "2.png"]
    text = coarsefine("predict", trained, "0.png", cwd=folder).stdout
    assert f"{expected[0].argmax()} {100 * found[0].max():.2f} %" in text


def test_accuracy_of_a_split_is_measured(trained_folder):
    """The accuracy on the test images is the one that the final training recorded."""
    folder, trained = trained_folder
    output = json.loads(coarsefine("predict", trained, "--split", "test", "--json", cwd=folder).stdout)
    recorded = json.loads((trained / "final.json").read_text("utf-8"))
    assert output["accuracy"] == recorded["test_accuracies"][0]
    assert len(output["images"]) == 300
    measured = coarsefine("predict", trained, "--split", "validation", cwd=folder)
    assert "of 300 images are classified correctly" in measured.stdout
    assert "their accuracy is optimistic" in measured.stderr
    assert "does not test it" in coarsefine("predict", trained, "--split", "train", cwd=folder).stderr


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: Image.new("L", (9, 8)).save(path), "is 9 × 8 pixels, L: the network takes 8 × 8, 8-bit grey"),
        (lambda path: Image.new("RGB", (8, 8)).save(path), "is 8 × 8 pixels, RGB: the network takes 8 × 8, 8-bit grey"),
        (lambda path: Image.new("I;16", (8, 8)).save(path), "I;16: the network takes"),
        (lambda path: path.write_bytes(b"no image"), "is not an image that Pillow can read"),
        (lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"cut"), "is not an image that Pillow can read"),
        (lambda path: path.mkdir(), "cannot be read as an image"),
        (lambda _: None, "cannot be read as an image: No such file"),
    ],
)
def test_unsuitable_image_is_refused(trained_folder, cli, tmp_path, make, message):
    """An image of another size or mode, or an invalid file, is refused with exit code 4."""
    _, trained = trained_folder
    make(tmp_path / "odd.png")
    code, _, err = cli("predict", trained, "odd.png")
    assert code == 4
    assert "odd.png" in err
    assert message in err


def test_colour_images_are_read_channel_by_channel(tmp_path):
    """An RGB file becomes all red values row by row, then green, then blue, as in CIFAR-10."""
    shape = (3, 32, 32)
    d = int(np.prod(shape))
    theta = Parameters.draw([0], d, 4, 10, "float32")
    network = Network(theta, np.full(d, 0.5, np.float32), 255.0, shape, tuple("abcdefghij"))
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "one.png")
    found = read_image_files([tmp_path / "one.png"], network)[0]
    np.testing.assert_allclose(found, pixels.transpose(2, 0, 1).reshape(-1) / 255 - 0.5, atol=1e-6)
    Image.fromarray(pixels[..., 0]).save(tmp_path / "grey.png")
    with pytest.raises(DataError, match="8-bit RGB"):
        read_image_files([tmp_path / "grey.png"], network)


@pytest.mark.parametrize("arguments", [(), ("0.png", "--split", "test")])
def test_files_and_split_exclude_each_other(trained_folder, cli, arguments):
    """Neither files nor a split, or both, is refused with exit code 2."""
    code, _, err = cli("predict", trained_folder[1], *arguments)
    assert (code, "one of the two" in err) == (2, True)


def test_example_predicts_with_numpy_alone(trained_folder, monkeypatch):
    """The documentation's code loads the model with NumPy alone and computes the same probabilities."""
    model = trained_folder[1] / "model.npz"
    monkeypatch.setattr(sys, "argv", ["predict_numpy.py", str(model)])
    found = runpy.run_path("docs/examples/python/predict_numpy.py")
    network = Network.load(model)
    expected = network.probabilities((found["pixels"] / network.scale - network.mean).astype(np.float32))
    np.testing.assert_allclose(found["p"], expected, rtol=1e-4, atol=1e-6)
