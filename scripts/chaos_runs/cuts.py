"""Cut connections to PostgreSQL, and restart the server, during a stage."""

import time

from chaos_runs.campaigns import Run, calm, differences, ended, plain
from chaos_runs.findings import Plan, Row

_WORKERS = 3
_SLOTS = 80
_LAST_CUT = 0.8
_CUT = (
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
    "WHERE datname = current_database() AND application_name = 'coarsefine'"
)


def cuts(plan: Plan, database: str) -> list[Row]:
    """Cut all connections of a run several times, each after a further part of its slots; restart our own server."""
    if database != "PostgreSQL":
        return []
    rows = [_row(plan, "connections cut", restarting=False)]
    if plan.databases.server is None:
        plan.say("PostgreSQL: the server of --postgres is not ours, and is not restarted.")
        return rows
    return [*rows, _row(plan, "server restarted", restarting=True)]


def _row(plan: Plan, what: str, *, restarting: bool) -> Row:
    text = plain(plan.seed, plan.cut_epochs)
    expected = calm(text)
    random = plan.random(6, int(restarting))
    moments = sorted(int(m) for m in random.integers(1, int(_SLOTS * _LAST_CUT), size=plan.cuts))
    done = cut = 0
    with plan.databases.new("PostgreSQL") as place:
        run = Run(place, text, _WORKERS)
        for moment in moments:
            while run.goes_on and ended(place) < moment:
                time.sleep(0.03)
            if not run.goes_on:
                break
            if restarting:
                _restart(plan)
            else:
                cut += place.count(_CUT)
            done += 1
        broken = run.complaints() or differences(place, expected)
    if done < plan.cuts:
        broken.append(f"PostgreSQL: the run ended after {done} of {plan.cuts}")
    plan.say(f"PostgreSQL: {what} {done} times")
    n = f"{done} times in a run" if restarting else f"{cut} in {done} cuts of a run"
    seen = "reconnected, N exact, same bits" if not broken else "not the same"
    return Row(f"{what} during a stage", "PostgreSQL", n, seen, "workers reconnect, N exact", broken)


def _restart(plan: Plan) -> None:
    server = plan.databases.server
    assert server is not None  # noqa: S101 - checked before
    server.stop()
    server.start()
