"""Fork the benchmark's contenders from the tests' server, which has imported the packages already."""

import os
import sys

from forked import FORKING
from threadpoolctl import threadpool_limits

from benchmarks import child
from benchmarks.processes import pinned


class Contender:
    """A forked contender on a core; it has what the benchmark uses of `subprocess.Popen`."""

    def __init__(self, _arguments, core, **_pipes):
        requests, sending = FORKING.Pipe(duplex=False)
        receiving, answers = FORKING.Pipe(duplex=False)
        self._process = FORKING.Process(target=_answer, args=(core, requests, answers))
        self._process.start()
        self.stdin = os.fdopen(os.dup(sending.fileno()), "w", encoding="utf-8")
        self.stdout = os.fdopen(os.dup(receiving.fileno()), "r", encoding="utf-8")
        for end in (requests, sending, receiving, answers):
            end.close()

    def wait(self):
        """Wait for the end of the process; return its exit code."""
        self._process.join()
        return self._process.exitcode

    def communicate(self):
        """End the process by closing its stdin."""
        self.stdin.close()
        self.wait()
        self.stdout.close()


def _answer(core, requests, answers):
    os.dup2(answers.fileno(), 1)
    answers.close()
    sys.stdin = os.fdopen(requests.fileno(), "r", encoding="utf-8", closefd=False)
    with pinned(core), threadpool_limits(1):
        child.main()
