"""The processors of a trial: how many threads its code may use, and which GPUs it sees."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping

from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.campaign.sections import AnyStage
from coarsefine.search.campaign.words import counted
from coarsefine.search.errors import UsageError

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
"""The environment variables that limit the threads of OpenMP and of each BLAS."""
VISIBLE = "CUDA_VISIBLE_DEVICES"
"""The environment variable with the GPUs that a process sees, divided by commas."""
_QUERY = ("nvidia-smi", "--query-gpu=index,name,memory.total", "--format=csv,noheader")
_ANSWER_SECONDS = 20

_GPU = re.compile(r"[0-9]+|[A-Za-z]+-[A-Za-z0-9/-]+")
Gpus = tuple[str, ...]
"""GPUs by index or UUID, as `CUDA_VISIBLE_DEVICES` has them."""


def read_gpus(text: str) -> Gpus:
    """Read a list of GPUs, `0,1` or UUIDs; raise `UsageError` for anything else."""
    names = tuple(map(str.strip, text.split(",")))
    if not all(_GPU.fullmatch(name) for name in names):
        raise UsageError(f"--gpus {text} is no list of GPUs: give their numbers or UUIDs with commas, such as 0,1,2,3.")
    return names


def thread_limits(threads: int) -> dict[str, str]:
    """Return the environment of a process that computes with this many threads."""
    return dict.fromkeys(THREADS, str(threads))


def trial_environment(campaign: Campaign, stage: AnyStage, gpus: Gpus | None) -> dict[str, str]:
    """Return the environment variables of a stage's trials that say what they may compute with.

    `gpus` are those of the worker, of which a trial gets the first ones. Without, the worker's environment has them.
    """
    limits = thread_limits(campaign.threads or 1)
    available, each = visible_gpus(os.environ) if gpus is None else gpus, campaign.gpus_of(stage)
    if each is None and gpus is not None:
        each = 1
    if each is None or (available is None and each):
        return limits
    return limits | {VISIBLE: ",".join((available or ())[:each])}


def visible_gpus(environment: Mapping[str, str]) -> Gpus | None:
    """Return the GPUs that processes with this environment see; None if it does not limit them."""
    named = environment.get(VISIBLE)
    return None if named is None else tuple(filter(None, map(str.strip, named.split(","))))


def divide_gpus(campaign: Campaign, given: Gpus | None, workers: int) -> list[Gpus] | None:
    """Return the GPUs of each of the workers on this machine, no place of the list twice; None if none are wanted.

    `given` is the user's list. Without it, the campaign's `gpus` come from `CUDA_VISIBLE_DEVICES`, else from
    `nvidia-smi`. Raises `UsageError` if they are too few.
    """
    if given is not None and campaign.of_network:
        raise UsageError(f"The network is trained on processors: leave --gpus {','.join(given)} out.")
    each = gpus_of_worker(campaign, given)
    if each is None:
        return None
    found = available_gpus() if given is None else given
    if len(found) < each * workers:
        raise UsageError(_too_few(found, each, workers, given is not None))
    shares = [found[each * place : each * (place + 1)] for place in range(workers)]
    if same := next((share for share in shares if len({*share}) < len(share)), None):
        raise UsageError(f"--gpus {','.join(found)} gives one trial {' and '.join(same)}: name different GPUs.")
    return shares


def own_gpus(campaign: Campaign, given: Gpus | None) -> Gpus | None:
    """Return the GPUs of a worker that joins others, as `divide_gpus` does; others may use what it does not name."""
    shares = divide_gpus(campaign, given, 1)
    if shares is not None and given is None and len(found := available_gpus()) > len(shares[0]):
        raise UsageError(
            f"This machine has {counted(len(found), 'GPU')} ({', '.join(found)}), and other workers may use some: name "
            f"{len(shares[0])} for this worker with --gpus."
        )
    return shares[0] if shares else None


def gpus_of_worker(campaign: Campaign, given: Gpus | None) -> int | None:
    """Return how many GPUs each worker needs; None if neither campaign nor user speaks of GPUs."""
    wanted = [count for stage in campaign.stages if (count := campaign.gpus_of(stage)) is not None]
    return max(wanted) if wanted else None if given is None else 1


def most_workers(campaign: Campaign, given: Gpus | None, cores: int) -> int:
    """Return how many workers this machine has processors for, at least one."""
    by_threads = max(1, cores // (campaign.threads or 1))
    each = gpus_of_worker(campaign, given)
    return min(by_threads, max(1, len(available_gpus() if given is None else given) // each)) if each else by_threads


def _too_few(found: Gpus, each: int, workers: int, named: bool) -> str:
    need = f"{counted(workers, 'worker')} with {counted(each, 'GPU')} each need {workers * each}"
    if not found:
        return f"{need}, and this machine shows none (neither {VISIBLE} nor nvidia-smi): name them with --gpus."
    where = "--gpus names" if named else "there are"
    fewer = f", or use --workers {len(found) // each}" if len(found) >= each else ""
    return f"{need}, and {where} only {len(found)} ({', '.join(found)}): name more GPUs{fewer}."


def available_gpus() -> Gpus:
    """Return the GPUs that `CUDA_VISIBLE_DEVICES` names, else those that `nvidia-smi` lists."""
    visible = visible_gpus(os.environ)
    return tuple(index for index, *_ in installed_gpus()) if visible is None else visible


def installed_gpus() -> list[tuple[str, ...]]:
    """Return index, name and memory of each GPU that `nvidia-smi` lists; empty without that program."""
    if shutil.which(_QUERY[0]) is None:
        return []
    try:
        listed = subprocess.run(  # noqa: S603 - a fixed command
            _QUERY, capture_output=True, text=True, check=True, timeout=_ANSWER_SECONDS
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    rows = (tuple(map(str.strip, line.split(","))) for line in listed.splitlines())
    return [row for row in rows if len(row) == len(("index", "name", "memory"))]
