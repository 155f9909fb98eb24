"""The JSON API: the routes under /api/v1."""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from optuna.trial import FrozenTrial

from coarsefine.search import charts
from coarsefine.search.campaign.json_form import JsonForm
from coarsefine.search.errors import SearchError, StorageError, UsageError
from coarsefine.search.results.listing import CampaignList, listing, unforeseen
from coarsefine.search.results.status import BestTrials
from coarsefine.search.results.study import Study
from coarsefine.search.server import responses, schemas
from coarsefine.search.server.snapshot_cache import SnapshotCache, TaggedBody
from coarsefine.search.server.snapshots import Snapshot

_MAX_INTEGER = 2**31 - 1
_MAX_CURVES = 100
_Offset = Annotated[int, Query(ge=0, le=_MAX_INTEGER)]
_Limit = Annotated[int, Query(ge=1, le=1000)]
_Number = Annotated[int, Path(ge=0, le=_MAX_INTEGER)]
_Studies = Annotated[
    list[str] | None, Query(description="studies of the trials whose learning curves to draw", max_length=_MAX_CURVES)
]
_Numbers = Annotated[
    list[int] | None, Query(description="numbers of these trials, one for each study", max_length=_MAX_CURVES)
]
_Axes = Annotated[
    list[str] | None,
    Query(description="two of the campaign's `axes` for the map: horizontal, then vertical", max_length=2),
]
_Metric = Annotated[str | None, Query(description="one of the campaign's `metrics`, for the learning curves")]
_ERRORS: dict[int | str, dict[str, Any]] = {
    401: {"model": schemas.Problem, "description": "The server requires its token."},
    404: {"model": schemas.Problem, "description": "There is no such campaign, stage, trial, log, axis or metric."},
    405: {"model": schemas.Problem, "description": "There is nothing to write here."},
    421: {"model": schemas.Problem, "description": "The request is for another host."},
    429: {"model": schemas.Problem, "description": "Too many wrong tokens came from this address."},
    503: {
        "model": schemas.Problem,
        "description": "The storage cannot be read just now, or there are many streams.",
    },
}


async def _cache(request: Request) -> SnapshotCache:
    cache: SnapshotCache = request.app.state.cache
    return cache


async def _requested_curves(
    study: _Studies = None, number: _Numbers = None, metric: _Metric = None
) -> tuple[list[str], list[int], str | None]:
    return study or [], number or [], metric


Cache = Annotated[SnapshotCache, Depends(_cache)]
"""Inject the snapshots of the storage's campaigns into a route."""
_Curves = Annotated[tuple[list[str], list[int], str | None], Depends(_requested_curves)]
router = APIRouter(prefix="/api/v1", responses=_ERRORS)


@router.get("/campaigns", response_model=CampaignList)
async def list_campaigns(request: Request, cache: Cache) -> Response:
    """List the campaigns of the storage, in the order in which they were started."""
    index = await cache.index()
    found, problems = [], [*index.unlisted_problems]
    for name in index.stages:
        try:
            found.append((await cache.get(name)).status)
        except UsageError as error:
            problems.append(str(error))
        except StorageError:
            raise
        except Exception as error:  # noqa: BLE001 - records of other programs may hold anything
            problems.append(unforeseen(name, error))
    return _json(request, listing(found, problems))


@router.get("/campaigns/{name}", response_model=schemas.CampaignStatus)
async def get_campaign(request: Request, cache: Cache, name: str) -> Response:
    """Return the status of a campaign, as `coarsefine status --json` does."""
    return _send(request, await _campaign(cache, await cache.get(name)))


@router.get("/campaigns/{name}/best", response_model=BestTrials)
async def get_best(request: Request, cache: Cache, name: str) -> Response:
    """Return the best trials of each stage, and the winner, as `coarsefine best --json` does."""
    return _json(request, (await cache.get(name)).status.best())


@router.get("/campaigns/{name}/stages/{stage}/trials", response_model=schemas.TrialPage)
async def list_trials(
    request: Request,
    cache: Cache,
    name: str,
    stage: str,
    offset: _Offset = 0,
    limit: _Limit = 100,
    order: responses.Order = "number",
) -> Response:
    """Return a page of a stage's trials."""
    return _json(request, responses.trials(_study(await cache.get(name), stage), offset, limit, order))


@router.get("/campaigns/{name}/stages/{stage}/trials/{number}", response_model=schemas.TrialDetail)
async def get_trial(request: Request, cache: Cache, name: str, stage: str, number: _Number) -> Response:
    """Return a trial with its value and losses after each epoch."""
    return _json(request, responses.trial_detail(*_trial(await cache.get(name), stage, number)))


@router.get("/campaigns/{name}/stages/{stage}/trials/{number}/log", response_model=schemas.TrialLog)
async def get_trial_log(request: Request, cache: Cache, name: str, stage: str, number: _Number) -> Response:
    """Return the end of what a trial printed, if its log is on the server's machine."""
    study, trial = _trial(await cache.get(name), stage, number)
    log = await asyncio.to_thread(responses.trial_log, request.app.state.storage.location, study, trial)
    if log is None:
        raise HTTPException(404, f"Trial {number} of {stage} has printed nothing, or its log is on another machine.")
    return _json(request, log)


@router.get("/campaigns/{name}/figures/{figure}", response_model=schemas.Figure)
async def get_figure(
    request: Request,
    cache: Cache,
    requested: _Curves,
    name: str,
    figure: responses.Figure,
    theme: charts.Theme = "light",
    axis: _Axes = None,
) -> Response:
    """Return a figure for Plotly. Learning curves are of the given trials, or of the three best of each stage."""
    snapshot = await cache.get(name)
    axes, chosen = _map_axes(snapshot, axis or []), _chosen_trials(snapshot, *requested[:2])
    metric = requested[2]
    if metric is not None and metric not in (known := responses.metrics_of(snapshot)):
        raise HTTPException(404, f"There is no metric '{metric}': there is {', '.join(known) or 'none'}.")
    make = partial(responses.figure, snapshot, figure, theme, axes, chosen, metric)
    if chosen:
        return _send(request, TaggedBody.of(await asyncio.to_thread(make)))
    return _send(request, await cache.body(snapshot, (figure, theme, axes, metric), make))


@router.get(
    "/campaigns/{name}/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}}},
)
async def stream_events(request: Request, cache: Cache, name: str) -> Response:
    """Send the campaign's status as an event `status`: at once and after each change, at most once a second.

    The stream ends with the session of the browser that listens.
    """
    await cache.get(name)  # raises the errors that become status codes
    state, sessions = request.scope["state"], request.app.state.policy.sessions
    if "connection" in state and cache.streams >= state["connection"].limits.streams:
        raise HTTPException(503, "Too many event streams are open.", {"Retry-After": "10"})
    is_over = partial(sessions.is_over, state["session"])
    return StreamingResponse(_events(cache, name, is_over), media_type="text/event-stream")


async def _campaign(cache: SnapshotCache, snapshot: Snapshot) -> TaggedBody:
    return await cache.body(snapshot, "campaign", lambda: responses.to_json(responses.campaign(snapshot)))


async def _events(cache: SnapshotCache, name: str, is_over: Callable[[], bool]) -> AsyncIterator[bytes]:
    cache.streams += 1
    try:
        yield b"retry: 2000\n\n"
        async for snapshot in cache.changes(name, is_over):
            if snapshot is None:
                yield b": still here\n\n"
            else:
                body = await _campaign(cache, snapshot)
                yield b"id: %d\nevent: status\ndata: %s\n\n" % (snapshot.revision, body.content)
    except SearchError:  # the stream ends; the client's next request is answered with the reason
        return
    finally:
        cache.streams -= 1


def _study(snapshot: Snapshot, stage: str) -> Study:
    study = snapshot.studies.get(f"{snapshot.status.campaign}/{stage}")
    if study is None:
        raise HTTPException(404, f"Campaign '{snapshot.status.campaign}' has no open stage '{stage}'.")
    return study


def _trial(snapshot: Snapshot, stage: str, number: int) -> tuple[Study, FrozenTrial]:
    study = _study(snapshot, stage)
    trial = next((trial for trial in study.trials if trial.number == number), None)
    if trial is None:
        raise HTTPException(404, f"Stage '{stage}' has no trial {number}.")
    return study, trial


def _map_axes(snapshot: Snapshot, names: list[str]) -> tuple[str, str]:
    """Return the map's axes: the named ones, then the first of the others."""
    known = charts.axes_of(list(snapshot.studies.values()))
    for name in names:
        if name not in known:
            raise HTTPException(404, f"The map has no axis '{name}': it has {', '.join(known)}.")
    x, y = [*names, *known[len(names) : 2]]
    return x, y


def _chosen_trials(snapshot: Snapshot, studies: list[str], numbers: list[int]) -> responses.Chosen:
    if len(studies) != len(numbers):
        raise HTTPException(404, f"{len(studies)} studies and {len(numbers)} numbers are given: each trial needs both.")
    known = {*studies} & {*snapshot.studies}
    trials = {(name, trial.number): trial for name in known for trial in snapshot.studies[name].trials}
    pairs = list(zip(studies, numbers, strict=True))
    for name, number in pairs:
        if (name, number) not in trials:
            raise HTTPException(404, f"Campaign '{snapshot.status.campaign}' has no trial {number} of '{name}'.")
    return [(snapshot.studies[name], trials[name, number]) for name, number in pairs]


def _json(request: Request, answer: JsonForm) -> Response:
    return _send(request, TaggedBody.of(responses.to_json(answer)))


def _send(request: Request, body: TaggedBody) -> Response:
    """Send a body, or 304 if the browser has it already."""
    headers = {"ETag": body.etag, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == body.etag:
        return Response(status_code=304, headers=headers)
    return Response(body.content, media_type="application/json", headers=headers)
