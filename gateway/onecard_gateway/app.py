"""The application: guards around routers, and the servers behind them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from onecard_client import OnecardError
from onecard_gateway import ignored
from onecard_gateway.errors import Refusal
from onecard_gateway.errors import refusal as refusal_of
from onecard_gateway.guards.access import Access
from onecard_gateway.guards.body_limit import BodyLimit
from onecard_gateway.guards.departures import Departures
from onecard_gateway.guards.hosts import HostGuard
from onecard_gateway.guards.request_log import CLIENT_LEFT, ID_HEADER, RequestLog, facts
from onecard_gateway.guards.traces import Traces
from onecard_gateway.guards.usage_file import Used
from onecard_gateway.jobs.queue import Queue
from onecard_gateway.keys.keyring import Keyring
from onecard_gateway.metrics import Metrics
from onecard_gateway.routers import (
    asr,
    card,
    health,
    jobs,
    minutes,
    ollama,
    openai_audio,
    openai_chat,
    openai_models,
    openai_responses,
    pages,
    transcripts,
)
from onecard_gateway.servers import Servers
from onecard_gateway.settings import Settings
from onecard_gateway.speech.uploads import Uploads

# Of what answers here, as callers without a key may read it; /health tells onecard's own.
API_VERSION = "1"
ROUTERS = (
    openai_audio.router,
    openai_chat.router,
    openai_responses.router,
    openai_models.router,
    asr.router,
    ollama.router,
    minutes.router,
    jobs.router,
    transcripts.router,
    card.router,
    health.router,
    pages.router,
)


def create_app(
    settings: Settings, on_stop: Callable[[Callable[[], None]], None] = lambda call: None
) -> ASGIApp:
    """The application with these settings; its servers are asked when requests come.

    Args:
        on_stop: takes what is to be called when no more requests come, before those in flight end.

    Raises:
        ValueError: an address that is none.
        KeysError: the file of keys cannot be read.
    """
    metrics = Metrics()
    keyring = Keyring(settings.keys_file)
    used = Used(settings.usage_file if settings.keys_file else None)

    def on_audio(owner: str, audio_s: float) -> None:
        metrics.audio.inc(audio_s)
        if owner:  # else nobody needs a key
            used[owner].count(audio_s)

    servers = Servers(settings)
    queue = Queue(settings, servers, on_audio)
    on_stop(queue.release)
    app = _routed(settings, metrics, servers, queue, used)
    return _guarded(app, settings, metrics, keyring, used)


def _routed(
    settings: Settings, metrics: Metrics, servers: Servers, queue: Queue, used: Used
) -> FastAPI:

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await queue.start()
        yield
        await queue.stop()
        await servers.close()
        used.close()

    app = FastAPI(
        title="onecard gateway",
        version=API_VERSION,
        description="Speech to text with words and speakers, and a language model.",
        lifespan=lifespan,
        docs_url=None,  # its page would load code from elsewhere
        redoc_url=None,
        # Its own spans and logs have paths and the words of errors, which are callers'.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.settings = settings
    app.state.servers = servers
    app.state.metrics = metrics
    app.state.jobs = queue
    app.state.uploads = Uploads(settings.uploads_at_a_time, settings.uploads_max_bytes)
    for router in ROUTERS:
        app.include_router(router)
    _add_handlers(app)
    return app


def _guarded(
    app: ASGIApp,
    settings: Settings,
    metrics: Metrics,
    keyring: Keyring,
    used: Used,
) -> ASGIApp:
    """The guards, innermost first."""
    app = Access(BodyLimit(Departures(app), settings.max_body_bytes), keyring, used)
    if settings.allowed_origins:  # around Access: browsers ask with OPTIONS first, and no key
        app = CORSMiddleware(
            app,
            allow_origins=sorted(settings.allowed_origins),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["*"],
            expose_headers=[ID_HEADER, ignored.HEADER, "retry-after", "location"],
        )
    app = HostGuard(app, settings.allowed_hosts, settings.allowed_origins)
    return RequestLog(Traces(app), metrics, settings.log_json)


def _add_handlers(app: FastAPI) -> None:
    @app.exception_handler(Refusal)
    async def refused(request: Request, refusal: Refusal) -> Response:
        return answer(request, refusal)

    @app.exception_handler(OnecardError)
    async def failed(request: Request, error: OnecardError) -> Response:
        return answer(request, refusal_of(error))

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        return answer(request, _of_http(request, error), error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return answer(request, _of_validation(error))

    @app.exception_handler(ClientDisconnect)
    async def left(request: Request, error: ClientDisconnect) -> Response:
        return Response(status_code=CLIENT_LEFT)  # nobody reads it but the log

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> Response:
        request_id = facts(request).request_id
        text = f"internal error; look for the request id `{request_id}` in the gateway's log"
        return answer(request, Refusal(500, text))


def answer(
    request: Request, refusal: Refusal, headers: Mapping[str, str] | None = None
) -> Response:
    """A refusal in the form of the API that was asked."""
    given = {**refusal.headers, **(headers or {})}
    return JSONResponse(refusal.body(request.url.path), refusal.status, given)


def _of_http(request: Request, error: HTTPException) -> Refusal:
    where = f"`{request.method} {request.url.path[:100]}`"
    if error.status_code == 404:
        return Refusal(404, f"{where} is nothing here; `/` lists what there is")
    if error.status_code == 405:
        return Refusal(405, f"{where} is asked with another method; `/openapi.json` says which")
    return Refusal(error.status_code, str(error.detail))


def _of_validation(error: RequestValidationError) -> Refusal:
    first = error.errors()[0]
    name = ".".join(str(step) for step in first["loc"][1:]) or "the body"
    return Refusal(422, f"`{name}`: {first['msg']}; correct it, or leave it out", name)
