"""KServe v2 messages for onecard's public models, and back."""

from __future__ import annotations

import itertools
import struct
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from tritonclient.grpc import service_pb2

from onecard_client._answers.documents import Mismatch, decode, parse
from onecard_client._errors import (
    BadResponse,
    CallContext,
    OnecardError,
    from_text,
)
from onecard_client._transport.content import Content
from onecard_client._transport.sendable import options_to_json, verify_id, verify_size
from onecard_client.chat import (
    ChatEnd,
    ChatEvent,
    ChatUsage,
    Delta,
    ToolCallDelta,
    ToolCalls,
    WholeAnswer,
)
from onecard_client.events import Event, Progress, Segments
from onecard_client.health import Health, ModelState, SpeechModel
from onecard_client.ledger import Ledger
from onecard_client.limits import Limits
from onecard_client.minutes import (
    Answer,
    Minutes,
    MinutesEvent,
    MinutesProgress,
    MinutesSummary,
    Note,
    WholeMinutes,
)
from onecard_client.transcript import Transcript
from onecard_client.triage import (
    TriageEvent,
    TriageProgress,
    TriageSummary,
    TriageVerdicts,
    Verdict,
)

E = TypeVar("E")
Decode = Callable[[dict[str, Any]], E]


@dataclass(frozen=True)
class Model(Generic[E]):
    """A public model that answers with events.

    Attributes:
        content: the name of its other input than OPTIONS.
        events: how each kind of event is read.
        last: the event that a stream has to end with, or those of which one has to.
        takes_parts: whether its content may come in several requests.
    """

    name: str
    content: str
    events: Mapping[str, Decode[E]]
    last: type[E] | tuple[type[E], ...]
    takes_parts: bool = False


def _inside(key: str, kind: type[E]) -> Decode[E]:
    """The event is the document under `key`."""
    return lambda document: decode(kind, document.get(key))


def _whole(kind: type[E]) -> Decode[E]:
    """The event is the document itself."""
    return lambda document: decode(kind, document)


# Every transcription goes over the stream, also one whose caller wants the transcript alone. In
# Triton 2.51 a unary gRPC request to an ensemble (`transcribe`) that is cancelled, by a deadline,
# Ctrl-C or a cut connection, can crash the server (triton-inference-server/server issues 7368 and
# 8034, fixed upstream by its pull request 7840), and the ensemble's steps never hear of it. A
# cancelled stream does not, and the work ends.
TRANSCRIBE: Model[Event] = Model(
    "transcribe_stream",
    "AUDIO",
    {
        "progress": _whole(Progress),
        "segments": _whole(Segments),
        "result": lambda document: Transcript.from_dict(document.get("result")),
    },
    last=Transcript,
    takes_parts=True,
)
CHAT: Model[ChatEvent] = Model(
    "chat",
    "MESSAGES",
    {
        "delta": _whole(Delta),
        "tool_call_delta": _whole(ToolCallDelta),
        "tool_calls": _whole(ToolCalls),
        "usage": _whole(ChatUsage),
        "done": _whole(ChatEnd),
        "answer": _whole(WholeAnswer),
    },
    last=(ChatEnd, WholeAnswer),
)
TRIAGE: Model[TriageEvent] = Model(
    "triage",
    "EMAILS",
    {
        "progress": _whole(TriageProgress),
        "verdict": _inside("verdict", Verdict),
        "summary": _inside("summary", TriageSummary),
        "verdicts": _whole(TriageVerdicts),
    },
    last=(TriageSummary, TriageVerdicts),
)
MINUTES: Model[MinutesEvent] = Model(
    "minutes",
    "TRANSCRIPT",
    {
        "progress": _whole(MinutesProgress),
        "segments": _whole(Segments),
        "result": lambda document: Transcript.from_dict(document.get("result")),
        "note": _inside("note", Note),
        "minutes": _inside("minutes", Minutes),
        "answer": _inside("answer", Answer),
        "summary": _inside("summary", MinutesSummary),
        "whole": _whole(WholeMinutes),
    },
    last=(MinutesSummary, WholeMinutes),
)
# The same of audio, which is transcribed on the server first.
MINUTES_OF_AUDIO: Model[MinutesEvent] = replace(MINUTES, content="AUDIO", takes_parts=True)
# Events that may come twice, because they say nothing but how far the work is.
REPEATABLE = (Progress, TriageProgress, MinutesProgress)
# The public models, then those that they call. Triton's own list, RepositoryIndex, belongs to the
# protocol that loads and unloads models, which the server keeps to itself.
ENSEMBLE = "transcribe"
MODELS = (
    ENSEMBLE,
    TRANSCRIBE.name,
    CHAT.name,
    TRIAGE.name,
    MINUTES.name,
    "decode_audio",
    "detect_speech",
    "recognize",
    "whisper",
    "align",
    "diarize",
    "label",
    "llm",
)
EVENT = "EVENT"

# Parameters of a request that holds a part of the audio (read by `onecard.python_backend.uploads`).
UPLOAD, PART, IS_LAST = "upload", "part", "is_last"
PART_BYTES = 2**20
# So many bytes say whether the first part is the last one.
MORE_THAN_A_PART = PART_BYTES + 1
# Every BYTES element is preceded by its length: 4 bytes, little-endian (KServe v2, binary data).
_LENGTH = struct.Struct("<I")
# A stream carries an error's text and no status, so the models are asked to begin the text with a
# code (`onecard.python_backend.backend.refusal`). Triton can end the stream with the status instead
# (the metadata `triton_grpc_error`). In 2.51 that crashes the server at a few errors of a hundred.
CODE_IN_MESSAGE = "code_in_message"


Requests = Callable[[], Iterator[Any]]


def requests(
    model: Model[Any], content: bytes | Content, options: Mapping[str, Any], request_id: str
) -> Requests:
    """A function that makes the requests which hand `content` and `options` to `model`.

    Audio of more than a part goes in parts, which the server writes to disk as they come, and how
    much that may be is the server's to say. Each attempt is another upload.

    Raises:
        InvalidRequest: an option is not JSON, the request id is no UTF-8, or the message would be
            larger than gRPC can carry.
    """
    verify_id(request_id)
    options_json = options_to_json(options)
    if model.takes_parts and len(content) > PART_BYTES:
        return lambda: _parts(model, content, options_json, request_id)
    verify_size(len(content) + len(options_json))
    whole = _request(model, content[:], options_json, request_id)
    return lambda: iter([whole])


def _parts(
    model: Model[Any], content: bytes | Content, options_json: bytes, request_id: str
) -> Iterator[Any]:
    upload = uuid.uuid4().hex
    for number in itertools.count():
        start = number * PART_BYTES
        end = min(start + PART_BYTES, len(content))  # which may have grown since the last part
        part = content[start:end]
        if len(part) < end - start:
            return  # the file cannot be read, and the content knows why
        is_last = end >= len(content)
        message = _request(model, part, options_json, request_id)
        message.parameters[UPLOAD].string_param = upload
        message.parameters[PART].int64_param = number
        message.parameters[IS_LAST].bool_param = is_last
        yield message
        if is_last:
            return


def _request(model: Model[Any], content: bytes, options_json: bytes, request_id: str) -> Any:
    message = service_pb2.ModelInferRequest(model_name=model.name, id=request_id)
    message.parameters[CODE_IN_MESSAGE].bool_param = True
    for name, element in ((model.content, content), ("OPTIONS", options_json)):
        message.inputs.add(name=name, datatype="BYTES", shape=[1, 1])
        message.raw_input_contents.append(_LENGTH.pack(len(element)) + element)
    return message


def error(response: Any, context: CallContext) -> OnecardError | None:
    """The error in a ModelStreamInferResponse, which then has nothing else."""
    return from_text(response.error_message, context) if response.error_message else None


def event(model: Model[E], response: Any, context: CallContext) -> E | None:
    """The event in a ModelStreamInferResponse of `model`.

    Returns:
        None for a response that only ends the stream, and for kinds of events that are newer than
        this client.

    Raises:
        BadResponse: EVENT is missing or not an event.
    """
    if not response.infer_response.outputs:
        return None
    try:
        return _event_of(model, parse(_output(response.infer_response, EVENT)))
    except ValueError as mismatch:  # also Mismatch and InvalidTranscript
        raise BadResponse(
            f"{EVENT} is not an event: {mismatch}", request_id=context.request_id
        ) from mismatch


def _event_of(model: Model[E], document: Any) -> E | None:
    if not isinstance(document, dict):
        raise Mismatch("an object", document)
    kind = document.get("event")
    read = model.events.get(kind) if isinstance(kind, str) else None
    if read is None:
        return None
    return read({key: item for key, item in document.items() if key != "event"})


def _output(response: Any, name: str) -> bytes:
    """The one element of the BYTES output `name`."""
    for index, output in enumerate(response.outputs):
        if output.name != name:
            continue
        if index < len(response.raw_output_contents):
            return _element(response.raw_output_contents[index], name)
        if len(output.contents.bytes_contents) == 1:
            return bytes(output.contents.bytes_contents[0])
    found = ", ".join(output.name for output in response.outputs) or "no output"
    raise BadResponse(
        f"the server's answer has {found}, must have {name}; is this a onecard server?",
        request_id=response.id or None,
    )


def _element(raw: bytes, name: str) -> bytes:
    content = raw[_LENGTH.size :]
    if len(raw) < _LENGTH.size or _LENGTH.unpack_from(raw)[0] != len(content):
        raise BadResponse(f"{name} has {len(raw)} bytes, which are not one length-prefixed text")
    return content


# Questions that one call answers each: its name in the protocol, and the message.
HEALTH = (
    ("ServerLive", service_pb2.ServerLiveRequest()),
    ("ServerReady", service_pb2.ServerReadyRequest()),
    ("ServerMetadata", service_pb2.ServerMetadataRequest()),
    *(("ModelReady", service_pb2.ModelReadyRequest(name=name)) for name in MODELS),
)
LIMITS = ("ModelConfig", service_pb2.ModelConfigRequest(name=CHAT.name))
CAPACITY = ("ModelConfig", service_pb2.ModelConfigRequest(name=TRANSCRIBE.name))
SPEECH_MODELS = CAPACITY
WHISPER = "whisper"  # the first one's engine; a further one's has its name behind


LEDGER = ("ModelConfig", service_pb2.ModelConfigRequest(name=ENSEMBLE))
LEDGER_PARAMETER = "ledger"


def health(answers: Sequence[Any]) -> Health:
    """Health from the answers to HEALTH."""
    live, ready, metadata, *models = answers
    states = tuple(
        ModelState(name, answer.ready) for name, answer in zip(MODELS, models, strict=True)
    )
    return Health(live.live, ready.ready, states, metadata.name, metadata.version)


def limits(answer: Any) -> Limits:
    """Limits from the answer to LIMITS.

    Raises:
        BadResponse: the configuration does not state them.
    """
    parameters = {key: value.string_value for key, value in answer.config.parameters.items()}
    try:
        return Limits(int(parameters["max_seq_len"]), int(parameters["max_tokens"]))
    except (KeyError, ValueError) as error:
        raise BadResponse(
            f"the configuration of `{CHAT.name}` has the parameters `{parameters}`, must have the "
            "numbers `max_seq_len` and `max_tokens`; is this a onecard server?"
        ) from error


def speech_models(answer: Any) -> tuple[str, ...]:
    """The Whispers of a server, from the answer to SPEECH_MODELS; none where it does not say."""
    return _names(answer, "speech_models")


def speech_states(answer: Any) -> dict[SpeechModel, tuple[str, Any]]:
    """The Whispers as if none were loaded, each with the question whether it is.

    Args:
        answer: to SPEECH_MODELS.
    """
    found = {}
    on_demand = _names(answer, "speech_on_demand")
    for number, name in enumerate(speech_models(answer)):
        engine = f"{WHISPER}_{name}" if number else WHISPER
        question = ("ModelReady", service_pb2.ModelReadyRequest(name=engine))
        found[SpeechModel(name, False, name in on_demand)] = question
    return found


def _names(answer: Any, parameter: str) -> tuple[str, ...]:
    listed = answer.config.parameters[parameter].string_value
    return tuple(name for name in listed.split(",") if name)


def capacity(answer: Any) -> int:
    """How many recordings keep a server busy, from the answer to CAPACITY.

    It works on so many pieces of recordings at a time (`places`), and one more recording is sent
    and decoded meanwhile. A server that does not say so gets one recording at a time.
    """
    parameters = {key: value.string_value for key, value in answer.config.parameters.items()}
    try:
        places, streams = int(parameters["places"]), int(parameters["max_streams"])
    except (KeyError, ValueError):
        return 1
    return max(1, min(places + 1, streams))


def ledger(answer: Any) -> Ledger | None:
    """The ledger from the answer to LEDGER; None from a server that does not tell.

    Raises:
        BadResponse: what it tells is none.
    """
    text = answer.config.parameters[LEDGER_PARAMETER].string_value
    try:
        return decode(Ledger, parse(text)) if text else None
    except ValueError as error:
        raise BadResponse(
            f"the configuration of `{ENSEMBLE}` has the ledger `{text[:100]}`, which is none: "
            f"{error}; is this a onecard server?"
        ) from error
