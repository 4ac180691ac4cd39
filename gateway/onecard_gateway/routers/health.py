"""Whether the gateway and the server behind it are well, and figures of their work."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from onecard_client import Health, OnecardError, __version__
from onecard_gateway.guards.access import needs
from onecard_gateway.keys.key import ADMIN
from onecard_gateway.metrics import CONTENT_TYPE, Metrics
from onecard_gateway.servers import servers

router = APIRouter(tags=["health"])


@router.get("/health")
@router.head("/health", include_in_schema=False)
async def health(request: Request) -> Response:
    """The server's state, with the device where a result has told it; 503 while it is not ready."""
    found = await _asked(request)
    if isinstance(found, OnecardError):
        return JSONResponse({"status": "unreachable", "detail": str(found)}, 503)
    status = "healthy" if found.ready else "loading"
    document = {
        "status": status,
        "service": "onecard",
        "version": __version__,
        "server": f"{found.server_name} {found.server_version}",
        "models": {model.name: model.ready for model in found.models},
        **_engines(servers(request).engines),
    }
    return JSONResponse(document, 200 if found.ready else 503)


def _engines(engines: Mapping[str, Any]) -> dict[str, Any]:
    """What results have told of the engines behind the server; a device is null until then."""
    device = engines.get("diarize", {}).get("device")
    return {
        "device": device,
        "diarization_device": device,
        "gpu": None,  # neither is told by a server
        "compute_capability": None,
        "engines": dict(engines),
    }


@router.get("/readyz")
@router.head("/readyz", include_in_schema=False)
async def readyz(request: Request) -> Response:
    """`ready`, or 503 with the reason in a line."""
    found = await _asked(request)
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
