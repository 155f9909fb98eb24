"""A command as the objective: the search, the processes, and commands that fail."""

import html
import json
import re
import shutil
import sys
from pathlib import Path

import psutil
import pytest
from campaigns import write_campaign
from command_campaigns import PROGRAM, check_faulty, command, only, write_faulty
from forked import Forked, forked_command, run_command
from processes import end_of, wait_until, workers_of
from stored import counted, ended, table

from coarsefine import Campaign, CampaignError, Interrupted, NothingCompleted, Observer, retry, run
from coarsefine.search.campaign.command_line import as_line
from coarsefine.search.training.user_code.command import load_command

HALVING = {"pruner": "halving", "rungs": [1, 3]}
PARSE = r"^value (?P<value>\S+)"


def write(folder, mode="single", **changes):
    """Write a campaign with that command."""
    return write_campaign(folder, "objective", **{"objective": None, "command": command(mode), **changes})


def searched(folder, mode="single", *, observer=None, stop=lambda: False, **changes):
    """Search a campaign with that command in this process; return its status."""
    write(folder, mode, **changes)
    return run(Campaign.load(folder / "small.toml"), folder / "studies.db", observer=observer, stop=stop)


def trials(folder):
    """Return the folders that trials of the first stage have left, by their numbers."""
    return {int(path.name.rpartition("-")[2]): path for path in (folder / "trials/small").glob("coarse-*")}


@pytest.fixture(autouse=True)
def _no_orphans():
    """Check that no process of a command is left after a test."""
    yield
    words = [str(PROGRAM), "time.sleep(600)"]
    found = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    assert [line for line in found if any(word in line for word in words)] == []


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """Return the table of a function that gives the same values."""
    folder = tmp_path_factory.mktemp("expected")
    write_campaign(folder, "objective")
    run(Campaign.load(folder / "small.toml"), folder / "studies.db")
    return table(folder / "studies.db")


@pytest.fixture(scope="module")
def halved(tmp_path_factory):
    """Return the table of that function with halving."""
    folder = tmp_path_factory.mktemp("halved")
    write_campaign(folder, "objective", stage={"coarse": HALVING})
    run(Campaign.load(folder / "small.toml"), folder / "studies.db")
    return table(folder / "studies.db")


@pytest.mark.parametrize("parse", [None, PARSE], ids=["file", "output"])
def test_command_records_what_a_function_would(tmp_path, expected, parse):
    """A command whose values are those of a function gives the same trials, from its report file or its output."""
    status = searched(tmp_path, parse=parse) if parse else searched(tmp_path)
    assert status.state == "done"
    assert table(tmp_path / "studies.db") == expected


@pytest.mark.parametrize("workers", [1, 2])
def test_halving_prunes_the_same_trials(tmp_path, halved, workers):
    """For one worker and for two the same trials are pruned as of a function, and none records beyond its rung."""
    write(tmp_path, stage={"coarse": HALVING})
    answer = forked_command("run", "small.toml", "--workers", workers, cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert table(tmp_path / "studies.db") == halved


def test_halving_ends_resumable_commands_and_starts_them_again(tmp_path, halved):
    """A resumable command is ended at a rung and started again if it survives, and gives the same table."""
    searched(tmp_path, parse=PARSE, resumable=True, stage={"coarse": HALVING})
    assert table(tmp_path / "studies.db") == halved
    logs = [path.read_text() for path in (tmp_path / "logs/small/trials").glob("coarse-*")]
    assert sorted(log.count("── coarse#") for log in logs) == [1] * 4 + [2] * 2 + [3] * 2


@pytest.mark.parametrize("shell", [[], ["bash", "-c", '"$@"; exit $?', "bash"]], ids=["itself", "in a shell"])
def test_pruned_command_may_tidy_up(tmp_path, shell):
    """A pruned command receives SIGTERM and has its time to save, even as the child of a shell that ends at once."""
    halving = only(pruner="halving", rungs=[1], trials=2)
    searched(tmp_path, **halving)
    rows = table(tmp_path / "studies.db")
    (survivor,) = [point["a"] for state, point, *_ in rows.values() if state.name == "COMPLETE"]
    pruned = {number for (_, number), (state, *_) in rows.items() if state.name == "PRUNED"}
    (tmp_path / "studies.db").unlink()
    searched(tmp_path, command=[*shell, *command("saves"), repr(survivor)], **halving)
    assert table(tmp_path / "studies.db") == rows
    assert {number for number, path in trials(tmp_path).items() if (path / "saved").exists()} == pruned


MEETING = """
finish() {
    touch "$COARSEFINE_FOLDER/asked"
    while [ "$(ls trials/small/*/asked | wc -l)" -lt 2 ]; do sleep 0.02; done
    touch "$COARSEFINE_FOLDER/met"
    exit
}
trap finish TERM
echo value 0.5
sleep 600 & wait
"""


def test_suspended_commands_are_ended_together(tmp_path, monkeypatch):
    """Commands that a rung or a stop ends are all asked to end before one of them is waited for."""
    monkeypatch.setattr("coarsefine.search.training.user_code.call._STOP_SECONDS", 0.2)
    (tmp_path / "meet.sh").write_text(MEETING)
    halving = only(pruner="halving", rungs=[1], trials=6)
    with pytest.raises(Interrupted):
        searched(
            tmp_path,
            stop=lambda: any((path / "asked").exists() for path in trials(tmp_path).values()),
            command=["bash", "meet.sh"],
            parse=PARSE,
            **halving,
        )
    states = [state.name for state, *_ in table(tmp_path / "studies.db").values()]
    assert {*states} == {"PRUNED", "WAITING"}
    assert states.count("PRUNED") >= 2
    assert all((path / "met").exists() for path in trials(tmp_path).values())


def test_command_needs_no_working_directory_but_its_own(tmp_path, monkeypatch):
    """Trials of a command complete in the campaign's folder though the run's own working directory is removed."""
    (tmp_path / "here").mkdir()
    (tmp_path / "train.sh").write_text("rm -r here 2>&-\nfor epoch in $(seq $1); do echo value 0.5; done\n")
    write(tmp_path, command=["bash", "train.sh", "{epochs}"], parse=PARSE, **only(trials=3))
    monkeypatch.chdir(tmp_path / "here")
    assert run(Campaign.load(tmp_path / "small.toml"), tmp_path / "studies.db").stages[0].completed == 3


def test_command_that_ignores_a_timeout_is_killed(tmp_path):
    """A command that neither reports nor obeys SIGTERM FAILs, and is killed after its grace."""
    with pytest.raises(NothingCompleted, match="neither reported nor returned within 2 s: give it a longer"):
        searched(tmp_path, "stubborn", timeout=2.0, grace=0.1, **only(trials=1))
    assert (trials(tmp_path)[0] / "alive").exists()


def test_stopped_command_is_ended_and_its_trial_released(tmp_path, monkeypatch):
    """A command that goes on after a stop is ended, and its slot waits for the next run."""
    monkeypatch.setattr("coarsefine.search.training.user_code.call._STOP_SECONDS", 0.2)
    with pytest.raises(Interrupted, match="trial 0 did not finish it in time"):
        searched(tmp_path, "hangs", stop=lambda: any((path / "alive").exists() for path in trials(tmp_path).values()))
    assert counted(tmp_path, "SELECT count(*) FROM trials WHERE state = 'WAITING'") == 8


def test_commands_die_with_their_worker(tmp_path, expected):
    """Workers that are killed take their commands with them; the others train each trial once."""
    write(tmp_path, "slow")
    process = Forked(run_command, "run", "small.toml", "--workers", "2", cwd=tmp_path)
    wait_until(lambda: ended(tmp_path) > 1 and len(workers_of(process)) == 2)
    for worker in workers_of(process):
        worker.kill()
    code, stderr = end_of(process)
    assert code == 0, stderr
    assert table(tmp_path / "studies.db") == expected


def test_command_is_told_its_trial(tmp_path):
    """Words, variables and a file tell a command its point exactly, its seed, its folder and its devices."""
    space = {"a": [0.001, 1.0], "shape": {"choice": ["two words", "{a}"]}, "big": {"choice": [True, False]}}
    words = [*command("tells"), "{shape}", "--big={big}", "{{{point_file}", "{folder}"]
    changes = only(trials=3, space=space)
    changes["stage"]["coarse"]["gpus"] = 2
    write(tmp_path, command=words, threads=3, **changes)
    answer = forked_command("run", "small.toml", "--workers", 2, "--gpus", "4,5,6,7", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    rows = table(tmp_path / "studies.db")
    for number, folder in trials(tmp_path).items():
        told, (_, point, *_, attrs) = json.loads((folder / "told.json").read_text()), rows["small/coarse", number]
        seen = told["seen"]
        assert told["point"] == point
        assert told["folder"] == str(tmp_path)
        assert float(told["words"][1]) == float(seen["COARSEFINE_PARAM_A"]) == point["a"]
        big = str(point["big"]).lower()
        assert told["words"][2:] == [
            str(attrs["seed"]), "6", point["shape"], f"--big={big}", "{" + seen["COARSEFINE_POINT"], str(folder)
        ]  # fmt: skip
        assert seen["COARSEFINE_PARAM_SHAPE"] == point["shape"]
        assert seen["COARSEFINE_PARAM_BIG"] == big
        assert seen["COARSEFINE_SEED"] == str(attrs["seed"])
        assert seen["COARSEFINE_FOLDER"] == str(folder)
        trial = [seen[f"COARSEFINE_{name}"] for name in ("CAMPAIGN", "STAGE", "TRIAL", "ATTEMPT", "EPOCHS", "EPOCH")]
        assert trial == ["small", "coarse", str(number), "1", "6", "0"]
        assert seen["OMP_NUM_THREADS"] == "3"
        assert seen["CUDA_VISIBLE_DEVICES"] in {"4,5", "6,7"}
        assert not Path(seen["COARSEFINE_POINT"]).exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["no-such-program", "{a}"],
            "there is no program 'no-such-program' on the PATH: correct its name, install it.",
        ),
        (
            ["mine.sh"],
            "there is no program 'mine.sh' on the PATH: correct its name, install it, or write ./mine.sh for",
        ),
        (["./none.sh"], "there is no program .*/none.sh: correct its path, which starts at /"),
        (["./mine.sh"], "mine.sh is not executable: chmod .x it, or name its interpreter first."),
    ],
)
def test_missing_program_is_one_sentence(cli, tmp_path, words, message):
    """A program that is not there ends the run with exit code 2 before anything is created."""
    (tmp_path / "mine.sh").touch()
    write(tmp_path, command=words)
    code, _, error = cli("run", "small.toml", "--workers", 1)
    assert code == 2
    assert re.search(f"^command: .*{message}", error), error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "studies.db").exists()


def test_program_without_an_interpreter_fails_its_trials(tmp_path):
    """A program that the system cannot execute FAILs its trials with what the system says."""
    (tmp_path / "mine").write_text("neither a script nor a program")
    (tmp_path / "mine").chmod(0o755)
    with pytest.raises(
        NothingCompleted, match=r"code 126; it printed last: \./mine cannot be started: Exec format error"
    ):
        searched(tmp_path, command=["./mine"], **only(trials=1))


def test_changed_file_is_refused_or_accepted(tmp_path, cli):
    """A campaign whose command names a file goes on with the same file, or with a change that is accepted."""
    own = shutil.copy(PROGRAM, tmp_path)
    words = [sys.executable, "-S", "user_command.py", *command()[4:]]
    asked, observer = [], Observer()
    observer.on_recorded = lambda *_: asked.append(1)
    with pytest.raises(Interrupted):
        searched(tmp_path, command=words, observer=observer, stop=lambda: bool(asked), **only(trials=4))
    text = Path(own).read_text("utf-8")
    Path(own).write_text(f"{text}# changed\n", "utf-8")
    changed = rf"{re.escape(own)} has changed since small/coarse was started:\n(.*\n)*\+# changed\n"
    with pytest.raises(CampaignError, match=changed):
        searched(tmp_path, command=words, **only(trials=4))
    code, _, error = cli("run", "small.toml", "--workers", 1, "--accept-changes", "--quiet")
    assert (code, error) == (0, "")
    Path(own).write_text(text, "utf-8")
    code, _, error = cli("status", "small")
    assert code == 0
    assert error.startswith(f"{own} differs in 1 line from the version that gave these results: ")


LOGGING = """
for epoch in $(seq "$1"); do echo value 0.5; done
echo done >> "${4#--log=}"
"""


def interrupted(folder, script=LOGGING):
    """Start a campaign whose script reads a secret and writes a log, and stop it after a trial; return its changes."""
    (folder / "train.sh").write_text(script)
    (folder / ".env.tok").write_text("TOKEN=hunter2\n")
    words = ["bash", "train.sh", "{epochs}", "--env", ".env.tok", "--log=out.txt"]
    changes = {"command": words, "parse": PARSE, **only(trials=3)}
    with pytest.raises(Interrupted):
        searched(folder, stop=(folder / "out.txt").exists, **changes)
    return changes


def test_files_that_trials_write_are_not_compared(tmp_path):
    """A campaign goes on though its first trial has created a file that the command names."""
    assert searched(tmp_path, **interrupted(tmp_path)).state == "done"


def test_earlier_output_is_taken_for_a_source(tmp_path):
    """A file that was there before, and that trials write, is refused; the message says how to name such a file."""
    script = 'for epoch in $(seq $1); do echo value 0.5; done\ndate +%N >> "$2"\n'
    (tmp_path / "train.sh").write_text(script)
    (tmp_path / "result.json").touch()
    words, changes = ["bash", "train.sh", "{epochs}"], {"parse": PARSE, **only(trials=3)}
    written = (tmp_path / "result.json").stat
    with pytest.raises(Interrupted):
        searched(tmp_path, command=[*words, "result.json"], stop=lambda: bool(written().st_size), **changes)
    with pytest.raises(CampaignError, match=r"result\.json has changed .* begin its name .* with {folder}/, and give"):
        searched(tmp_path, command=[*words, "result.json"], **changes)
    own = [*words, "{folder}/result.json"]
    write_campaign(tmp_path, "objective", name="other", objective=None, command=own, **changes)
    assert run(Campaign.load(tmp_path / "small.toml"), tmp_path / "studies.db").state == "done"


@pytest.mark.parametrize(
    ("words", "compared"),
    [
        (["--output", "a.txt", "--log-file=b.txt", "-o", "c.txt", "d.log"], ["c.txt"]),
        (["--out", "a.txt", "--train-log", "b.txt", "--save=c.txt"], []),
        (["--layout", "a.txt", "--log-config=b.txt", "--dropout", "c.txt"], ["a.txt", "b.txt", "c.txt"]),
    ],
)
def test_files_of_options_for_outputs_are_not_compared(tmp_path, words, compared):
    """The values of options such as `--output`, and logs, are no sources; those of other options are."""
    for name in ("a.txt", "b.txt", "c.txt", "d.log"):
        (tmp_path / name).touch()
    assert [*load_command([sys.executable, *words], tmp_path).files] == compared


def test_only_the_text_of_scripts_is_kept(tmp_path, cli, monkeypatch):
    """The studies hold the text of a script, and of another file only the digest; a change is refused by its name."""
    changes = interrupted(tmp_path)
    stored = (tmp_path / "studies.db").read_bytes()
    assert (b"echo done" in stored, b"hunter2" in stored) == (True, False)
    (tmp_path / ".env.tok").write_text("TOKEN=hunter3\n")
    secret = re.escape(str(tmp_path / ".env.tok"))
    with pytest.raises(CampaignError, match=rf"^{secret} has changed since small/coarse was started\. To go on"):
        searched(tmp_path, **changes)
    (tmp_path / "train.sh").write_text(f"{LOGGING}# changed\n")
    both = rf"^{secret} and \S+/train.sh have changed since small/coarse was started:\n(.*\n)*\+# changed\n"
    with pytest.raises(CampaignError, match=both) as refused:
        searched(tmp_path, **changes)
    assert "hunter" not in str(refused.value)
    code, out, error = cli("status", "small", "--diff")
    assert (code, "+# changed" in out, "hunter" in out) == (0, True, False), error
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    code, out, error = cli("status", "small", "--diff", "--storage", tmp_path / "studies.db")
    assert (code, out) == (0, "")
    assert " ".join(error.split()) == (
        f".env.tok and train.sh are not in {tmp_path / 'elsewhere'}, so changes are not known: start this command in "
        "the folder of the campaign's file."
    )


def test_change_at_the_end_of_a_large_file_is_refused(tmp_path):
    """The digest is of a whole file, though the text of a large one is not kept."""
    changes = interrupted(tmp_path, LOGGING + "#" * 3_000_000)
    with (tmp_path / "train.sh").open("a") as script:
        script.write("#")
    with pytest.raises(CampaignError, match=r"train\.sh has changed since small/coarse was started\. To go on"):
        searched(tmp_path, **changes)


def test_campaign_goes_on_with_a_longer_timeout(tmp_path):
    """A campaign that failed by its timeout goes on with a longer one, and another grace and number of GPUs."""
    (tmp_path / "train.sh").write_text("[ -e go ] || exec sleep 600\nfor epoch in $(seq $1); do echo value 0.5; done\n")
    changes = {"command": ["bash", "train.sh", "{epochs}"], "parse": PARSE}
    with pytest.raises(NothingCompleted, match="give it a longer `timeout`"):
        searched(tmp_path, timeout=0.5, grace=0.1, **changes, **only(trials=1))
    (tmp_path / "go").touch()
    retry("small", tmp_path / "studies.db")
    assert searched(tmp_path, timeout=600.0, grace=5.0, **changes, **only(trials=1, gpus=0)).state == "done"
    with pytest.raises(CampaignError, match=r"threads was not given, now 2"):
        searched(tmp_path, threads=2, **changes, **only(trials=1))


def test_stack_and_data_do_not_fit_a_command(cli, tmp_path):
    """A command trains one trial at a time, and has its own data."""
    write(tmp_path, stage={"coarse": {"stack": 4}})
    code, _, error = cli("run", "small.toml", "--workers", 1)
    assert (code, "stack = 4, but a command trains one trial at a time: leave it out." in error) == (2, True)
    write(tmp_path)
    code, _, error = cli("run", "small.toml", "--data", tmp_path)
    assert (code, "has its own data: leave --data out." in error) == (2, True)


@pytest.mark.parametrize("workers", [1, 2])
def test_each_fault_has_its_reason(tmp_path, workers):
    """Commands of all kinds in one stage complete or FAIL with their reasons, and leave no process behind."""
    write_faulty(tmp_path)
    answer = forked_command("run", "small.toml", "--workers", workers, cwd=tmp_path)
    assert answer.returncode == 3, answer.stderr
    assert "14 of 26 trials of small/coarse failed" in answer.stderr
    assert "Traceback" not in answer.stderr
    check_faulty(table(tmp_path / "studies.db"))


def test_page_and_report_name_the_command(cli, tmp_path):
    """The report of a command's campaign says what ran, and has the campaign file that repeats it."""
    searched(tmp_path, parse=PARSE, gpus=0, **only(trials=3))
    code, _, error = cli("report", "small", "--output", "report.html")
    assert code == 0, error
    page = html.unescape((tmp_path / "report.html").read_text("utf-8"))
    line = as_line(command())
    assert f"of the command <code>{line}</code>" in page
    assert f"command = {json.dumps(command())}" in page
    code, out, _ = cli("export", "small", "--as", "params")
    assert (code, "a" in json.loads(out)) == (0, True)


def test_names_of_parameters_may_have_dots_and_hyphens(cli, tmp_path):
    """Parameters called `batch-size` and `optimizer.lr` are searched, narrowed, listed, exported and drawn."""
    (tmp_path / "train.sh").write_text('for epoch in $(seq $1); do echo "value $COARSEFINE_PARAM_BATCH_SIZE"; done\n')
    space = {"batch-size": {"integer": [1, 9]}, "optimizer.lr": [0.001, 1.0]}
    words = ["bash", "train.sh", "{epochs}", "--batch={batch-size}", "{optimizer.lr}"]
    status = searched(tmp_path, command=words, parse=PARSE, stage={"coarse": {"trials": 4, "space": space}})
    rows = table(tmp_path / "studies.db")
    assert status.state == "done"
    assert all(values == [point["batch-size"]] for _, point, values, *_ in rows.values())
    assert all(point.keys() == space.keys() for _, point, *_ in rows.values())
    head = cli("trials", "small", "--csv", "-")[1].splitlines()[0].split(",")
    assert {"params_batch-size", "params_optimizer.lr"} <= {*head}
    best = json.loads(cli("export", "small", "--as", "params")[1])
    exported = cli("export", "small", "--as", "env")[1]
    assert f"export COARSEFINE_PARAM_BATCH_SIZE={best['batch-size']}\n" in exported
    assert f"export COARSEFINE_PARAM_OPTIMIZER_LR={best['optimizer.lr']!r}\n" in exported
    code, _, error = cli("report", "small", "--output", "report.html")
    assert code == 0, error
    assert '"optimizer.lr" = [0.001, 1.0] }' in html.unescape((tmp_path / "report.html").read_text("utf-8"))


def test_winner_of_a_command_is_trained_again(cli, tmp_path):
    """The winner of a command is trained on several seeds, exported, and trained again from its export."""
    searched(tmp_path, final={"epochs": 8, "seeds": 2}, **only(trials=3))
    rows = table(tmp_path / "studies.db")
    finals = [row for (study, _), row in rows.items() if study == "small/final"]
    assert [(state.name, len(epochs)) for state, _, _, epochs, _ in finals] == [("COMPLETE", 8)] * 2
    assert cli("export", "small")[0] == 0
    code, _, error = cli("train", "exports/small.json", "--output", "again")
    assert code == 0, error
    again = [row for (study, _), row in table(tmp_path / "again/studies.db").items() if study == "small/final"]
    assert [epochs for _, _, _, epochs, _ in again] == [epochs for _, _, _, epochs, _ in finals]
