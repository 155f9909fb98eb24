"""The routes under /api/v1."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Query, Request, Response
from fastapi.responses import StreamingResponse

from coarsefine.search import charts
from coarsefine.search.errors import SearchError
from coarsefine.search.results.study import Study
from coarsefine.search.server import responses, schemas
from coarsefine.search.server.snapshot_cache import Answer, SnapshotCache
from coarsefine.search.server.snapshots import Snapshot

_MOST = 2**31 - 1
_MOST_CURVES = 100
_Offset = Annotated[int, Query(ge=0, le=_MOST)]
_Limit = Annotated[int, Query(ge=1, le=1000)]
_Number = Annotated[int, Path(ge=0, le=_MOST)]
_Studies = Annotated[
    list[str] | None, Query(description="learning curves of these studies' trials", max_length=_MOST_CURVES)
]
_Axes = Annotated[
    list[str] | None, Query(description="two of the campaign's `axes`: the map's across, then up", max_length=2)
]
_Numbers = Annotated[list[int] | None, Query(description="and their numbers, as many", max_length=_MOST_CURVES)]
REFUSALS: dict[int | str, dict[str, Any]] = {
    401: {"model": schemas.Problem, "description": "The server wants its token."},
    404: {"model": schemas.Problem, "description": "There is no such campaign, stage, trial or axis."},
    421: {"model": schemas.Problem, "description": "The request is for another host."},
    503: {"model": schemas.Problem, "description": "The storage cannot be read just now."},
}


def make_api(cache: SnapshotCache) -> APIRouter:
    """Return the routes over the campaigns of a storage."""
    api = APIRouter(prefix="/api/v1", responses=REFUSALS)

    @api.get("/campaigns", response_model=schemas.Campaigns)
    async def list_campaigns(request: Request) -> Response:
        """List the campaigns of the storage, in the order they were begun."""
        snapshots = [await cache.get(name) for name in await cache.names()]
        listed = {
            "campaigns": [responses.listed(snapshot) for snapshot in snapshots],
            "problems": await cache.problems(),
        }
        return _answer(request, listed)

    @api.get("/campaigns/{name}", response_model=schemas.Campaign)
    async def get_campaign(request: Request, name: str) -> Response:
        """Tell how a campaign stands, as `coarsefine status --json` does."""
        return _send(request, await _campaign(cache, await cache.get(name)))

    @api.get("/campaigns/{name}/best", response_model=schemas.BestOfAll)
    async def get_best(request: Request, name: str) -> Response:
        """Return the best trials of each stage, and the winner, as `coarsefine best --json` does."""
        return _answer(request, responses.best(await cache.get(name)))

    @api.get("/campaigns/{name}/stages/{stage}/trials", response_model=schemas.Trials)
    async def list_trials(
        request: Request,
        name: str,
        stage: str,
        offset: _Offset = 0,
        limit: _Limit = 100,
        order: responses.Order = "number",
    ) -> Response:
        """Return a page of a stage's trials."""
        return _answer(request, responses.trials(_study(await cache.get(name), stage), offset, limit, order))

    @api.get("/campaigns/{name}/stages/{stage}/trials/{number}", response_model=schemas.TrialInFull)
    async def get_trial(request: Request, name: str, stage: str, number: _Number) -> Response:
        """Return a trial with its accuracy and losses after each epoch."""
        study = _study(await cache.get(name), stage)
        found = [trial for trial in study.trials if trial.number == number]
        if not found:
            raise HTTPException(404, f"Stage '{stage}' has no trial {number}.")
        return _answer(request, responses.trial_in_full(study, found[0]))

    @api.get("/campaigns/{name}/figures/{figure}", response_model=schemas.Figure)
    async def get_figure(
        request: Request, name: str, figure: responses.Figure, theme: charts.Theme = "light",
        axis: _Axes = None, study: _Studies = None, number: _Numbers = None,
    ) -> Response:  # fmt: skip
        """Return a figure for Plotly; of learning curves those chosen, or those of the three best of each stage."""
        snapshot = await cache.get(name)
        axes = _axes(snapshot, axis or [])
        if study or number:
            chosen = _chosen(snapshot, study or [], number or [])
            return _send(request, Answer.of(await asyncio.to_thread(responses.figure, snapshot, figure, theme, chosen)))
        key = (figure, theme, axes)
        return _send(
            request, await cache.answer(snapshot, key, lambda: responses.figure(snapshot, figure, theme, axes=axes))
        )

    @api.get(
        "/campaigns/{name}/events",
        response_class=StreamingResponse,
        responses={200: {"content": {"text/event-stream": {}}}},
    )
    async def stream_events(name: str) -> Response:
        """Send how the campaign stands as an event `status`: at once, and when it changes, once a second at most."""
        await cache.get(name)
        return StreamingResponse(_events(cache, name), media_type="text/event-stream")

    return api


async def _campaign(cache: SnapshotCache, snapshot: Snapshot) -> Answer:
    return await cache.answer(snapshot, "campaign", lambda: responses.to_json(responses.campaign(snapshot)))


async def _events(cache: SnapshotCache, name: str) -> AsyncIterator[bytes]:
    yield b"retry: 2000\n\n"
    try:
        async for snapshot in cache.changes(name):
            if snapshot is None:
                yield b": still here\n\n"
            else:
                yield b"id: %d\nevent: status\ndata: %s\n\n" % (
                    snapshot.revision,
                    (await _campaign(cache, snapshot)).body,
                )
    except SearchError:  # the stream ends; who asks again hears why
        return


def _study(snapshot: Snapshot, stage: str) -> Study:
    study = snapshot.studies.get(f"{snapshot.status.campaign}/{stage}")
    if study is None:
        raise HTTPException(404, f"Campaign '{snapshot.status.campaign}' has no open stage '{stage}'.")
    return study


def _axes(snapshot: Snapshot, names: list[str]) -> tuple[str, str]:
    known = charts.axes_of(list(snapshot.studies.values()))
    for name in names:
        if name not in known:
            raise HTTPException(404, f"The map has no axis '{name}': it has {', '.join(known)}.")
    x, y = [*names, *known[len(names) : 2]]
    return x, y


def _chosen(snapshot: Snapshot, studies: list[str], numbers: list[int]) -> responses.Chosen:
    if len(studies) != len(numbers):
        raise HTTPException(404, f"{len(studies)} studies and {len(numbers)} numbers are given: each trial needs both.")
    pairs = list(zip(studies, numbers, strict=True))
    by_number = {
        name: {trial.number: trial for trial in snapshot.studies[name].trials}
        for name in {*studies} & {*snapshot.studies}
    }
    for name, number in pairs:
        if number not in by_number.get(name, {}):
            raise HTTPException(404, f"Campaign '{snapshot.status.campaign}' has no trial {number} of '{name}'.")
    return [(snapshot.studies[name], by_number[name][number]) for name, number in pairs]


def _answer(request: Request, value: Any) -> Response:
    return _send(request, Answer.of(responses.to_json(value)))


def _send(request: Request, answer: Answer) -> Response:
    """Send an answer, unless the browser tells that it has it."""
    headers = {"ETag": answer.tag, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == answer.tag:
        return Response(status_code=304, headers=headers)
    return Response(answer.body, media_type="application/json", headers=headers)
