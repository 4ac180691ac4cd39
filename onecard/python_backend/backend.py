"""The only importer of Triton's Python backend: tensors in, replies out, errors mapped once.

Error path: `InvalidRequest` -> INVALID_ARG, `Unavailable` -> UNAVAILABLE, anything else ->
traceback to the server log, "internal error" and the request id to the caller. A request that
fails never fails the others of its batch, and whatever fails while it is told so, it is told.

`triton_python_backend_utils` exists only inside a Triton stub process, hence the loose types here.
"""

from __future__ import annotations

import contextlib
import json
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from onecard import documents, errors
from onecard.audio import Pcm, spool
from onecard.contract import pipeline
from onecard.contract.pipeline import CODE_IN_MESSAGE
from onecard.errors import InvalidRequest, Restarting, Unavailable
from onecard.metrics.record import Origin
from onecard.options import fields, parameters
from onecard.options.fields import Options
from onecard.python_backend import inherited, malloc, speech_lock, threads
from onecard.python_backend.streams import Event, Streams

Request = Any
Response = Any

MAX_LOGGED_LETTERS = 20_000
# What Triton says of a model whose process ended, until it is loaded again.
RESTARTING = ("is not healthy", "is not ready", "has no available versions")
# And where the tensors of a request do not fit into what is left of /dev/shm.
SHARED_MEMORY_FULL = "Failed to increase the shared memory pool size"


def params(args: Mapping[str, str]) -> dict[str, str]:
    """The `parameters` of config.pbtxt, from what Triton hands to `initialize`."""
    config = json.loads(args["model_config"])
    return {key: value["string_value"] for key, value in config.get("parameters", {}).items()}


@dataclass(frozen=True)
class _Share:
    cpu_share: float


def num_threads(
    args: Mapping[str, str], usual_share: float | None = None, divided: bool = True
) -> int:
    """Threads for this model: its share of the cores, divided among its instances.

    Args:
        usual_share: where config.pbtxt states none; None: it must.
        divided: False where instances seldom work at the same time.
    """
    config = json.loads(args["model_config"])
    groups = config.get("instance_group", []) if divided else []
    instances = sum(group.get("count", 1) for group in groups) or 1
    stated = params(args)
    if usual_share is not None:
        stated = {"cpu_share": str(usual_share), **stated}
    share = parameters.parse(_Share, stated).cpu_share
    return max(1, threads.num_threads(share) // instances)


def begin() -> None:
    """What every model does first. Raises RuntimeError as `self_test`."""
    inherited.close_sockets()
    self_test()


def self_test() -> None:
    """Refuse to start on a NumPy that this stub cannot share tensors with.

    Under NumPy 2 the stub of Triton 2.51 corrupts every tensor in silence: the server reports
    ready and answers wrongly. Both the version and a real round trip are checked.

    Raises:
        RuntimeError: tensors do not survive the way to the stub and back.
    """
    cure = "install numpy==1.26.4 into the server's environment (`make setup` does)"
    if int(np.__version__.split(".")[0]) > 1:
        raise RuntimeError(f"NumPy is `{np.__version__}`, Triton's Python stub needs 1.26; {cure}")
    for sent in (np.arange(7, dtype=np.float16), np.array([b"one", b"card"], dtype=np.object_)):
        back = pb_utils.Tensor("SELF_TEST", sent).as_numpy()
        if back.shape != sent.shape or not np.array_equal(back, sent):
            raise RuntimeError(f"a tensor came back as `{back}`, sent was `{sent}`; {cure}")


def log(message: str) -> None:
    pb_utils.Logger.log_info(documents.valid(message))


def warn(message: str) -> None:
    pb_utils.Logger.log_warn(documents.valid(message))


def _log_failure(what: str, error: Exception) -> None:
    """Log an error; never fails, because the text or its length may be what went wrong."""
    lines = "".join(traceback.format_exception(error)).splitlines()
    whole = "\n".join(errors.message(line) for line in (what, *lines))
    with contextlib.suppress(Exception):
        pb_utils.Logger.log_error(errors.clipped(whole, MAX_LOGGED_LETTERS))


def tensor(request: Request, name: str) -> np.ndarray[Any, Any]:
    """The input `name` without its batch dimension (which is 1 in every pipeline model).

    Raises:
        InvalidRequest: the input is missing, or holds more than one item.
    """
    found = pb_utils.get_input_tensor_by_name(request, name)
    if found is None:
        raise InvalidRequest(f"input `{name}` is missing; send it")
    value: np.ndarray[Any, Any] = found.as_numpy()
    if value.shape[0] != 1:
        raise InvalidRequest(
            f"input `{name}` holds a batch of {value.shape[0]}, must be 1; send one request each"
        )
    item: np.ndarray[Any, Any] = value[0]
    return item


def tensor_or_none(request: Request, name: str) -> np.ndarray[Any, Any] | None:
    """The optional input `name`, as `tensor`."""
    given = pb_utils.get_input_tensor_by_name(request, name) is not None
    return tensor(request, name) if given else None


def recording(request: Request) -> Pcm | int:
    """PCM, or NUM_SAMPLES where that came in its place.

    Raises:
        InvalidRequest: neither or both came, or NUM_SAMPLES is less than 0.
    """
    given = tensor_or_none(request, "NUM_SAMPLES")
    if given is None:
        return tensor(request, "PCM")
    num_samples = int(given[0])
    if num_samples < 0 or tensor_or_none(request, "PCM") is not None:
        raise InvalidRequest(
            f"NUM_SAMPLES is {num_samples}, must be at least 0 and come without PCM; send one of "
            "them"
        )
    return num_samples


def array_or_none(request: Request, name: str) -> np.ndarray[Any, Any] | None:
    """The optional input `name`, or what lies in the file that came in its place."""
    reference = text(request, f"{name}_FILE", "")
    return spool.rows(reference) if reference else tensor_or_none(request, name)


def data(request: Request, name: str) -> bytes:
    """The single BYTES element of input `name`."""
    value = tensor(request, name)
    if value.size != 1:
        raise InvalidRequest(f"input `{name}` has {value.size} elements, must have 1")
    return bytes(value.reshape(-1)[0])


def text(request: Request, name: str, default: str | None = None) -> str:
    """The single UTF-8 string of input `name`; `default`, if there is one, where it is missing."""
    if default is not None and pb_utils.get_input_tensor_by_name(request, name) is None:
        return default
    try:
        return data(request, name).decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"input `{name}` is not UTF-8 ({error}); send UTF-8 text") from error


def document(request: Request, name: str, wanted: str) -> dict[str, Any]:
    """The JSON object of input `name`; `wanted` says in messages what to send.

    Raises:
        InvalidRequest: as `onecard.documents.read`, or it is no object.
    """
    found = documents.read(name, text(request, name), wanted)
    if not isinstance(found, dict):
        raise InvalidRequest(f"{name} is {documents.kind(found)}, must be an object; send {wanted}")
    return found


def options(request: Request, kind: type[Options]) -> Options:
    """OPTIONS, which may be left out, together with the options among the request's parameters.

    Args:
        kind: the dataclass whose fields are the options.

    Raises:
        InvalidRequest: as `onecard.options.fields.parse`.
    """
    document = text(request, "OPTIONS", default="")
    return fields.parse(kind, document, request_parameters(request))


def request_parameters(request: Request) -> str:
    """A JSON object of texts, numbers and booleans.

    Raises InvalidRequest where they are no UTF-8.
    """
    try:
        found: str = request.parameters()
    except UnicodeDecodeError as error:
        raise InvalidRequest(
            f"the request's parameters are not UTF-8 ({error}); send UTF-8 text"
        ) from error
    return found


def to_tensor(name: str, value: Any) -> Any:
    """A Triton tensor with the leading batch dimension of 1; text becomes one BYTES element.

    A Triton tensor passes as it is: what another model made is shared, not copied.
    """
    if isinstance(value, pb_utils.Tensor):
        return value
    if isinstance(value, str):
        value = documents.valid(value).encode()
    if isinstance(value, bytes):
        value = np.array([value], dtype=np.object_)
    return pb_utils.Tensor(name, value[np.newaxis])


def reply(**outputs: str | bytes | np.ndarray[Any, Any]) -> Response:
    return pb_utils.InferenceResponse([to_tensor(name, value) for name, value in outputs.items()])


@dataclass(frozen=True)
class _About:
    """A request's id and parameters; each is empty if it is not UTF-8."""

    request_id: str = ""
    parameters: str = ""

    @classmethod
    def from_request(cls, request: Request) -> _About:
        found = {}
        for name in ("request_id", "parameters"):
            with contextlib.suppress(Exception):  # such as UnicodeDecodeError
                found[name] = getattr(request, name)()
        return cls(**found)


def refusal(error: Exception, request_id: str, parameters: str) -> Response:
    """The response that carries `error`, as this module's docstring maps it; never raises.

    `request_id`, `parameters`: those of the request, as Triton gives them.
    """
    if isinstance(error, InvalidRequest):
        code, message = "INVALID_ARG", str(error)
    elif isinstance(error, Unavailable):
        code, message = "UNAVAILABLE", str(error)
    else:
        request_id = request_id or "without an id"
        _log_failure(f"request {request_id}:", error)
        code = "INTERNAL"
        message = f"internal error (request {request_id}); the server log has the traceback"
    if CODE_IN_MESSAGE in parameters:
        message = f"{code}: {message}"
    return pb_utils.InferenceResponse(
        error=pb_utils.TritonError(errors.message(message), getattr(pb_utils.TritonError, code))
    )


def answer(
    requests: Sequence[Request], respond: Callable[[Request], Response]
) -> list[Response | None]:
    """One response for each request; a request that fails gets its error, its neighbours theirs.

    A request that its caller cancelled is answered like any other: where a step of an ensemble
    answers a cancelled request with an error, Triton 2.51 ends the caller's request twice, which
    can crash it.
    """
    responses = []
    with speech_lock.speech():  # every model that answers in this way is a step of a transcription
        for request in requests:
            try:
                responses.append(respond(request))
            except Exception as error:  # the boundary: nothing may escape into the stub
                responses.append(refusal(error, *astuple(_About.from_request(request))))
    malloc.trim()
    return responses


def bls_request(
    model: str, outputs: Sequence[str], inputs: Mapping[str, Any], request_id: str = ""
) -> Any:
    """A request to another model of this server; inputs as `to_tensor` takes them."""
    tensors = [to_tensor(name, value) for name, value in inputs.items()]
    return pb_utils.InferenceRequest(
        model_name=model,
        request_id=request_id,
        requested_output_names=list(outputs),
        inputs=tensors,
        parameters={CODE_IN_MESSAGE: True},
    )


def outputs_of(model: str, response: Response) -> dict[str, Any]:
    """Output tensors (Triton's, with their batch dimension) of a BLS response, by name.

    Raises:
        InvalidRequest, Unavailable: the called model said so, with its message.
        RuntimeError: it failed in any other way.
    """
    if response.has_error():
        message = response.error().message()
        for code, kind in (("INVALID_ARG: ", InvalidRequest), ("UNAVAILABLE: ", Unavailable)):
            if message.startswith(code):
                raise kind(message.removeprefix(code))
        if any(sign in message for sign in RESTARTING):
            raise Restarting(f"`{model}` is being loaded again ({message}); try again later")
        if SHARED_MEMORY_FULL in message:
            raise Unavailable(
                f"`{model}`: `/dev/shm` has no room for the request; try again later, or let "
                "whoever runs the server free some, or give a container more (--shm-size)"
            )
        raise RuntimeError(f"`{model}`: {message}")
    return {found.name(): found for found in response.output_tensors()}


def text_of(output: Any) -> str:
    """The UTF-8 string that an output tensor holds."""
    return bytes(output.as_numpy().reshape(-1)[0]).decode()


def call(
    model: str, /, outputs: Sequence[str] = (), request_id: str = "", **inputs: Any
) -> dict[str, Any]:
    """Run another pipeline model: JSON documents come back as text, other tensors unread.

    Args:
        outputs: those that are wanted; all where none is named.
        request_id: of the request that this is a part of, for the other model's log.

    Raises:
        InvalidRequest, Unavailable, RuntimeError: as `outputs_of`.
    """
    names = outputs or [output.name for output in pipeline.PYTHON_MODELS[model].outputs]
    found = outputs_of(model, bls_request(model, names, inputs, request_id).exec())
    texts = {
        output.name
        for output in pipeline.PYTHON_MODELS[model].outputs
        if output.dtype == "TYPE_STRING"
    }
    return {name: text_of(value) if name in texts else value for name, value in found.items()}


class Calls:
    """The pipeline's models as one stream calls them (`onecard.streaming.transcription.Call`)."""

    def __init__(
        self,
        check: Callable[[], None],
        stopping: Callable[[Callable[[], None]], contextlib.AbstractContextManager[None]],
        request_id: str = "",
    ) -> None:
        """Take `check` and `stopping` of a stream (`onecard.python_backend.streams.Stream`).

        `request_id` is that of all calls.
        """
        self.check = check
        self.stopping = stopping
        self._request_id = request_id

    def __call__(self, model: str, /, outputs: Sequence[str] = (), **inputs: Any) -> dict[str, Any]:
        self.check()
        return call(model, outputs, self._request_id, **inputs)

    def array(self, tensor: Any) -> np.ndarray[Any, Any]:
        found: np.ndarray[Any, Any] = tensor.as_numpy()[0]
        return found


def _trace(request: Request) -> str:
    """The trace that a request belongs to, as JSON; empty where Triton traces nothing."""
    with contextlib.suppress(Exception):  # a Triton without it
        return request.trace().get_context() or ""
    return ""


class Caller:
    """The sender of `request` to a decoupled model (`onecard.python_backend.streams.Caller`).

    The request itself is not kept: Triton holds its tensors for as long as anybody does.
    """

    def __init__(self, request: Request) -> None:
        self._sender = request.get_response_sender()
        self._about = _About.from_request(request)
        self.request_id = self._about.request_id
        self.origin = Origin(self.request_id, _trace(request))
        self.timeout_s = request.timeout() / 1e6 or fields.timeout_s(self._about.parameters)
        self.is_gone = self._sender.is_cancelled

    def send(self, event: Event) -> None:
        self._sender.send(reply(EVENT=documents.write(event).encode()))

    def end(self, error: Exception | None) -> None:
        """The end, with `error` if there is one; with less of it rather than not at all."""
        ways: list[Callable[[], tuple[Response, ...]]] = [tuple]
        if error is not None:
            about = astuple(self._about)
            plain = InvalidRequest("the request was refused; the server log has the reason")
            ways = [lambda: (refusal(error, *about),), lambda: (refusal(plain, "", ""),), tuple]
        for make in ways:
            try:
                self._sender.send(*make(), flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
                return
            except Exception as failure:  # the boundary: the caller must not wait indefinitely
                _log_failure("the end of an answer could not be sent:", failure)


def stream(
    requests: Sequence[Request],
    take: Callable[[Request, Caller], None],
    streams: Streams | None = None,
) -> None:
    """`execute` of a decoupled model: what `take` raises is the end of that request's answer.

    Args:
        take: starts what answers a request, and returns; whatever it raises is sent to the caller.
        streams: whose traffic counts the requests that `take` refused, if anybody does.
    """
    for request in requests:
        try:
            caller = Caller(request)
        except Exception as error:  # nobody can be told
            _log_failure("a request could not be taken:", error)
            continue
        try:
            take(request, caller)
        except Exception as error:  # the boundary: nothing may escape into the stub
            if streams is not None:
                streams.traffic.turn_away(error, caller.origin)
            caller.end(error)
