"""The loads there are: which model each drives, with what, and what a request holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tritonclient.grpc import InferenceServerClient

from bench.perf import inputs
from bench.perf.inputs import Step
from build_scripts.errors import ServerError
from onecard.manifest import ManifestError
from onecard.options import parameters
from onecard.recognition import recognizer as recognition


@dataclass(frozen=True)
class Profile:
    """A load on one model, which has the profile's name.

    `first_event`: of a streaming model, the kind of event that a caller waits for; else empty.
    `audio_s`: seconds of speech in a request; 0 where there is none.
    """

    name: str
    what: str
    make: Callable[[InferenceServerClient], list[Step]]
    first_event: str = ""
    audio_s: float = 0.0

    @property
    def streams(self) -> bool:
        return bool(self.first_event)


def _whisper(server: InferenceServerClient) -> list[Step]:
    found = server.get_model_config("recognize").config.parameters
    values = {key: one.string_value for key, one in found.items()}
    try:
        recognizer = recognition.load(parameters.parse(recognition.Config, values))
    except (ManifestError, OSError, ValueError) as error:
        raise ServerError(
            f"the server's Whisper has its vocabulary in `{values.get('engine_dir')}`, which has "
            f"to be here as well to ask it: {error}; or leave `whisper` out"
        ) from None
    return inputs.whisper(inputs.clips(), recognizer)


PROFILES = {
    one.name: one
    for one in (
        Profile(
            "transcribe_stream",
            f"{inputs.CLIP_S} s of speech as a WAV file, streamed: what onecard's client asks",
            lambda _: inputs.transcribe(inputs.clips()),
            first_event="segments",
            audio_s=inputs.CLIP_S,
        ),
        Profile(
            "transcribe",
            "the same file to the ensemble, unary: what a caller without a stream asks",
            lambda _: inputs.transcribe(inputs.clips()),
            audio_s=inputs.CLIP_S,
        ),
        Profile(
            "whisper",
            f"the engine alone: log-mel and prompt of {inputs.CLIP_S} s of speech",
            _whisper,
            audio_s=inputs.CLIP_S,
        ),
        Profile(
            "chat",
            f"a mail to sum up in {inputs.CHAT_TOKENS} tokens, streamed",
            lambda _: inputs.chat(inputs.mails()),
            first_event="delta",
        ),
        Profile(
            "triage",
            "one mail to judge, streamed",
            lambda _: inputs.triage(inputs.mails()),
            first_event="verdict",
        ),
    )
}
MIXED = "mixed"
MIX = ("transcribe_stream", "chat")  # speech and text at once, as onecard's client asks
NAMES = (*PROFILES, MIXED)


def members(name: str) -> tuple[Profile, ...]:
    """The profiles that run at once under `name`."""
    return tuple(PROFILES[one] for one in (MIX if name == MIXED else (name,)))


def needed(names: Sequence[str]) -> list[Profile]:
    """Every profile that `names` run, once."""
    found: dict[str, Any] = {one.name: one for name in names for one in members(name)}
    return list(found.values())
