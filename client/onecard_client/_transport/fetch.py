"""Recordings on the web, fetched by the client: the server never opens an address."""

from __future__ import annotations

import contextlib
import http.client
import tempfile
import time
import urllib.error
import urllib.request
from typing import Any

from onecard_client._errors import InvalidRequest
from onecard_client._transport.content import Content

_PIECE_BYTES = 2**20
# A film of hours; only its sound may be sent of it, so that it may be larger than what is served.
MAX_BYTES = 16 * 2**30
# Without a byte.
_PATIENCE_S = 60.0
# Some servers refuse Python's own name.
_HEADERS = {"User-Agent": "onecard", "Accept": "audio/*, video/*, */*;q=0.5"}
_PAGES = ("text/html", "application/xhtml+xml")


def fetched(address: str, timeout_s: float | None) -> Content:
    """The content of an http:// or https:// address, in a temporary file.

    Raises:
        InvalidRequest: there is no recording there, it is too large, or it does not end within
            `timeout_s`.
        OSError: there is no room for it here.
    """
    deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
    file = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the content
    try:
        with _said(address):
            request = urllib.request.Request(address, headers=_HEADERS)
            with _opener().open(request, timeout=_PATIENCE_S) as answer:
                _verify_kind(answer, address)
                _copy(answer, file, address, deadline_s)
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return Content(file, is_owned=True)


def _opener() -> urllib.request.OpenerDirector:
    """Reads http and https alone, also where an answer sends elsewhere."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler, urllib.request.UnknownHandler, urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler, urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPRedirectHandler, urllib.request.HTTPErrorProcessor,
    ):  # fmt: skip
        opener.add_handler(handler())
    return opener


@contextlib.contextmanager
def _said(address: str) -> Any:
    """The error for a failure on the web, which names the address."""
    try:
        yield
    except urllib.error.HTTPError as error:
        error.close()
        raise InvalidRequest(
            f"the server at the address says {error.code} ({error.reason}); check the address, or "
            "download the file and give its name"
        ) from error
    except urllib.error.URLError as error:
        raise InvalidRequest(
            f"the address cannot be reached ({error.reason}); check it, and the network"
        ) from error
    except (http.client.HTTPException, ValueError) as error:  # also an address that is none
        raise InvalidRequest(
            f"the address cannot be read ({error or type(error).__name__}); check it"
        ) from error
    except (TimeoutError, ConnectionError) as error:
        raise InvalidRequest(
            f"the connection to the address broke ({error}); try again, or download the file"
        ) from error


def _verify_kind(answer: Any, address: str) -> None:
    kind = answer.headers.get_content_type()
    if kind in _PAGES:
        raise InvalidRequest(
            f"there is a web page at the address (`{kind}`), must be a recording; give the address "
            "of the media file itself, or download it, such as with yt-dlp"
        )


def _copy(answer: Any, file: Any, address: str, deadline_s: float | None) -> None:
    declared = answer.headers.get("Content-Length", "")
    num_declared = int(declared) if declared.isdecimal() else None
    _verify_size(num_declared or 0)
    num_bytes = 0
    while piece := answer.read1(_PIECE_BYTES):
        num_bytes += len(piece)
        _verify_size(num_bytes)
        if deadline_s is not None and time.monotonic() > deadline_s:
            raise InvalidRequest(
                f"the address still sends after {num_bytes} bytes and all of `--timeout-s`; "
                "record a broadcast to a file first"
            )
        file.write(piece)
    if num_declared is not None and num_bytes < num_declared:
        raise InvalidRequest(
            f"the address sent {num_bytes} of the {num_declared} bytes that it has; try again"
        )
    if not num_bytes:
        raise InvalidRequest("there is nothing at the address (0 bytes); check it")


def _verify_size(num_bytes: int) -> None:
    if num_bytes > MAX_BYTES:
        raise InvalidRequest(
            f"there are {num_bytes} bytes at the address, must be at most {MAX_BYTES}; download "
            "the file and send its sound"
        )
