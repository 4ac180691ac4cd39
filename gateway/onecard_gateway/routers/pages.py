"""A page for people, of files in the folder `page`; programs are told what answers here."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from onecard_client import __version__
from onecard_gateway.errors import Refusal
from onecard_gateway.guards.access import is_known

router = APIRouter(tags=["pages"])
FOLDER = Path(__file__).parents[1] / "page"
KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
# Nothing but what the gateway itself serves; recordings are played from the browser's memory.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "media-src blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(self)",
    "cache-control": "no-cache",  # asked anew each time, and answered by 304 where it is the same
}


@dataclass(frozen=True)
class _File:
    content: bytes
    kind: str
    etag: str


def _file(path: Path) -> _File:
    content = path.read_bytes()
    return _File(content, KINDS[path.suffix], f'"{hashlib.sha256(content).hexdigest()[:32]}"')


# By their path below the folder: nothing else can be asked for.
FILES = {
    path.relative_to(FOLDER).as_posix(): _file(path)
    for path in sorted(FOLDER.rglob("*"))
    if path.suffix in KINDS
}


@router.get("/")
@router.head("/", include_in_schema=False)
async def root(request: Request) -> Response:
    """A page for a browser; else what answers here."""
    if "text/html" in request.headers.get("accept", ""):
        return _answer(request, FILES["index.html"], {"vary": "accept"})
    paths = sorted(request.app.openapi()["paths"])
    version = {"version": __version__} if is_known(request) else {}
    document = {"service": "onecard-gateway", **version, "paths": paths}
    return JSONResponse(document, headers={"vary": "accept"})


@router.get("/page/{path:path}", include_in_schema=False)
@router.head("/page/{path:path}", include_in_schema=False)
async def part(request: Request, path: str) -> Response:
    """What the page is made of."""
    if path not in FILES:
        raise Refusal(404, f"the page has no `{path[:80]}`; load the page at `/` again")
    return _answer(request, FILES[path], {})


def _answer(request: Request, file: _File, headers: dict[str, str]) -> Response:
    headers = {**_HEADERS, "etag": file.etag, **headers}
    if file.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(file.content, headers={**headers, "content-type": file.kind})
