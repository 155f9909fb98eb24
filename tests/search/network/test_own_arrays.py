"""Test a user's own arrays: they are searched, exported, trained on and classified like the built-in images."""

import json
from dataclasses import replace

import numpy as np
import pytest
from campaigns import campaign_toml, write_campaign
from commands import coarsefine
from PIL import Image
from stored import table

from coarsefine import Campaign, CampaignError, DataError, Dataset, Interrupted, UsageError, read_export, run, train
from coarsefine.model import Hyperparameters, Network, Training, TrainingSettings
from coarsefine.model.image_files import read_image_files
from coarsefine.search.campaign.sections import Data
from coarsefine.search.engine.worker_process import Task
from coarsefine.search.training.images import load_images

GREY, COLOUR = (28, 28), (3, 17, 23)
IMAGES = 240
CLASSES = ("left", "middle", "right")
TINY = {"model": {"epochs": 1}, "stage": {"coarse": {"trials": 2}, "fine": None}, "final": {"epochs": 1}}


def arrays_of(shape, seed=0):
    """Return images (n, *shape), uint8, with a bright stripe that shows the class, and their labels."""
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, 120, (IMAGES, *shape), dtype=np.uint8), np.arange(IMAGES) % 3
    for image, label in zip(x, y, strict=True):
        image[..., 2 + 5 * label : 6 + 5 * label] += 100
    return x, y


def write_arrays(folder, shape, **changes):
    """Write images and labels as mydata.npz, and a campaign on them as small.toml."""
    x, y = arrays_of(shape)
    np.savez(folder / "mydata.npz", x=x, y=y, classes=np.array(CLASSES))
    return write_campaign(folder, data={"dataset": "arrays", "path": "mydata.npz"}, **changes)


@pytest.fixture(scope="module", params=[GREY, COLOUR], ids=["grey", "colour"])
def finished(request, tmp_path_factory):
    """Run a campaign on grey or on colour images, mirrored, by the command line; return its folder and the shape."""
    folder = write_arrays(tmp_path_factory.mktemp("own"), request.param, model={"mirror": True})
    answer = coarsefine("run", "small.toml", "--workers", 1, cwd=folder)
    assert answer.returncode == 0, answer.stderr
    return folder, request.param


def final_of(folder):
    """Return the folder of the final training, and its result."""
    (trained,) = folder.glob("trained/*")
    return trained, json.loads((trained / "final.json").read_text("utf-8"))


def test_own_arrays_are_searched_and_trained(finished):
    """All trials complete, and the network of the winner recognises the test images."""
    folder, _ = finished
    status = json.loads(coarsefine("status", "small", "--json", cwd=folder).stdout)
    assert [stage["completed"] for stage in status["stages"]] == [9, 6]
    assert status["final"]["test_accuracy"] > 0.8
    assert status["final"]["reproduction"]["exact"]


def test_arrays_next_to_the_campaign_file_are_found(tmp_path):
    """A relative path that is not in the working directory is looked for next to the campaign file."""
    (tmp_path / "there").mkdir()
    write_arrays(tmp_path / "there", GREY, **TINY)
    answer = coarsefine("run", "there/small.toml", "--workers", 1, "--quiet", cwd=tmp_path)
    assert (answer.returncode, answer.stderr) == (0, "")


def test_export_trains_again_with_the_same_arrays_alone(finished, tmp_path):
    """An export trains in another folder with the file by --data; other arrays are refused."""
    folder, shape = finished
    assert coarsefine("export", "small", "--output", tmp_path / "winner.json", cwd=folder).returncode == 0
    assert json.loads((tmp_path / "winner.json").read_text("utf-8"))["data"]["selection"] == {
        "dataset": "arrays", "path": "mydata.npz", "name": None, "scale": None
    }  # fmt: skip
    (tmp_path / "moved.npz").write_bytes((folder / "mydata.npz").read_bytes())
    answer = coarsefine("train", "winner.json", "--data", "moved.npz", "--json", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["test_accuracies"] == final_of(folder)[1]["test_accuracies"]
    x, y = arrays_of(shape, seed=1)
    np.savez(tmp_path / "moved.npz", x=x, y=y, classes=np.array(CLASSES))
    refused = coarsefine("train", "winner.json", "--data", "moved.npz", "--output", "other", cwd=tmp_path)
    assert (refused.returncode, "The export was made with other images" in refused.stderr) == (4, True)


def test_image_files_and_split_are_classified(finished):
    """Image files of the same pixels get the probabilities of the arrays; the split has the recorded accuracy."""
    folder, shape = finished
    trained, final = final_of(folder)
    x, _ = arrays_of(shape)
    for place in range(6):
        pixels = x[place] if shape == GREY else x[place].transpose(1, 2, 0)
        Image.fromarray(pixels).save(folder / f"{place}.png")
    answer = coarsefine("predict", trained, *(f"{place}.png" for place in range(6)), "--json", cwd=folder)
    assert answer.returncode == 0, answer.stderr
    network = Network.load(trained / "model.npz")
    expected = network.probabilities(x[:6].reshape(6, -1).astype(np.float32) / 255 - network.mean)
    found = np.array([image["probabilities"] for image in json.loads(answer.stdout)["images"]])
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert json.loads(answer.stdout)["classes"] == list(CLASSES)
    split = json.loads(coarsefine("predict", trained, "--split", "test", "--json", cwd=folder).stdout)
    assert split["accuracy"] == final["test_accuracies"][0]
    assert split["images"][0]["label"] in CLASSES


def test_image_files_of_another_kind_are_refused(finished):
    """A file of another size or with other colours is refused with what the network takes."""
    folder, shape = finished
    trained, _ = final_of(folder)
    wanted = "28 × 28, 8-bit grey" if shape == GREY else "23 × 17, 8-bit RGB"
    for name, mode, size in (
        ("other.png", "RGB" if shape == GREY else "L", shape[:-3:-1]),
        ("large.png", "L", (40, 40)),
    ):
        Image.new(mode, size).save(folder / name)
        answer = coarsefine("predict", trained, name, cwd=folder)
        assert (answer.returncode, f"the network takes {wanted}" in answer.stderr) == (4, True)


def test_card_and_report_describe_the_arrays(finished):
    """Model card and report say what was trained on, and the report how to repeat it."""
    folder, shape = finished
    card = (final_of(folder)[0] / "MODEL_CARD.md").read_text("utf-8")
    pixels, numbers = np.prod(shape), "×".join(map(str, shape))
    assert "# small: a two-layer network for images from arrays" in card
    assert f"**Network**: {pixels} pixels" in card
    assert f"The network takes images of {numbers} numbers, scaled by 1/255" in card
    assert "arrays, 168/36/36 images for training, validation, test (split off validation+test, split seed 0)" in card
    assert coarsefine("report", "small", "--output", "report.html", cwd=folder).returncode == 0
    page = (folder / "report.html").read_text("utf-8")
    assert "that classifies images from arrays. It drew" in page
    assert "coarsefine run small.toml</code>" in page or "coarsefine run small.toml\n" in page


def test_checks_take_own_arrays(finished):
    """The gradient check and the momentum study run on a file of arrays, and on a campaign's."""
    folder, _ = finished
    for arguments in (("--dataset", "arrays", "--data", "mydata.npz"), ("--campaign", "small")):
        answer = coarsefine("gradcheck", *arguments, "--json", cwd=folder)
        assert answer.returncode == 0, answer.stderr
        assert max(json.loads(answer.stdout).values()) < 1e-6
        answer = coarsefine("momentum", *arguments, "--epochs", 3, "--json", cwd=folder)
        assert answer.returncode == 0, answer.stderr
        assert json.loads(answer.stdout)["dataset"] == "arrays"


def test_workers_and_memory_give_the_same_bits(finished, tmp_path):
    """Two worker processes, and a Dataset in memory with one or two workers, record the same trials."""
    folder, shape = finished
    expected = table(folder / "studies.db")
    (tmp_path / "mydata.npz").write_bytes((folder / "mydata.npz").read_bytes())
    (tmp_path / "small.toml").write_text((folder / "small.toml").read_text("utf-8"), "utf-8")
    answer = coarsefine("run", "small.toml", "--workers", 2, cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert table(tmp_path / "studies.db") == expected
    x, y = arrays_of(shape)
    data = Dataset.from_arrays(x, y, classes=CLASSES)
    campaign = Campaign.load(folder / "small.toml").model_copy(update={"data": Data(dataset="arrays")})
    for workers in (1, 2):
        run(campaign, tmp_path / f"{workers}.db", data=data, workers=workers)
        assert table(tmp_path / f"{workers}.db") == expected


@pytest.fixture
def in_memory(tmp_path):
    """Return the small campaign on arrays without a path, and its images."""
    (tmp_path / "small.toml").write_text(campaign_toml(data={"dataset": "arrays"}), "utf-8")
    return Campaign.load(tmp_path / "small.toml"), Dataset.from_arrays(*arrays_of((6, 18)))


def test_dataset_in_memory_needs_no_cache(in_memory, tmp_path, monkeypatch):
    """If the cache folder cannot be written, worker processes get the images themselves."""
    campaign, data = in_memory
    run(campaign, tmp_path / "expected.db", data=data)
    (tmp_path / "taken").write_text("mine")
    monkeypatch.setenv("COARSEFINE_CACHE", str(tmp_path / "taken"))
    run(campaign, tmp_path / "studies.db", data=data, workers=2)
    assert table(tmp_path / "studies.db") == table(tmp_path / "expected.db")


def test_workers_read_the_file_without_a_cache(tmp_path):
    """If the cache folder cannot be written, worker processes read the file, relative to the same working directory."""
    write_arrays(tmp_path, (6, 18))
    (tmp_path / "taken").write_text("mine")
    for name, environment in (("expected.db", {}), ("studies.db", {"COARSEFINE_CACHE": str(tmp_path / "taken")})):
        answer = coarsefine("run", "small.toml", "--workers", 2, "--storage", name, cwd=tmp_path, env=environment)
        assert answer.returncode == 0, answer.stderr
    assert table(tmp_path / "studies.db") == table(tmp_path / "expected.db")


def test_workers_map_a_dataset_in_memory(in_memory, monkeypatch, tmp_path):
    """With a cache folder the images reach worker processes as a mapped file, and are not pickled for each."""
    tasks = []
    real = Task.__init__
    monkeypatch.setattr(Task, "__init__", lambda self, **fields: (tasks.append(fields), real(self, **fields))[1])
    run(in_memory[0], tmp_path / "studies.db", data=in_memory[1], workers=2)
    (task,) = tasks
    assert (task["data"], task["mapped_file"].path.exists()) == (None, True)


def test_export_trains_on_a_dataset_in_memory(in_memory, tmp_path):
    """`train` takes the Dataset as well, and refuses another."""
    campaign, data = in_memory
    status = run(campaign, tmp_path / "studies.db", data=data)
    (trained,) = (tmp_path / "trained").iterdir()
    export = read_export(trained / "export.json")
    again = train(export, storage=tmp_path / "studies.db", data=data, output=tmp_path / "again").result
    assert again.test_accuracies == status.final.test_accuracies
    other = Dataset.from_arrays(*arrays_of((6, 18), seed=1))
    with pytest.raises(DataError, match="The export was made with other images"):
        train(export, storage=tmp_path / "studies.db", data=other, output=tmp_path / "other")


def test_dataset_in_memory_needs_a_campaign_on_arrays(small, in_memory, tmp_path):
    """A Dataset for a campaign on other images, or on a function, is refused; a campaign on arrays needs one."""
    with pytest.raises(UsageError, match=r'it needs dataset = "arrays" in \[data\], not "digits"'):
        run(small, tmp_path / "studies.db", data=in_memory[1])
    with pytest.raises(DataError, match="needs its file"):
        run(in_memory[0], tmp_path / "studies.db")
    (tmp_path / "objective.toml").write_text(campaign_toml("objective"), "utf-8")
    with pytest.raises(UsageError, match="has its own data: leave the Dataset out"):
        run(Campaign.load(tmp_path / "objective.toml"), tmp_path / "studies.db", data=in_memory[1])
    assert not (tmp_path / "studies.db").exists()


def test_changed_arrays_are_refused(tmp_path, monkeypatch):
    """A campaign that was stopped resumes on the same arrays, wherever they are, and is refused on others."""
    monkeypatch.chdir(write_arrays(tmp_path, GREY))
    campaign, asked = Campaign.load("small.toml"), iter(range(3))
    with pytest.raises(Interrupted):
        run(campaign, "studies.db", stop=lambda: next(asked, None) is None)
    (tmp_path / "mydata.npz").rename(tmp_path / "same.npz")
    np.savez("mydata.npz", **dict(zip("xy", arrays_of(GREY, seed=1), strict=True)), classes=np.array(CLASSES))
    with pytest.raises(CampaignError, match=r"small/coarse was started with something else: data.digest was"):
        run(campaign, "studies.db")
    assert run(campaign, "studies.db", data=tmp_path / "same.npz").state == "done"


def test_moved_arrays_are_resumed(tmp_path, monkeypatch):
    """A campaign that was stopped resumes with another `path` to the same arrays, or the same arrays in memory."""
    monkeypatch.chdir(write_arrays(tmp_path, GREY))
    campaign = Campaign.load("small.toml")
    for storage in ("moved.db", "memory.db"):
        asked = iter(range(3))
        with pytest.raises(Interrupted):
            run(campaign, storage, stop=lambda asked=asked: next(asked, None) is None)
    np.savez_compressed("moved.npz", **np.load("mydata.npz"))
    data = Dataset.from_arrays(*arrays_of(GREY), classes=CLASSES)
    moved, memory = (campaign.model_copy(update={"data": Data(dataset="arrays", path=p)}) for p in ("moved.npz", None))
    (tmp_path / "mydata.npz").unlink()
    assert run(moved, "moved.db").state == "done"
    assert run(memory, "memory.db", data=data).state == "done"
    assert table(tmp_path / "moved.db") == table(tmp_path / "memory.db")


def test_path_belongs_to_the_working_directory(tmp_path, monkeypatch):
    """The path of [data] is relative to the working directory, as --data is, and --data has precedence."""
    monkeypatch.chdir(write_arrays(tmp_path, (4, 18)))
    wanted = Campaign.load("small.toml").network.data
    found = load_images(wanted, None, print)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    with pytest.raises(DataError, match=r"There is no file mydata.npz: name the .npz file as path"):
        load_images(wanted, None, print)
    assert load_images(wanted, tmp_path / "mydata.npz", print).mapped_file == found.mapped_file


@pytest.fixture
def features(tmp_path):
    """Write a campaign on features that are no images; return its folder."""
    rng = np.random.default_rng(0)
    y = np.arange(IMAGES) % 3
    np.savez(tmp_path / "mydata.npz", x=rng.standard_normal((IMAGES, 7)) + 2 * np.eye(3, 7)[y], y=y)
    return write_campaign(tmp_path, data={"dataset": "arrays", "path": "mydata.npz"})


def test_features_are_searched_and_classified(features):
    """Features train as images do; the network classifies their parts, and no image files."""
    answer = coarsefine("run", "small.toml", "--workers", 1, "--json", cwd=features)
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["final"]["test_accuracy"] > 0.7
    trained, final = final_of(features)
    split = coarsefine("predict", trained, "--split", "test", "--json", cwd=features)
    assert json.loads(split.stdout)["accuracy"] == final["test_accuracies"][0]
    Image.new("L", (7, 1)).save(features / "one.png")
    refused = coarsefine("predict", trained, "one.png", cwd=features)
    assert (refused.returncode, "takes 7 numbers, not images" in refused.stderr) == (4, True)


def test_features_are_not_mirrored(features):
    """`mirror` for features is refused before anything is created."""
    write_campaign(features, data={"dataset": "arrays", "path": "mydata.npz"}, model={"mirror": True})
    answer = coarsefine("run", "small.toml", cwd=features)
    assert answer.returncode == 2
    assert "[model] mirror = true needs images with rows of pixels, and arrays has 7 features" in answer.stderr
    assert not (features / "studies.db").exists()


def trained_on(x, y, path, **options):
    """Save an untrained network for images, and return it as it is read from its file."""
    data = Dataset.from_arrays(x, y, **options)
    theta = Training.start([Hyperparameters(0.1, 0, 0)], TrainingSettings(), data).theta
    Network.of(theta, data).save(path)
    return Network.load(path)


X, Y = arrays_of((6, 18))
UNLIKE_FILES = {
    "uint8 with a larger scale": (X, {"scale": 1000}, "numbers of 0 to 0.219"),
    "uint8 with a smaller scale": (X, {"scale": 100}, "numbers of 0 to 2.19"),
    "uint8 with a scale of 1": (X, {"scale": 1}, "numbers of 0 to 219"),
    "uint8 of black and white as 0 and 1": (X // 128, {}, "numbers of 0 to 0.004"),
    "floats below 0 whose mean is not": (X / 219 * 3 - 0.5, {}, r"numbers of -0\.5 to 2\.5"),
    "floats without white": (X / 438, {}, "numbers of 0 to 0.5"),
    "floats with the scale of 8 bits": (X / 219, {"scale": 255}, "numbers of 0 to 0.004"),
    "standardised": ((X - X.mean()) / X.std(), {}, "numbers of -"),
}


@pytest.mark.parametrize("case", UNLIKE_FILES)
def test_network_of_other_numbers_takes_no_files(tmp_path, case):
    """A network that was trained on another range than that of image files refuses them, with the range."""
    x, options, message = UNLIKE_FILES[case]
    Image.fromarray(X[0]).save(tmp_path / "one.png")
    with pytest.raises(DataError, match=message):
        read_image_files([tmp_path / "one.png"], trained_on(x, Y, tmp_path / "model.npz", **options))


LIKE_FILES = {
    "uint8": (X, {}),
    "floats of 0 to 255": (X.astype(float), {"scale": 255}),
    "floats of 0 to 1": (np.where(X > 218, 255, X) / 255, {}),
    "17 levels, as the digits": (np.where(X > 218, 255, X) / 255 * 16, {"scale": 16}),
    "17 levels, as uint8": (X // 13, {"scale": 16}),
}


@pytest.mark.parametrize("case", LIKE_FILES)
def test_network_of_pixels_takes_files(tmp_path, case):
    """A network that was trained on pixels, scaled to 0 for black and 1 for white, takes files of 8 bits."""
    x, options = LIKE_FILES[case]
    Image.fromarray(X[0]).save(tmp_path / "one.png")
    network = trained_on(x, Y, tmp_path / "model.npz", **options)
    found = read_image_files([tmp_path / "one.png"], network)
    np.testing.assert_allclose(found, [X[0].reshape(-1) / 255 - network.mean], atol=1e-6)


def test_network_of_an_earlier_version_takes_files(tmp_path):
    """A network whose file does not say the range of its images takes files if their mean is one of pixels."""
    Image.new("L", (18, 6)).save(tmp_path / "one.png")
    network = replace(trained_on(X, Y, tmp_path / "model.npz"), limits=None)
    network.save(tmp_path / "model.npz")
    network = Network.load(tmp_path / "model.npz")
    np.testing.assert_allclose(read_image_files([tmp_path / "one.png"], network), [-network.mean])
    with pytest.raises(DataError, match=r"numbers of 0\.5 to 2"):
        read_image_files([tmp_path / "one.png"], replace(network, mean=np.linspace(0.5, 2, 108, dtype=np.float32)))
