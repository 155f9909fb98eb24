"""A program as users write them, good and bad: user_command.py MODE A SEED EPOCHS [SURVIVOR].

It reports in the file that COARSEFINE_REPORT names, or prints its values if there is none.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path


def value_after(a, seed, epoch):
    return 1 - abs(a - 0.1) - 0.3 / epoch + (seed % 97) / 1e4


def report(line):
    name = os.environ.get("COARSEFINE_REPORT")
    if name is None:
        print("value", line, flush=True)
    else:
        with Path(name).open("a") as file:
            file.write(f"{line}\n")


def note(name, text):
    """Leave a word in the trial's folder."""
    (Path(os.environ["COARSEFINE_FOLDER"]) / name).write_text(f"{text}")


def child(*, session):
    """Start a child that outlives; note it."""
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    process = subprocess.Popen([sys.executable, "-S", "-c", code], start_new_session=session)
    note(f"child-{process.pid}", process.pid)


def save(*_):
    """Take a moment to save something, then end."""
    time.sleep(0.2)
    note("saved", "yes")
    sys.exit(0)


def crash(mode):
    """End by a signal: always, or in the first attempt as if for lack of memory."""
    if mode == "crashes":
        print("about to crash", flush=True)
        os.kill(os.getpid(), signal.SIGSEGV)
    elif os.environ["COARSEFINE_ATTEMPT"] == "1":
        os.kill(os.getpid(), signal.SIGKILL)


def before(mode):
    """Do what the mode does before the first epoch."""
    match mode:
        case "floods":
            for stream in (sys.stdout, sys.stderr):
                stream.write("no report\n" * 300_000)
                stream.flush()
        case "leaves":
            child(session=False)
            child(session=True)
        case "closes":
            os.close(1)
            os.close(2)
        case "moves":
            os.chdir("/")
            os.environ.clear()
        case "crashes" | "is killed":
            crash(mode)
        case "exits":
            print("first\nwrong model: linaer", file=sys.stderr)
            sys.exit(3)
        case "says nothing":
            sys.exit(0)
        case "stubborn":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        case "saves":
            signal.signal(signal.SIGTERM, save)
        case "hangs":
            note("alive", "yes")
            time.sleep(600)
        case "tells":
            seen = {name: value for name, value in os.environ.items() if name.startswith(("COARSEFINE", "CUDA", "OMP"))}
            point = json.loads(Path(os.environ["COARSEFINE_POINT"]).read_text())
            note(
                "told.json",
                json.dumps({"seen": seen, "point": point, "words": sys.argv[1:], "folder": str(Path.cwd())}),
            )


def line_of(mode, value, epoch):
    """Return the report of an epoch."""
    match mode:
        case "reports text":
            return "no number" if "COARSEFINE_REPORT" in os.environ else "1-2"
        case "diverges" if epoch == 2:
            return "NaN"
        case "counts from zero":
            return json.dumps({"value": value, "epoch": epoch - 1})
        case "metrics":
            return json.dumps({"value": value, "epoch": epoch, "loss": 1 - value})
    return value


def main():
    mode, a, seed, epochs = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    word = os.environ.get("COARSEFINE_REPORT")
    before(mode)
    if word is not None:
        os.environ["COARSEFINE_REPORT"] = word
    for epoch in range(1, epochs + 1 + (mode == "reports too often")):
        if mode == "returns too early" and epoch == epochs:
            return
        report(line_of(mode, value_after(a, seed, epoch), epoch))
        if mode == "slow":
            time.sleep(0.05)
        if mode == "saves" and sys.argv[2] != sys.argv[5]:
            time.sleep(600)
    if mode == "stubborn":
        note("alive", "yes")
        time.sleep(600)
    if mode == "fails at its end":
        sys.exit(4)


main()
