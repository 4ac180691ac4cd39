"""HTTP in front of Triton's HTTP: what is let through reaches it whole, measured and named anew.

Triton 2.51 keeps 16 bytes of stack and an allocation for every piece that a body arrives in
(CVE-2025-23310, -23311), takes forms apart on the stack, unpacks compressed bodies without a limit,
and looks at neither `Host` nor `Origin`. So a body's length is stated and within a limit before it
is read, it goes on in large pieces, and its type is never a form's.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import aiohttp
from aiohttp import web
from yarl import URL

from build_scripts.server.door import rules
from build_scripts.server.door.depth import MAX_DEPTH, Depth
from build_scripts.server.door.rules import Refused, Rules
from onecard.contract import pipeline

PIECE_BYTES = 256 * 2**10
PIECE_S = 60.0  # that one may take to arrive
MIN_BYTES_PER_S = 2**15  # of a whole body, beyond the first minute
MAX_OPEN_BYTES = 4 * 2**30  # that came of all bodies whose requests are not answered yet
CONNECT_S = 5.0
MAX_ERROR_BYTES = 2**20
FIRST_REQUEST_S = 30.0  # that a connection may stay without one
_JSON = "application/json"
_HEADER_LENGTH = "Inference-Header-Content-Length"


class Denied(Exception):
    """The answer to a request that does not reach Triton."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class HttpDoor:
    """Handles the requests of one port.

    Args:
        target: Triton's own, `http://127.0.0.1:port`.
        method_of: the method that a path is asked with; raises Refused.
        is_ready: whether everything else of the server can be reached.
        more: what is appended to every answer that is no error.
    """

    def __init__(
        self,
        target: str,
        guard: Rules,
        method_of: Callable[[str], str],
        is_ready: Callable[[], Awaitable[bool]],
        more: Callable[[], bytes] = bytes,
    ) -> None:
        self._target = target
        self._more = more
        self._guard = guard
        self._method_of = method_of
        self._is_ready = is_ready
        self.open_bytes = 0
        # A connection each: one that was kept is dead after Triton was started again.
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S),
        )

    async def close(self) -> None:
        await self._session.close()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answers one request; never raises but for a caller who is gone."""
        try:
            self._verify(request)
            length = _length(request)
            if request.path.endswith("/health/ready") and not await self._is_ready():
                raise Denied(503, "the server is not ready; try again later")
            passing = asyncio.ensure_future(self._forward(request, length))
            if rules.is_for_ensemble(request.rel_url.raw_path):
                return await asyncio.shield(_kept(passing))  # see `door_grpc`
            return await passing
        except Refused as refusal:
            answer = _error(403, str(refusal))
        except Denied as denial:
            answer = _error(denial.status, str(denial))
        except (aiohttp.ClientError, TimeoutError, asyncio.TimeoutError):
            answer = _error(503, "the server does not answer; try again later")
        except Exception as error:  # the boundary: a fault here is nobody's to read but the log's
            print(f"the door failed: {error!r}", file=sys.stderr, flush=True)
            answer = _error(500, "internal error; the server log has the reason")
        if request.can_read_body:  # what was not read is not the next request
            answer.force_close()
        return answer

    def _verify(self, request: web.BaseRequest) -> None:
        headers = request.headers
        hosts, origin = headers.getall("Host", []), headers.get("Origin")
        self._guard.verify_browser(hosts, origin, headers.get("Sec-Fetch-Site"))
        if self._guard.is_owner(headers.get(pipeline.OWNER_HEADER)):
            return
        method = self._method_of(request.rel_url.raw_path)
        if request.method != method:
            raise Denied(405, f"the method is `{request.method}`, must be `{method}`; send that")

    async def _forward(self, request: web.BaseRequest, length: int) -> web.StreamResponse:
        body = _Body(self, request, length)
        try:
            asked = self._session.request(
                request.method,
                self._url(request),
                data=body.pieces() if length else None,
                headers=self._headers(request, length),
                allow_redirects=False,
            )
            async with asked as reply:
                return await _answer(request, reply, self._more())
        except aiohttp.ClientError:
            if body.denial is not None:
                raise body.denial from None
            raise
        finally:
            self.open_bytes -= body.num_bytes

    def _url(self, request: web.BaseRequest) -> URL:
        return URL(self._target + request.rel_url.raw_path, encoded=True)

    def _headers(self, request: web.BaseRequest, length: int) -> dict[str, str]:
        headers = {
            pipeline.OWNER_HEADER: self._guard.secret,
            "Accept-Encoding": "identity",
            "Content-Length": str(length),
            "Content-Type": _JSON,
            **rules.trace_of(request.headers),
        }
        if _is_binary(request):
            headers["Content-Type"] = "application/octet-stream"
            headers[_HEADER_LENGTH] = request.headers[_HEADER_LENGTH]
        return headers


_abandoned: set[asyncio.Future[web.StreamResponse]] = set()


def _kept(passing: asyncio.Future[web.StreamResponse]) -> asyncio.Future[web.StreamResponse]:
    """`passing`, which goes on to its end though nobody may wait for it."""
    _abandoned.add(passing)
    passing.add_done_callback(_forget)
    return passing


def _forget(passing: asyncio.Future[web.StreamResponse]) -> None:
    _abandoned.discard(passing)
    if not passing.cancelled():
        passing.exception()  # nobody's concern any more, or the handler's


def _is_binary(request: web.BaseRequest) -> bool:
    return _HEADER_LENGTH in request.headers


def _length(request: web.BaseRequest) -> int:
    """The body's length. Raises Denied for one that is not stated, too long, or packed."""
    headers = request.headers
    if headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Denied(415, "the body is compressed, must be sent as it is; leave that out")
    if "Transfer-Encoding" in headers:
        raise Denied(411, "the body comes in chunks, must have a Content-Length; send it whole")
    length = int(headers.get("Content-Length", "0"))  # aiohttp has seen to it that it is a number
    limit = rules.MAX_BODY_BYTES if _is_binary(request) else rules.MAX_JSON_BYTES
    if length > limit:
        raise Denied(413, f"the body has {length} bytes, must have at most {limit}; send less")
    if _is_binary(request):
        text = request.headers[_HEADER_LENGTH]
        if not (text.isascii() and text.isdigit() and len(text) < 12 and int(text) <= length):
            raise Denied(400, f"{_HEADER_LENGTH} must be a number up to the body's length; send it")
        if int(text) > rules.MAX_JSON_BYTES:
            raise Denied(413, f"the body's JSON must have at most {rules.MAX_JSON_BYTES} bytes")
    return length


class _Body:
    """What a request sends, in pieces of one size, each of which and all of which come in time.

    Attributes:
        num_bytes: that have come.
        denial: why the rest is not waited for.
    """

    def __init__(self, door: HttpDoor, request: web.BaseRequest, length: int) -> None:
        self._door = door
        self._content = request.content
        self._deadline_s = time.monotonic() + PIECE_S + length / MIN_BYTES_PER_S
        self._depth = Depth()
        self._num_json_bytes = length
        if _is_binary(request):
            self._num_json_bytes = int(request.headers[_HEADER_LENGTH])
        self.num_bytes = 0
        self.denial: Denied | None = None

    async def pieces(self) -> AsyncIterator[bytes]:
        """Raises Denied where they come too slowly, or there is no room."""
        try:
            while not self._content.at_eof():
                left_s = min(PIECE_S, self._deadline_s - time.monotonic())
                piece = await asyncio.wait_for(self._piece(), left_s)
                self._verify_depth(piece)
                if piece:
                    yield piece
        except asyncio.TimeoutError:
            self.denial = Denied(408, "the body came too slowly; send it faster")
            raise self.denial from None
        except Denied as denial:
            self.denial = denial
            raise

    def _verify_depth(self, piece: bytes) -> None:
        """Raises Denied for JSON that is too deep."""
        self._depth.add(piece[: max(0, self._num_json_bytes)])
        self._num_json_bytes -= len(piece)
        if self._depth.most > MAX_DEPTH:
            raise Denied(
                400,
                f"the JSON is nested more than {MAX_DEPTH} deep; send it flat, as the API has it",
            )

    async def _piece(self) -> bytes:
        found = bytearray()
        while len(found) < PIECE_BYTES:
            part = await self._content.read(PIECE_BYTES - len(found))
            if not part:
                break
            found += part
        self.num_bytes += len(found)
        self._door.open_bytes += len(found)
        if self._door.open_bytes > MAX_OPEN_BYTES:
            raise Denied(503, "too much is being sent to the server; try again later")
        return bytes(found)


async def _answer(
    request: web.BaseRequest, reply: aiohttp.ClientResponse, more: bytes
) -> web.StreamResponse:
    """Triton's answer, piece by piece; an error without what it says of the machine."""
    headers = {
        name: reply.headers[name]
        for name in ("Content-Type", _HEADER_LENGTH)
        if name in reply.headers
    }
    if reply.status >= 400:
        body = await reply.content.read(MAX_ERROR_BYTES)
        text = rules.scrubbed(body.decode(errors="replace"))
        return web.Response(status=reply.status, headers=headers, body=text.encode())
    answer = web.StreamResponse(status=reply.status, headers=headers)
    if reply.content_length is not None:
        answer.content_length = reply.content_length + len(more)
    await answer.prepare(request)
    async for piece in reply.content.iter_any():
        await answer.write(_scrubbed(piece) if reply.content_length is None else piece)
    if more:
        await answer.write(more)
    await answer.write_eof()
    return answer


def _scrubbed(piece: bytes) -> bytes:
    """An event of a stream: an error in it comes with status 200."""
    if not (rules.has_region(piece) and b'"error"' in piece):
        return piece
    return rules.scrubbed(piece.decode(errors="surrogateescape")).encode(errors="surrogateescape")


def _error(status: int, text: str) -> web.Response:
    body: Mapping[str, str] = {"error": rules.told(text)}
    return web.Response(status=status, body=json.dumps(body).encode(), content_type=_JSON)
