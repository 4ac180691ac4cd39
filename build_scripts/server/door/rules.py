"""Which calls the door lets through to Triton: by model, by path, by method, by host.

The steps of the pipeline and the engines are called by other models alone. Triton cannot tell its
own calls from a caller's: an ensemble hands its caller's parameters on to its steps
(triton-inference-server/core, ensemble_scheduler.cc), and NVIDIA's backend checks nothing. So the
line is drawn where calls come in.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from onecard.contract import pipeline
from onecard.errors import clipped, message, named

INNER = frozenset({*pipeline.TRANSCRIBE_STEPS, *pipeline.ENGINES})

MAX_JSON_BYTES = 64 * 2**20  # as Triton's own --http-max-input-size has it since 25.09
MAX_BODY_BYTES = 2_001_000_000  # with tensors in binary: the longest recording, and what is around
# Tensors and parameters of one gRPC request; many outputs can end Triton (CVE-2026-24146).
MAX_FIELDS = 1000

_SERVER_PATHS = frozenset({"/v2", "/v2/health/live", "/v2/health/ready"})
_MODEL_PATH = re.compile(
    r"/v2/models/(?P<model>[A-Za-z0-9_][A-Za-z0-9_.-]*)(?:/versions/[0-9]{1,18})?"
    r"(?:/(?P<verb>ready|config|stats|infer|generate|generate_stream))?"
)
_POSTED = frozenset({"infer", "generate", "generate_stream"})

_SERVICE = "/inference.GRPCInferenceService/"
_SERVER_METHODS = frozenset(
    {f"{_SERVICE}{name}" for name in ("ServerLive", "ServerReady", "ServerMetadata")}
    | {"/grpc.health.v1.Health/Check"}
)
# The messages of all of these name their model in field 1.
_MODEL_METHODS = frozenset(
    f"{_SERVICE}{name}"
    for name in (
        "ModelReady",
        "ModelMetadata",
        "ModelConfig",
        "ModelStatistics",
        "ModelInfer",
        "ModelStreamInfer",
    )
)
# A trace's place as W3C has it, which Triton and the models are handed on.
_TRACE = {
    "traceparent": re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}"),
    "tracestate": re.compile(r"[ -~]{1,512}"),
}
_SIZES = {1: 8, 5: 4}  # of protobuf's fixed wire types
_LENGTH, _VARINT = 2, 0

# Names of shared-memory regions, which Triton 2.51 quotes in errors (CVE-2025-23320).
_REGION = re.compile(r"/?onecard_[0-9a-f]{6,64}_\d{1,5}_[\w.-]*")
_REGION_MARK = b"onecard_"


class Refused(Exception):
    """Nobody but the server's owner may make this call; the message says which are open."""


class Malformed(Exception):
    """What was sent cannot be read as a request."""


@dataclass(frozen=True)
class Rules:
    """`secret`: the owner's; `hosts`: names, beside addresses and this machine's, in `Host`."""

    secret: str
    hosts: frozenset[str] = frozenset()

    def is_owner(self, secret: str | None) -> bool:
        """Whether `secret` is the owner's; in the same time for all that are not."""
        return secret is not None and hmac.compare_digest(secret.encode(), self.secret.encode())

    def verify_browser(self, hosts: Iterable[str], origin: str | None, site: str | None) -> None:
        """Raises Refused for what only a web page sends: another origin, or a name that was bound
        to this address (DNS rebinding). An address in `Host` cannot be another's."""
        if origin is not None or site not in (None, "none", "same-origin"):
            raise Refused("requests of web pages are not answered here; call from a program")
        for host in hosts:
            if not self._is_own(host):
                raise Refused(
                    f"the host is {named(host)}, must be an address, `localhost` or one of "
                    "ALLOWED_HOSTS; start the server with that name in ALLOWED_HOSTS"
                )

    def _is_own(self, host: str) -> bool:
        found = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([^:\[\]]+))(?::[0-9]{0,5})?", host.strip())
        if found is None:
            return False
        name = (found[1] or found[2]).lower().rstrip(".")
        try:
            ipaddress.ip_address(name)
        except ValueError:
            own = {"localhost", socket.gethostname().lower(), *self.hosts}
            return name in own or name.endswith(".localhost")
        return True


def http_method(path: str) -> str:
    """The method that `path` is asked with. Raises Refused for one that is not everybody's."""
    if path in _SERVER_PATHS:
        return "GET"
    found = _MODEL_PATH.fullmatch(path)
    if found is None:
        raise Refused(
            f"{named(path)} is not open to callers; open are /v2, /v2/health/live, "
            "/v2/health/ready and /v2/models/MODEL of the public models"
        )
    if found["model"] == "stats" and not found["verb"]:
        raise Refused("the figures of all models are not open to callers; name a public model")
    if found["verb"] != "ready":
        verify_model(found["model"])
    return "POST" if found["verb"] in _POSTED else "GET"


def trace_of(headers: Mapping[str, object]) -> dict[str, str]:
    """The headers that say which trace a request belongs to; what has another form is left out."""
    return {
        name: text
        for name, form in _TRACE.items()
        if isinstance(text := headers.get(name), str) and form.fullmatch(text)
    }


def is_for_ensemble(path: str) -> bool:
    """Whether a request to `path` runs the ensemble, as one answer."""
    found = _MODEL_PATH.fullmatch(path)
    return found is not None and (found["model"], found["verb"]) == (pipeline.ENSEMBLE, "infer")


def verify_model(model: str) -> None:
    """Raises Refused for a model that only other models call."""
    if model in INNER or pipeline.engine_kind(model):
        raise Refused(
            f"{named(model)} is called by other models alone; call `transcribe`, "
            "`transcribe_stream`, `chat`, `triage` or `minutes`"
        )


def verify_method(method: str) -> None:
    """Raises Refused for a gRPC method that is not everybody's."""
    if method not in _SERVER_METHODS and method not in _MODEL_METHODS:
        raise Refused(
            f"{named(method)} is not open to callers; open are the methods that ask for health, "
            "metadata and inference"
        )


def model_of(method: str, data: bytes) -> str:
    """The model that a request of `method` names; empty where the method has none.

    Raises:
        Malformed: it has to name one and does not, or is no message.
    """
    if method not in _MODEL_METHODS:
        return ""
    model = first_field(data)
    if not model and not method.endswith("/ModelStatistics"):  # without a name: of all
        raise Malformed("the request names no model; name one")
    return model


def verify_called(method: str, model: str) -> None:
    """Raises Refused where a caller may not ask `method` about `model`."""
    if method in _MODEL_METHODS and not model:
        raise Refused("the figures of all models are not open to callers; name a public model")
    if not method.endswith("/ModelReady"):
        verify_model(model)


def first_field(data: bytes) -> str:
    """The text of field 1 of a protobuf message; empty where there is none.

    Of a field that comes twice readers take the last, and other readers the first: so none may.

    Raises:
        Malformed: it is no message, has too many fields, or field 1 comes twice or is no text.
    """
    found: str | None = None
    at = num_fields = 0
    while at < len(data):
        num_fields += 1
        tag, at = _varint(data, at)
        number, kind = tag >> 3, tag & 7
        start, at = _skipped(data, at, kind)
        if num_fields > MAX_FIELDS or at > len(data) or number == 0:
            raise Malformed(
                f"the request is no protobuf message of at most {MAX_FIELDS} fields; send one"
            )
        if number == 1:
            if found is not None or kind != _LENGTH:
                raise Malformed("the request names its model twice, or not as text; name it once")
            try:
                found = data[start:at].decode()
            except UnicodeDecodeError:
                raise Malformed("the model's name is no UTF-8; send its name") from None
    return found or ""


def _skipped(data: bytes, at: int, kind: int) -> tuple[int, int]:
    """Where the value of a field of wire type `kind` begins, and where it ends."""
    if kind == _VARINT:
        return at, _varint(data, at)[1]
    if kind == _LENGTH:
        length, start = _varint(data, at)
        return start, start + length
    if kind not in _SIZES:  # groups, which no message of this service has
        raise Malformed("the request is no protobuf message; send one")
    return at, at + _SIZES[kind]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for index in range(10):
        if at + index >= len(data):
            break
        byte = data[at + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, at + index + 1
    raise Malformed("the request is no protobuf message; send one")


def scrubbed(text: str) -> str:
    """An error without the names of shared-memory regions."""
    return _REGION.sub("(shared memory)", text)


def has_region(data: bytes) -> bool:
    """Whether `data` may name a region."""
    return _REGION_MARK in data


def told(text: str, max_letters: int = 2000) -> str:
    """An error as a caller is told it: one line, without regions, and not longer than that."""
    return message(scrubbed(clipped(text, 2 * max_letters)), max_letters)
