"""KServe v2 messages for onecard's public models, and back.

It knows the tensors of `transcribe_stream` and the models' names; it does no input or output.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any

from tritonclient.grpc import service_pb2

from onecard_client._documents import Mismatch, decode, parse
from onecard_client._errors import BadResponse, CallContext, InvalidRequest, from_text
from onecard_client.events import Event, Progress, Segments
from onecard_client.health import Health, ModelState
from onecard_client.transcript import Transcript

# Every transcription goes over the stream, also one whose caller wants the transcript alone. In
# Triton 2.51 a unary gRPC request to an ensemble (`transcribe`) that is cancelled, by a deadline,
# Ctrl-C or a cut connection, can crash the server (triton-inference-server/server issues 7368 and
# 8034, mended upstream by its pull request 7840), and the ensemble's steps never hear of it. A
# cancelled stream does not, and the work ends.
TRANSCRIBE_STREAM = "transcribe_stream"
# The public models, then those that they call. Triton's own list, RepositoryIndex, belongs to the
# protocol that loads and unloads models, which the server keeps to itself.
MODELS = (
    "transcribe",
    TRANSCRIBE_STREAM,
    "decode_audio",
    "detect_speech",
    "recognize",
    "whisper",
    "align",
    "diarize",
    "label",
)
EVENT = "EVENT"

# protobuf and gRPC count a message's bytes in a signed 32-bit integer, on both sides.
MAX_MESSAGE_BYTES = 2**31 - 1
# Names, shapes, ids and length prefixes around AUDIO and OPTIONS; about 200 bytes in fact.
ENVELOPE_BYTES = 4096
MAX_AUDIO_BYTES = MAX_MESSAGE_BYTES - ENVELOPE_BYTES
# Every BYTES element is preceded by its length: 4 bytes, little-endian (KServe v2, binary data).
_LENGTH = struct.Struct("<I")
# Makes Triton end a failed stream with the error's gRPC status; without it a stream carries the
# error's text alone.
STREAM_METADATA = (("triton_grpc_error", "true"),)


def transcribe_request(audio: bytes, options: Mapping[str, Any], request_id: str) -> Any:
    """The ModelInferRequest that asks for a transcript of `audio`.

    Raises:
        InvalidRequest: an option is not JSON, or the message would be larger than gRPC can carry.
    """
    options_json = options_to_json(options)
    verify_size(len(audio) + len(options_json))
    request = service_pb2.ModelInferRequest(model_name=TRANSCRIBE_STREAM, id=request_id)
    for name, content in (("AUDIO", audio), ("OPTIONS", options_json)):
        request.inputs.add(name=name, datatype="BYTES", shape=[1, 1])
        request.raw_input_contents.append(_LENGTH.pack(len(content)) + content)
    return request


def options_to_json(options: Mapping[str, Any]) -> bytes:
    """OPTIONS. Names and values are the server's to judge; here they only have to be JSON."""
    for name, value in options.items():
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidRequest(
                f"option `{name}` is `{value!r}`, must be something that JSON has ({error}); "
                "give a text, a number, True, False or None"
            ) from error
    return json.dumps(dict(options)).encode()


def verify_size(num_bytes: int) -> None:
    """Raises InvalidRequest if a request with so many bytes of audio cannot be sent."""
    if num_bytes > MAX_AUDIO_BYTES:
        raise InvalidRequest(
            f"the audio has {num_bytes} bytes, must be at most {MAX_AUDIO_BYTES} (a gRPC message "
            "ends at 2 GiB); compress it, such as to FLAC or Opus, or send it in parts"
        )


def event(response: Any, context: CallContext) -> Event | None:
    """The event in a ModelStreamInferResponse of `transcribe_stream`.

    Returns:
        None for a response that only ends the stream, and for kinds of events that are newer than
        this client.

    Raises:
        OnecardError: the stream carries an error's text instead of an event.
        BadResponse: EVENT is missing or not an event.
    """
    if response.error_message:
        raise from_text(response.error_message, context)
    if not response.infer_response.outputs:
        return None
    try:
        return _event_of(parse(_output(response.infer_response, EVENT)))
    except ValueError as error:  # also Mismatch and InvalidTranscript
        raise BadResponse(
            f"{EVENT} is not an event: {error}", request_id=context.request_id
        ) from error


def _event_of(found: Any) -> Event | None:
    if not isinstance(found, dict):
        raise Mismatch("an object", found)
    document = {key: item for key, item in found.items() if key != "event"}
    match found.get("event"):
        case "progress":
            return decode(Progress, document)
        case "segments":
            return decode(Segments, document)
        case "result":
            return Transcript.from_dict(document.get("result"))
    return None


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


def health(live: Any, ready: Any, metadata: Any, models: Sequence[Any]) -> Health:
    """Health from the answers to ServerLive, ServerReady, ServerMetadata, and to ModelReady for
    each of MODELS."""
    states = tuple(
        ModelState(name, answer.ready) for name, answer in zip(MODELS, models, strict=True)
    )
    return Health(live.live, ready.ready, states, metadata.name, metadata.version)
