"""Options of a transcription: names, defaults and limits, validated in one place.

Names and defaults are WhisperX's, where it has the option.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any, Literal

from onecard.audio import encodings
from onecard.contract import whisper
from onecard.errors import InvalidRequest
from onecard.options import fields, languages, voices

MAX_SPEAKERS = 64
MAX_BEAM_SIZE = 16
MAX_CHUNK_SIZE_S = float(whisper.CHUNK_S)  # the encoder would cut a longer chunk
MIN_CHUNK_SIZE_S = 1.0


@dataclass(frozen=True)
class TranscribeOptions:
    """Options of one transcription request; the defaults are what an empty object means."""

    # recognition
    language: str | None = None
    task: Literal["transcribe", "translate"] = "transcribe"
    initial_prompt: str | None = None
    hotwords: str | None = None
    suppress_tokens: str = "-1"
    suppress_numerals: bool = False
    beam_size: int | None = None
    best_of: int = 5
    temperature: float = 0.0
    temperature_increment_on_fallback: float | None = 0.2
    length_penalty: float = 1.0
    repetition_penalty: float = 1.0
    compression_ratio_threshold: float | None = 2.4
    logprob_threshold: float | None = -1.0
    no_speech_threshold: float | None = 0.6
    # voice activity detection
    vad_filter: bool = True
    vad_method: Literal["pyannote", "silero"] = "pyannote"
    vad_onset: float = 0.5
    vad_offset: float = 0.363
    chunk_size: float = MAX_CHUNK_SIZE_S
    # alignment
    align: bool = True
    interpolate_method: Literal["nearest", "linear", "ignore"] = "nearest"
    return_char_alignments: bool = False
    # diarization
    diarize: bool = True
    num_speakers: int | None = None
    min_speakers: int | None = None
    max_speakers: int | None = None
    speaker_embeddings: bool = False
    known_speakers: dict[str, list[float]] | None = None  # name -> vector of the voice
    known_speaker_distance: float | None = None  # of a voice, the largest; None: the network's
    # what AUDIO holds: a file in any container, or raw PCM that says nothing about itself
    encoding: encodings.Name = "auto"
    sample_rate: int | None = None
    channels: int | None = None
    audio_track: int | None = None
    strict: bool = False

    def __post_init__(self) -> None:
        fields.verify_types(self)
        fields.verify_ranges(self, _RANGES)
        _verify_speakers(self)
        voices.verify(self.known_speakers, self.diarize)
        found = {"language": languages.code(self.language), **_telephone_defaults(self)}
        for name, value in found.items():
            object.__setattr__(self, name, value)
        _verify_encoding(self)

    @classmethod
    def from_json(cls, text: str | bytes) -> TranscribeOptions:
        """Options from a JSON object; an empty text means the defaults.

        Raises:
            InvalidRequest: not a JSON object, an unknown name (the nearest known one is named),
                a value of the wrong type, or one outside its limits.
        """
        return fields.parse(cls, text)

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def to_json(self) -> str:
        return json.dumps(self.to_dict())


@dataclass(frozen=True)
class StreamOptions(TranscribeOptions):
    """The same of a streamed transcription, and how it is told.

    `stream`: false for the result as the only event.
    """

    stream: bool = True

    def pipeline(self) -> TranscribeOptions:
        """The options for the models of the pipeline."""
        names = [field.name for field in dataclasses.fields(TranscribeOptions)]
        return TranscribeOptions(**{name: getattr(self, name) for name in names})


# name -> (lowest, highest), both allowed
_RANGES: dict[str, tuple[float, float]] = {
    "beam_size": (1, MAX_BEAM_SIZE),
    "best_of": (1, MAX_BEAM_SIZE),
    "temperature": (0.0, 1.0),
    "temperature_increment_on_fallback": (0.05, 1.0),
    "length_penalty": (0.0, 2.0),
    "repetition_penalty": (0.5, 2.0),
    "compression_ratio_threshold": (1.0, 100.0),
    "logprob_threshold": (-100.0, 0.0),
    "no_speech_threshold": (0.0, 1.0),
    "vad_onset": (0.001, 0.999),
    "vad_offset": (0.001, 0.999),
    "chunk_size": (MIN_CHUNK_SIZE_S, MAX_CHUNK_SIZE_S),
    "num_speakers": (1, MAX_SPEAKERS),
    "min_speakers": (1, MAX_SPEAKERS),
    "max_speakers": (1, MAX_SPEAKERS),
    "sample_rate": (1_000, 384_000),
    "channels": (1, 64),
    "audio_track": (0, 999),
    "known_speaker_distance": (0.0, 2.0),
}


def _verify_speakers(options: TranscribeOptions) -> None:
    low, high = options.min_speakers, options.max_speakers
    if low is not None and high is not None and low > high:
        raise InvalidRequest(
            f"`min_speakers` is {low} and `max_speakers` is {high}; the first must not exceed "
            "the second"
        )
    if options.num_speakers is not None and (low is not None or high is not None):
        raise InvalidRequest(
            f"`num_speakers` is {options.num_speakers} and `min_speakers`/`max_speakers` are set "
            "too; give either the exact number or the bounds"
        )


def _verify_encoding(options: TranscribeOptions) -> None:
    coding = encodings.ENCODINGS.get(options.encoding)
    for name in ("sample_rate", "channels"):
        value = getattr(options, name)
        if coding is not None and value is None:
            raise InvalidRequest(
                f"`encoding` is `{options.encoding}` and `{name}` is missing; raw PCM says nothing "
                f"about itself, so give `{name}`"
            )
        if coding is None and value is not None:
            raise InvalidRequest(
                f"`{name}` is {value} and `encoding` is `auto`; a file states its own, so leave "
                f"`{name}` out, or set `encoding` for raw PCM"
            )
    if coding is not None and coding.is_mono and options.channels != 1:
        raise fields.wrong("channels", options.channels, f"1 with `{options.encoding}`")
    if coding is not None and coding.is_fixed and options.sample_rate != coding.sample_rate:
        raise fields.wrong(
            "sample_rate", options.sample_rate, f"{coding.sample_rate} with `{options.encoding}`"
        )


def _telephone_defaults(options: TranscribeOptions) -> dict[str, int]:
    """The rate and the one channel of codings that telephones use, where none are given."""
    coding = encodings.ENCODINGS.get(options.encoding)
    if coding is None or coding.sample_rate is None:
        return {}
    usual = {"sample_rate": coding.sample_rate, "channels": 1}
    return {name: value for name, value in usual.items() if getattr(options, name) is None}
