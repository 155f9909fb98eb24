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
from coarsefine.search.server.cache import Answer, Board
from coarsefine.search.server.snapshots import View

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


def make_api(board: Board) -> APIRouter:
    """Return the routes over the campaigns of a storage."""
    api = APIRouter(prefix="/api/v1", responses=REFUSALS)

    @api.get("/campaigns", response_model=schemas.Campaigns)
    async def list_campaigns(request: Request) -> Response:
        """List the campaigns of the storage, in the order they were begun."""
        views = [await board.view(name) for name in await board.names()]
        listed = {"campaigns": [responses.listed(view) for view in views], "problems": await board.problems()}
        return _answer(request, listed)

    @api.get("/campaigns/{name}", response_model=schemas.Campaign)
    async def get_campaign(request: Request, name: str) -> Response:
        """Tell how a campaign stands, as `coarsefine status --json` does."""
        return _send(request, await _campaign(board, await board.view(name)))

    @api.get("/campaigns/{name}/best", response_model=schemas.BestOfAll)
    async def get_best(request: Request, name: str) -> Response:
        """Return the best trials of each stage, and the winner, as `coarsefine best --json` does."""
        return _answer(request, responses.best(await board.view(name)))

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
        return _answer(request, responses.trials(_study(await board.view(name), stage), offset, limit, order))

    @api.get("/campaigns/{name}/stages/{stage}/trials/{number}", response_model=schemas.TrialInFull)
    async def get_trial(request: Request, name: str, stage: str, number: _Number) -> Response:
        """Return a trial with its accuracy and losses after each epoch."""
        study = _study(await board.view(name), stage)
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
        view = await board.view(name)
        axes = _axes(view, axis or [])
        if study or number:
            chosen = _chosen(view, study or [], number or [])
            return _send(request, Answer.of(await asyncio.to_thread(responses.figure, view, figure, theme, chosen)))
        key = (figure, theme, axes)
        return _send(request, await board.answer(view, key, lambda: responses.figure(view, figure, theme, axes=axes)))

    @api.get(
        "/campaigns/{name}/events",
        response_class=StreamingResponse,
        responses={200: {"content": {"text/event-stream": {}}}},
    )
    async def stream_events(name: str) -> Response:
        """Send how the campaign stands as an event `status`: at once, and when it changes, once a second at most."""
        await board.view(name)
        return StreamingResponse(_events(board, name), media_type="text/event-stream")

    return api


async def _campaign(board: Board, view: View) -> Answer:
    return await board.answer(view, "campaign", lambda: responses.to_json(responses.campaign(view)))


async def _events(board: Board, name: str) -> AsyncIterator[bytes]:
    yield b"retry: 2000\n\n"
    try:
        async for view in board.changes(name):
            if view is None:
                yield b": still here\n\n"
            else:
                yield b"id: %d\nevent: status\ndata: %s\n\n" % (view.revision, (await _campaign(board, view)).body)
    except SearchError:  # the stream ends; who asks again hears why
        return


def _study(view: View, stage: str) -> Study:
    study = view.studies.get(f"{view.status.campaign}/{stage}")
    if study is None:
        raise HTTPException(404, f"Campaign '{view.status.campaign}' has no open stage '{stage}'.")
    return study


def _axes(view: View, names: list[str]) -> tuple[str, str]:
    known = charts.axes_of(list(view.studies.values()))
    for name in names:
        if name not in known:
            raise HTTPException(404, f"The map has no axis '{name}': it has {', '.join(known)}.")
    x, y = [*names, *known[len(names) : 2]]
    return x, y


def _chosen(view: View, studies: list[str], numbers: list[int]) -> responses.Chosen:
    if len(studies) != len(numbers):
        raise HTTPException(404, f"{len(studies)} studies and {len(numbers)} numbers are given: each trial needs both.")
    pairs = list(zip(studies, numbers, strict=True))
    by_number = {
        name: {trial.number: trial for trial in view.studies[name].trials} for name in {*studies} & {*view.studies}
    }
    for name, number in pairs:
        if number not in by_number.get(name, {}):
            raise HTTPException(404, f"Campaign '{view.status.campaign}' has no trial {number} of '{name}'.")
    return [(view.studies[name], by_number[name][number]) for name, number in pairs]


def _answer(request: Request, value: Any) -> Response:
    return _send(request, Answer.of(responses.to_json(value)))


def _send(request: Request, answer: Answer) -> Response:
    """Send an answer, unless the browser tells that it has it."""
    headers = {"ETag": answer.tag, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == answer.tag:
        return Response(status_code=304, headers=headers)
    return Response(answer.body, media_type="application/json", headers=headers)
