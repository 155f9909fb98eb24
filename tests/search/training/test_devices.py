"""The processors of trials: threads, and the GPUs that workers share."""

import pytest
from campaigns import read_campaign, write_campaign

from coarsefine import UsageError
from coarsefine.search.cli.doctor import examine
from coarsefine.search.storage.location import at_file
from coarsefine.search.training.user_code import devices
from coarsefine.search.training.user_code.devices import (
    divide_gpus,
    installed_gpus,
    most_workers,
    own_gpus,
    read_gpus,
    trial_environment,
)

VISIBLE = "CUDA_VISIBLE_DEVICES"
LISTED = """#!/bin/sh
echo "0, NVIDIA A100-SXM4-40GB, 40960 MiB"
echo "1, NVIDIA A100-SXM4-40GB, 40960 MiB"
"""


def campaign(**changes):
    """Return a campaign of a function with three stages."""
    return read_campaign("objective", **changes)


@pytest.fixture(autouse=True)
def bare(tmp_path, monkeypatch):
    """Hide the GPUs of this machine; return the folder of the PATH."""
    monkeypatch.delenv(VISIBLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


@pytest.fixture
def with_gpus(bare):
    """Make `nvidia-smi` list two GPUs."""
    program = bare / "nvidia-smi"
    program.write_text(LISTED, "utf-8")
    program.chmod(0o755)


def test_workers_share_the_list_disjointly():
    """Each worker has as many GPUs as a trial of the most demanding stage, and no place of the list belongs to two."""
    wanted = campaign(gpus=1, stage={"fine": {"gpus": 2}})
    assert divide_gpus(wanted, ("0", "1", "2", "3"), 2) == [("0", "1"), ("2", "3")]
    assert divide_gpus(campaign(), ("0", "1"), 2) == [("0",), ("1",)]
    assert divide_gpus(campaign(), ("0", "0"), 2) == [("0",), ("0",)]
    assert divide_gpus(campaign(), None, 2) is None


@pytest.mark.parametrize(
    ("changes", "given", "workers", "message"),
    [
        ({"gpus": 2}, ("0", "1", "2"), 2, r"2 workers with 2 GPUs each need 4, and --gpus names only 3 \(0, 1, 2\)"),
        ({"gpus": 2}, ("0", "1", "2"), 2, "name more GPUs, or use --workers 1"),
        ({"gpus": 4}, ("0",), 1, r"1 worker with 4 GPUs each need 4, and --gpus names only 1 \(0\): name more GPUs\."),
        ({"gpus": 1}, None, 1, "this machine shows none .* name them with --gpus"),
        ({"gpus": 2}, ("0", "0"), 1, "--gpus 0,0 gives one trial 0 and 0: name different GPUs"),
    ],
)
def test_too_few_gpus_are_refused(changes, given, workers, message):
    """If the GPUs are too few for the workers, the error has both numbers and a remedy."""
    with pytest.raises(UsageError, match=message):
        divide_gpus(campaign(**changes), given, workers)


def test_network_refuses_gpus():
    """The network is trained on processors: a list of GPUs is refused."""
    with pytest.raises(UsageError, match="leave --gpus 0 out"):
        divide_gpus(read_campaign("small"), ("0",), 1)


@pytest.mark.usefixtures("with_gpus")
def test_gpus_are_those_of_the_environment_or_of_the_machine(monkeypatch):
    """Without a list, the GPUs are those that `nvidia-smi` lists, or those that the environment allows."""
    assert [index for index, *_ in installed_gpus()] == ["0", "1"]
    assert divide_gpus(campaign(gpus=1), None, 2) == [("0",), ("1",)]
    monkeypatch.setenv(VISIBLE, "1")
    assert divide_gpus(campaign(gpus=1), None, 1) == [("1",)]
    with pytest.raises(UsageError, match=r"there are only 1 \(1\)"):
        divide_gpus(campaign(gpus=1), None, 2)


@pytest.mark.usefixtures("with_gpus")
def test_worker_that_joins_names_its_gpus(monkeypatch):
    """A worker that joins others uses all GPUs that it sees, or has to name its own."""
    with pytest.raises(UsageError, match=r"2 GPUs \(0, 1\), .* name 1 for this worker with --gpus"):
        own_gpus(campaign(gpus=1), None)
    assert own_gpus(campaign(gpus=1), ("1",)) == ("1",)
    monkeypatch.setenv(VISIBLE, "1")
    assert own_gpus(campaign(gpus=1), None) == ("1",)
    assert own_gpus(campaign(), None) is None


def test_broken_nvidia_smi_lists_nothing(bare):
    """A program that fails or prints something else is as good as none."""
    program = bare / "nvidia-smi"
    for script in ("#!/bin/sh\nexit 9\n", "#!/bin/sh\necho No devices were found\n"):
        program.write_text(script, "utf-8")
        program.chmod(0o755)
        assert installed_gpus() == []


def test_number_of_workers_follows_from_cores_threads_and_gpus():
    """There is a worker for each `threads` cores, but not more than there are GPUs for, and at least one."""
    assert most_workers(campaign(), None, 8) == 8
    assert most_workers(campaign(threads=4), None, 8) == 2
    assert most_workers(campaign(threads=16), None, 8) == 1
    assert most_workers(campaign(gpus=2), ("0", "1", "2", "3"), 8) == 2
    assert most_workers(campaign(), ("0", "1", "2"), 8) == 3
    assert most_workers(campaign(gpus=0), None, 8) == 8
    assert most_workers(campaign(gpus=1), None, 8) == 1  # which then says that there is none


def test_trial_sees_its_gpus_and_threads(monkeypatch):
    """A trial's environment has the threads of the campaign, and the first GPUs of its worker."""
    wanted = campaign(threads=3, gpus=1, stage={"fine": {"gpus": 2}})
    coarse, fine, confirm = wanted.stages
    assert {trial_environment(wanted, coarse, ("4", "5"))[name] for name in devices.THREADS} == {"3"}
    seen = [trial_environment(wanted, stage, ("4", "5"))[VISIBLE] for stage in (coarse, fine, confirm)]
    assert seen == ["4", "4,5", "4,5"]
    assert trial_environment(campaign(), coarse, None) == dict.fromkeys(devices.THREADS, "1")
    assert trial_environment(campaign(), coarse, ("4",))[VISIBLE] == "4"
    assert trial_environment(campaign(gpus=0), coarse, None)[VISIBLE] == ""
    monkeypatch.setenv(VISIBLE, "6,7")
    assert trial_environment(wanted, coarse, None)[VISIBLE] == "6"


@pytest.mark.parametrize(
    ("text", "gpus"),
    [("0", ("0",)), ("0, 1,3", ("0", "1", "3")), ("GPU-8f6a-11,MIG-1/2", ("GPU-8f6a-11", "MIG-1/2"))],
)
def test_list_of_gpus_is_read(text, gpus):
    """A list has numbers or UUIDs, with commas."""
    assert read_gpus(text) == gpus


@pytest.mark.parametrize("text", ["", "0,", "0;1", "all", "0 1", "-1", "../0"])
def test_other_lists_are_refused(text):
    """Anything else is refused with an example."""
    with pytest.raises(UsageError, match="such as 0,1,2,3"):
        read_gpus(text)


@pytest.mark.usefixtures("with_gpus")
@pytest.mark.parametrize(
    ("visible", "found"), [(None, ""), ("1", f"; {VISIBLE} names 1"), ("", f"; {VISIBLE} names none")]
)
def test_doctor_lists_gpus(tmp_path, monkeypatch, visible, found):
    """The doctor lists the GPUs of the machine, and those that the environment allows if it limits them."""
    if visible is not None:
        monkeypatch.setenv(VISIBLE, visible)
    (finding,) = [each for each in examine(at_file(tmp_path / "studies.db"), None) if each.check == "gpus"]
    listed = "0: NVIDIA A100-SXM4-40GB, 40960 MiB, 1: NVIDIA A100-SXM4-40GB, 40960 MiB"
    assert (finding.verdict, finding.found) == ("ok", f"{listed}{found}")


def test_doctor_finds_no_gpus(tmp_path):
    """Without `nvidia-smi` the doctor finds no GPUs, which is fine."""
    (finding,) = [each for each in examine(at_file(tmp_path / "studies.db"), None) if each.check == "gpus"]
    assert (finding.verdict, finding.found) == ("ok", "none that nvidia-smi lists")


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({"gpus": 1}, ("--workers", 2), "2 workers with 1 GPU each need 2, and this machine shows none"),
        ({"gpus": 1}, ("--gpus", "a b"), "--gpus a b is no list of GPUs"),
        (
            {"gpus": 2},
            ("--gpus", "0,1", "--workers", 2),
            "need 4, and --gpus names only 2 (0, 1): name more GPUs, or use",
        ),
        (
            {},
            ("--gpus", "0", "--engine", "dask://127.0.0.1:9", "--workers", 1),
            "start each worker of the cluster with",
        ),
    ],
)
def test_gpus_that_do_not_fit_are_one_sentence(cli, tmp_path, changes, options, message):
    """A list of GPUs that does not fit ends the run with exit code 2 before anything is created."""
    write_campaign(tmp_path, "objective", **changes)
    code, _, error = cli("run", "small.toml", *options)
    assert (code, len(error.splitlines())) == (2, 1)
    assert message in error
    assert not (tmp_path / "studies.db").exists()
