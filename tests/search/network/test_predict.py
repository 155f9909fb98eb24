import json
import re
from pathlib import Path

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
def done(tmp_path_factory):
    """A folder with the small campaign, done, its model, and three digits as PNG."""
    folder = write_campaign(tmp_path_factory.mktemp("predicted"))
    run(Campaign.load(folder / "small.toml"), folder / "studies.db")
    (trained,) = (folder / "trained").iterdir()
    data = load_digits()
    for place in range(3):
        pixels = np.round((data.test.x[place] + data.mean) * 255).astype(np.uint8).reshape(8, 8)
        Image.fromarray(pixels).save(folder / f"{place}.png")
    return folder, trained


def test_image_files_get_probabilities(done):
    """Each file's probabilities are those of its pixels, whichever way the model is named; people see the likeliest."""
    folder, trained = done
    data = load_digits()
    expected = Network.load(trained / "model.npz").probabilities(data.test.x[:3])
    for model in (trained, trained / "model.npz"):
        answer = coarsefine("predict", model, "0.png", "1.png", "2.png", "--json", cwd=folder)
        assert answer.returncode == 0, answer.stderr
        told = json.loads(answer.stdout)
        found = np.array([image["probabilities"] for image in told["images"]])
        np.testing.assert_allclose(found, expected, atol=0.02)  # 8 bits hold a digit's 17 levels not quite
        assert [image["class"] for image in told["images"]] == [str(k) for k in expected.argmax(1)]
        assert [image["image"] for image in told["images"]] == ["0.png", "1.png", "2.png"]
    seen = coarsefine("predict", trained, "0.png", cwd=folder).stdout
    assert f"{expected[0].argmax()} {100 * found[0].max():.2f} %" in seen


def test_split_is_measured(done):
    """On its campaign's test images the model has the accuracy that its final training recorded."""
    folder, trained = done
    told = json.loads(coarsefine("predict", trained, "--split", "test", "--json", cwd=folder).stdout)
    recorded = json.loads((trained / "final.json").read_text("utf-8"))
    assert told["accuracy"] == recorded["test_accuracies"][0]
    assert len(told["images"]) == 300
    seen = coarsefine("predict", trained, "--split", "validation", cwd=folder)
    assert "of 300 images are right" in seen.stdout
    assert "their accuracy is optimistic" in seen.stderr
    assert "does not test it" in coarsefine("predict", trained, "--split", "train", cwd=folder).stderr


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda path: Image.new("L", (9, 8)).save(path), "is 9 × 8 pixels, L: the network takes 8 × 8, 8-bit grey"),
        (lambda path: Image.new("RGB", (8, 8)).save(path), "is 8 × 8 pixels, RGB: the network takes 8 × 8, 8-bit grey"),
        (lambda path: Image.new("I;16", (8, 8)).save(path), "I;16: the network takes"),
        (lambda path: path.write_bytes(b"no image"), "is no image that Pillow can read"),
        (lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"cut"), "is no image that Pillow can read"),
        (lambda path: path.mkdir(), "cannot be read as an image"),
        (lambda _: None, "cannot be read as an image: No such file"),
    ],
)
def test_image_that_does_not_fit_is_refused(done, cli, tmp_path, make, told):
    """The wrong size, colours, or no image at all: exit code 4, the file, what it is, what is wanted."""
    _, trained = done
    make(tmp_path / "odd.png")
    code, _, err = cli("predict", trained, "odd.png")
    assert code == 4
    assert "odd.png" in err
    assert told in err


def test_colour_images_are_taken_channel_by_channel(tmp_path):
    """An RGB file becomes all red pixels, row by row, then green, then blue: as CIFAR-10 has them."""
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
def test_either_files_or_a_split(done, cli, arguments):
    """Neither, or both, is refused with exit code 2."""
    code, _, err = cli("predict", done[1], *arguments)
    assert (code, "one of the two" in err) == (2, True)


def test_readme_loads_the_model_with_numpy_alone(done):
    """The README's few lines, pasted, give the probabilities of the model, and need NumPy alone."""
    _, trained = done
    blocks = re.findall(r"```python\n(.*?)```", Path("README.md").read_text("utf-8"), re.DOTALL)
    text = next(block for block in blocks if 'np.load("model.npz")' in block)
    assert len(text.strip().splitlines()) <= 6
    data, found = load_digits(), {}
    lines = text.replace('"model.npz"', json.dumps(str(trained / "model.npz")))
    exec(compile(lines, "README", "exec"), {"pixels": np.round((data.test.x + data.mean) * 16)}, found)  # noqa: S102
    expected = Network.load(trained / "model.npz").probabilities(data.test.x)
    np.testing.assert_allclose(found["p"], expected, rtol=1e-4, atol=1e-6)
    assert re.findall(r"import .*", text) == ["import numpy as np"]
