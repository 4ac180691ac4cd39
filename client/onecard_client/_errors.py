"""The errors of a call to a server, and the gRPC status that means each.

OnecardError
├── InvalidRequest        the request cannot succeed as it is: change it
├── AccessDenied          a proxy in front of the server wants other credentials
├── Unavailable           the server cannot take the request now: try again later
│   └── ConnectionFailed  nothing that speaks gRPC answered, or the connection broke
├── DeadlineExceeded      `timeout_s` passed before the answer came
├── Cancelled             the call was cancelled, by the server or by closing the client
└── ServerError           the server failed; its log has the reason under the request id
    └── BadResponse       the server answered with something that the contract does not have
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import grpc


class OnecardError(Exception):
    """Base of everything that a client raises on behalf of the server.

    Attributes:
        status: the gRPC status' name, such as `INVALID_ARGUMENT`; None if no status was involved.
        request_id: the id under which the server's log knows the request.
    """

    def __init__(
        self, message: str, *, status: str | None = None, request_id: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.request_id = request_id


class InvalidRequest(OnecardError):
    """The request cannot be served as it is; the message says what to change."""


class AccessDenied(OnecardError):
    """Credentials are missing or insufficient; Triton itself asks for none, a proxy may."""


class Unavailable(OnecardError):
    """The server is there and cannot take the request now, such as when its queue is full."""


class ConnectionFailed(Unavailable):
    """No server answered at the address, or the connection to it broke."""


class DeadlineExceeded(OnecardError):
    """The answer did not come within `timeout_s`; the server was told to stop."""


class Cancelled(OnecardError):
    """The call ended because somebody cancelled it."""


class ServerError(OnecardError):
    """The server failed at a request that may well be good."""


class BadResponse(ServerError):
    """The server's answer is not what the contract promises."""


# Triton sends INVALID_ARGUMENT, NOT_FOUND, UNAVAILABLE, UNIMPLEMENTED, ALREADY_EXISTS, CANCELLED,
# INTERNAL and UNKNOWN; the others come from gRPC itself or from proxies.
ERROR_OF_STATUS: dict[grpc.StatusCode, type[OnecardError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequest,
    grpc.StatusCode.OUT_OF_RANGE: InvalidRequest,
    # gRPC's answer to a message over a limit that a proxy or a server sets
    grpc.StatusCode.RESOURCE_EXHAUSTED: InvalidRequest,
    grpc.StatusCode.UNAUTHENTICATED: AccessDenied,
    grpc.StatusCode.PERMISSION_DENIED: AccessDenied,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.CANCELLED: Cancelled,
    grpc.StatusCode.UNKNOWN: ServerError,
    grpc.StatusCode.INTERNAL: ServerError,
    grpc.StatusCode.UNIMPLEMENTED: ServerError,
    grpc.StatusCode.NOT_FOUND: ServerError,
    grpc.StatusCode.ALREADY_EXISTS: ServerError,
    grpc.StatusCode.FAILED_PRECONDITION: ServerError,
    grpc.StatusCode.ABORTED: ServerError,
    grpc.StatusCode.DATA_LOSS: ServerError,
}

# Triton's codes, with which the models begin the text of an error when they are asked to.
STATUS_OF_CODE: dict[str, grpc.StatusCode] = {
    "INVALID_ARG": grpc.StatusCode.INVALID_ARGUMENT,
    "UNAVAILABLE": grpc.StatusCode.UNAVAILABLE,
    "INTERNAL": grpc.StatusCode.INTERNAL,
}

# Where a status says too little, the text decides: what the status means, the text, what it is.
ERROR_OF_TEXT: tuple[tuple[type[OnecardError], re.Pattern[str], type[OnecardError]], ...] = (
    # UNAVAILABLE is a server's refusal and also gRPC's word for a connection that could not be made
    # or that broke.
    (
        Unavailable,
        re.compile(
            r"failed to connect|errors? resolving|DNS resolution|socket closed"
            r"|connection (reset|refused)|connection timed out|broken pipe|goaway|too_many_pings"
            r"|ping timeout|keepalive|stream removed|transport (closed|is closing)|recvmsg"
            r"|endpoint clos|handshake|tcp_posix|timeout was reached|end of file",
            re.IGNORECASE,
        ),
        ConnectionFailed,
    ),
    # A proxy whose server is gone ends the stream, which gRPC calls cancelled; nobody cancelled it.
    (Cancelled, re.compile(r"stream removed|RST_STREAM", re.IGNORECASE), ConnectionFailed),
    # Triton says NOT_FOUND of a model that is loaded again or drained, as of an unknown one ("is
    # not found"), INTERNAL of a Python process that died and of a request that does not fit into
    # /dev/shm, and to a stream whose request it did not hand to a model it gives no status at all.
    (
        ServerError,
        re.compile(
            r"has no available versions|is not at ready state"
            r"|stub process( '[^']*')? is not healthy|exceeds maximum queue size"
            r"|stopped accepting new inference requests|server not ready"
            r"|failed to increase the shared memory pool size",
            re.IGNORECASE,
        ),
        Unavailable,
    ),
)


@dataclass(frozen=True)
class CallContext:
    """Facts about a failed call, for error messages."""

    target: str
    timeout_s: float | None = None
    request_id: str | None = None


def from_rpc(error: Any, context: CallContext) -> OnecardError:
    """The typed exception for a `grpc.RpcError`, in the words of the model that raised it."""
    status = error.code()
    kind = ERROR_OF_STATUS.get(status, ServerError)
    return _error(kind, error.details() or "", status.name, context)


def from_text(text: str, context: CallContext) -> OnecardError:
    """The typed exception for an error that a stream carries as text alone."""
    code, colon, details = text.partition(": ")
    if not colon or code not in STATUS_OF_CODE:
        return _error(ServerError, text, None, context)
    status = STATUS_OF_CODE[code]
    if status is grpc.StatusCode.UNAVAILABLE:  # whatever its words: the connection brought it
        return Unavailable(details, status=status.name, request_id=context.request_id)
    return _error(ERROR_OF_STATUS[status], details, status.name, context)


def unfinished(context: CallContext) -> BadResponse:
    """The exception for a stream that ended well and without its last event."""
    return BadResponse(
        "the server's stream ended without a result, must end with one; look for the request id "
        f"`{context.request_id}` in its log",
        request_id=context.request_id,
    )


def _error(
    kind: type[OnecardError], details: str, status: str | None, context: CallContext
) -> OnecardError:
    for broad, pattern, narrow in ERROR_OF_TEXT:
        if kind is broad and pattern.search(details):
            kind = narrow
            break
    message = _message(kind, details, context)
    return kind(message, status=status, request_id=context.request_id)


def _message(kind: type[OnecardError], details: str, context: CallContext) -> str:
    if kind is ConnectionFailed:
        return (
            f"no answer from a gRPC server at `{context.target}` ({details}); "
            "start the server there, or give the address of one (Triton's gRPC port is 8001)"
        )
    if kind is DeadlineExceeded:
        return (
            f"no answer from `{context.target}` within `{context.timeout_s}` s, the time that this "
            "call was given; give it more with `timeout_s`, or send less"
        )
    if kind is ServerError and context.request_id and context.request_id not in details:
        return f"{details} (request id `{context.request_id}`)"
    return details or f"the server said nothing beyond the status of a {kind.__name__}"
