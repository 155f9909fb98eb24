"""The routes under /api/v1."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Query, Request, Response
from fastapi.responses import StreamingResponse

from search import charts
from search.server import answers
from search.server.campaigns import Campaigns, View
from search.study import Study

_POLL_SECONDS = 1.0


def make_api(campaigns: Campaigns) -> APIRouter:
    """Return the routes over the campaigns of a storage."""
    api = APIRouter(prefix="/api/v1")

    @api.get("/campaigns")
    def list_campaigns() -> Response:
        return _json({"campaigns": [answers.listed(campaigns.view(name)) for name in campaigns.names()]})

    @api.get("/campaigns/{name}")
    def get_campaign(name: str) -> Response:
        return _raw(campaigns.view(name).answer("campaign", lambda v: answers.to_json(answers.campaign(v))))

    @api.get("/campaigns/{name}/best")
    def get_best(name: str) -> Response:
        return _json(answers.best(campaigns.view(name)))

    @api.get("/campaigns/{name}/stages/{stage}/trials")
    def list_trials(
        name: str,
        stage: str,
        offset: Annotated[int, Query(ge=0)] = 0,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> Response:
        trials = _study(campaigns.view(name), stage).trials
        page = [answers.trial(trial) for trial in trials[offset : offset + limit]]
        return _json({"total": len(trials), "offset": offset, "limit": limit, "trials": page})

    @api.get("/campaigns/{name}/stages/{stage}/trials/{number}")
    def get_trial(name: str, stage: str, number: int) -> Response:
        study = _study(campaigns.view(name), stage)
        found = [trial for trial in study.trials if trial.number == number]
        if not found:
            raise HTTPException(404, f"Stage '{stage}' has no trial {number}.")
        return _json(answers.trial_in_full(study, found[0]))

    @api.get("/campaigns/{name}/figures/{figure}")
    def get_figure(
        name: str,
        figure: Literal["map", "best-so-far", "losses"],
        theme: charts.Theme = "light",
        study: Annotated[list[str] | None, Query()] = None,
        number: Annotated[list[int] | None, Query()] = None,
    ) -> Response:
        view = campaigns.view(name)
        pairs = list(zip(study or [], number or [], strict=False)) or None
        chosen = None if pairs is None else [
            (f"{s} {n}", t) for s, n in pairs for t in view.studies[s].trials if t.number == n
        ]
        key = (figure, theme, tuple(pairs or ()))
        return _raw(view.answer(key, lambda v: answers.figure(v, figure, theme, chosen)))

    @api.get("/campaigns/{name}/events")
    async def stream_events(name: str, request: Request) -> Response:
        await asyncio.to_thread(campaigns.view, name)
        return StreamingResponse(_events(campaigns, name, request), media_type="text/event-stream")

    return api


async def _events(campaigns: Campaigns, name: str, request: Request) -> AsyncIterator[bytes]:
    seen = 0
    while not await request.is_disconnected():
        view = await asyncio.to_thread(campaigns.view, name)
        if view.revision != seen:
            seen = view.revision
            data = view.answer("campaign", lambda v: answers.to_json(answers.campaign(v)))
            yield b"id: %d\nevent: status\ndata: %s\n\n" % (seen, data)
        await asyncio.sleep(_POLL_SECONDS)


def _study(view: View, stage: str) -> Study:
    found = [study for study in view.studies.values() if study.attrs["stage"] == stage]
    if not found:
        raise HTTPException(404, f"There is no stage '{stage}' yet.")
    return found[0]


def _json(value: Any) -> Response:
    return _raw(answers.to_json(value))


def _raw(body: bytes) -> Response:
    return Response(body, media_type="application/json")
