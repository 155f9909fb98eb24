"""Kill runs at each boundary between stages, from inside at the exact moment; then run them again."""

import itertools
import os
import signal

from chaos_runs.campaigns import Run, calm, resumed, staged, studies_of
from chaos_runs.doomed import MOMENTS
from chaos_runs.findings import Plan, Row
from chaos_runs.places import Place

_WAYS = (("chaos/mid", 2), ("chaos/fine", 1), ("chaos/fine", 3))
"""Studies about to be opened, and the number of workers: each moment meets another way in each round."""


def boundaries(plan: Plan, database: str) -> list[Row]:
    """Kill a run at each moment, and run the campaign to its end."""
    moments = list(MOMENTS) if plan.boundary_rounds else list(MOMENTS)[plan.databases.key(database) :: 2]
    tries = list(itertools.product(range(max(plan.boundary_rounds, 1)), moments))
    ways = [_WAYS[(number + moments.index(moment)) % len(_WAYS)] for number, moment in tries]
    broken = {one: _one(plan, database, *one, way) for one, way in zip(tries, ways, strict=True)}
    kept = sum(not lines for lines in broken.values())
    plan.say(f"{database}: killed at {len(tries)} boundaries")
    return [
        Row(
            "run killed at a stage boundary", database, f"{len(tries)} at {len(moments)} moments",
            f"one next stage, same points in {kept} of {len(tries)}", f"in {len(tries)} of {len(tries)}",
            [f"{moment}: {line}" for (_, moment), lines in broken.items() for line in lines],
            figures={"moments": moments, "kept": kept},
        )
    ]  # fmt: skip


def _one(plan: Plan, database: str, number: int, moment: str, way: tuple[str, int]) -> list[str]:
    study, workers = way
    text = staged(plan.seed + number)
    expected = calm(text)
    with plan.databases.new(database) as place:
        flag = place.folder / "died"
        doom = {"CHAOS_MOMENT": moment, "CHAOS_STUDY": study, "CHAOS_FLAG": str(flag)}
        run = Run(place, text, workers, "chaos_runs.doomed", env={**os.environ, **doom})
        code = run.end()
        if not flag.exists() or code != -signal.SIGKILL:
            return [f"{database}: the run was not killed there (exit code {code}): {run.stderr.strip()[-600:]}"]
        return [*_half_written(place), *resumed(place, text), *_stages(place, len(expected.trials))]


def _half_written(place: Place) -> list[str]:
    """Return the studies that lack some of their slots."""
    query = "SELECT study_name, (SELECT count(*) FROM trials t WHERE t.study_id = s.study_id) FROM studies s"
    wanted = {"chaos/coarse": 8, "chaos/mid": 6, "chaos/fine": 6}
    return [
        f"{place.database}: {name} stands with {count} slots"
        for name, count in place.rows(query)
        if count != wanted[name]
    ]


def _stages(place: Place, trials: int) -> list[str]:
    names, rows = studies_of(place), place.count("SELECT count(*) FROM trials")
    if list(names) == ["chaos/coarse", "chaos/mid", "chaos/fine"] and rows == trials:
        return []
    return [f"{place.database}: the stages are {', '.join(names)}, of {rows} trials instead of {trials}"]
