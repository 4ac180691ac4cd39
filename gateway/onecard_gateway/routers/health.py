"""Whether the gateway and the server behind it are well, and figures of their work."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from onecard_client import Health, OnecardError, __version__
from onecard_gateway.guards.access import is_known, needs
from onecard_gateway.keys.key import ADMIN
from onecard_gateway.metrics import CONTENT_TYPE, Metrics
from onecard_gateway.servers import servers

router = APIRouter(tags=["health"])


@router.get("/health")
@router.head("/health", include_in_schema=False)
async def health(request: Request) -> Response:
    """The server's state, with the device where a result has told it; 503 while it is not ready.

    Where keys are needed, who has none reads the state alone.
    """
    found = await _asked(request)
    if isinstance(found, OnecardError):
        detail = {"detail": str(found)} if is_known(request) else {}
        return JSONResponse({"status": "unreachable", **detail}, 503)
    state = {"status": "healthy" if found.ready else "loading", "service": "onecard"}
    if not is_known(request):
        return JSONResponse(state, 200 if found.ready else 503)
    document = {
        **state,
        "version": __version__,
        "server": f"{found.server_name} {found.server_version}",
        "models": {model.name: model.ready for model in found.models},
        **_engines(servers(request).engines),
    }
    return JSONResponse(document, 200 if found.ready else 503)


def _engines(engines: Mapping[str, Any]) -> dict[str, Any]:
    """What results have told of the engines behind the server.

    All is null until one with speakers came, and the GPU is where there is none.
    """
    found = engines.get("diarize", {})
    return {
        "device": found.get("device"),
        "diarization_device": found.get("device"),
        "gpu": found.get("gpu"),
        "compute_capability": found.get("compute_capability"),
        "engines": dict(engines),
    }


@router.get("/readyz")
@router.head("/readyz", include_in_schema=False)
async def readyz(request: Request) -> Response:
    """`ready`, or 503 with the reason in a line, for those who have a key where keys are needed."""
    found = await _asked(request)
    is_ready = not isinstance(found, OnecardError) and found.ready
    if not is_ready and not is_known(request):
        return Response("not ready\n", 503, media_type="text/plain")
    if isinstance(found, OnecardError):
        return Response(f"{found}\n", 503, media_type="text/plain")
    if not found.ready:
        waiting = ", ".join(model.name for model in found.models if not model.ready)
        return Response(f"not ready: {waiting or 'the server'}\n", 503, media_type="text/plain")
    return Response("ready\n", media_type="text/plain")


@router.get("/metrics", dependencies=[needs(ADMIN)])
async def figures(request: Request) -> Response:
    """Figures of the gateway in Prometheus' format."""
    metrics: Metrics = request.app.state.metrics
    return Response(metrics.text(), headers={"content-type": CONTENT_TYPE})


async def _asked(request: Request) -> Health | OnecardError:
    try:
        with servers(request).turn() as client:
            return await client.health()
    except OnecardError as error:
        return error
