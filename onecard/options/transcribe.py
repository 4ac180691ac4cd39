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
from onecard.errors import InvalidRequest, shown
from onecard.options import fields, languages, spans, voices
from onecard.options.spans import Span

MAX_SPEAKERS = 64
MAX_BEAM_SIZE = 16
MAX_CHUNK_SIZE_S = float(whisper.CHUNK_S)  # the encoder would cut a longer chunk
MIN_CHUNK_SIZE_S = 1.0
FORMATS = ("srt", "vtt", "txt", "tsv", "aud", "rttm")  # of onecard_formats
SEPARATE = "separate"  # in place of a number of channels


@dataclass(frozen=True)
class TranscribeOptions:
    """Options of one transcription request; the defaults are what an empty object means."""

    # recognition
    language: str | None = None
    model: str | None = None
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
    patience: float = 1.0
    prefix: str | None = None
    max_new_tokens: int | None = None
    no_repeat_ngram_size: int = 0
    condition_on_previous_text: bool = False
    without_timestamps: bool = True
    multilingual: bool | None = None
    hallucination_silence_threshold: float | None = None
    # the part of the recording, in seconds; and the caller's own segments in place of detection
    offset: float = 0.0
    duration: float | None = None
    clip_timestamps: str | list[Any] | None = None
    segments: list[Any] | None = None
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
    channels: int | str | None = None
    separate_channels: bool = False
    audio_track: int | None = None
    strict: bool = False
    # texts in the result, as a list or with commas between: `srt,vtt`
    formats: str | list[Any] | None = None

    def __post_init__(self) -> None:
        fields.verify_types(self)
        for name, value in _channels(self).items():
            object.__setattr__(self, name, value)
        fields.verify_ranges(self, _RANGES)
        _verify_speakers(self)
        voices.verify(self.known_speakers, self.tells_speakers)
        found = {
            "language": languages.code(self.language),
            "clip_timestamps": spans.clips(self.clip_timestamps),
            "segments": spans.segments(self.segments),
            "formats": _formats(self.formats),
            **_telephone_defaults(self),
        }
        for name, value in found.items():
            object.__setattr__(self, name, value)
        _verify_encoding(self)
        _verify_parts(self)
        _verify_separate(self)
        if self.prefix and not self.without_timestamps:
            raise InvalidRequest(
                "`prefix` is given and `without_timestamps` is false; a text that begins with the "
                "prefix has no timestamp ahead of it, so give one of them"
            )

    @property
    def spans(self) -> tuple[Span, ...]:
        """What is to be transcribed, as [start, end) in seconds; none for the whole recording."""
        return spans.wanted(self.offset, self.duration, self.clip_timestamps)  # type: ignore[arg-type]

    @property
    def tells_speakers(self) -> bool:
        """Whether diarization has work; of separate channels each is a speaker."""
        return self.diarize and not self.separate_channels

    @property
    def has_scores(self) -> bool:
        """Whether detection computes the scores that diarization can use."""
        return self.vad_method == "pyannote" and self.segments is None

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
    "patience": (0.1, 10.0),
    "max_new_tokens": (1, whisper.NUM_TEXT_POSITIONS),
    "no_repeat_ngram_size": (0, 100),
    "hallucination_silence_threshold": (0.0, 3600.0),
    "offset": (0.0, spans.MAX_TIME_S),
    "duration": (spans.MIN_SPAN_S, spans.MAX_TIME_S),
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


def _formats(formats: str | list[Any] | None) -> list[str] | None:
    """Each format once, in the order in which they were asked for."""
    names = formats.split(",") if isinstance(formats, str) else formats or []
    found = [name.strip().lower() if isinstance(name, str) else name for name in names]
    for name in found:
        if name and name not in FORMATS:
            raise InvalidRequest(
                f"option `formats` holds {shown(name)}, must be of {', '.join(FORMATS)}; RESULT "
                "itself is JSON"
            )
    return list(dict.fromkeys(filter(None, found))) or None


def _channels(options: TranscribeOptions) -> dict[str, Any]:
    """`channels` as a number, where it is the word `separate` or a number in quotes."""
    given = options.channels
    if not isinstance(given, str):
        return {}
    if given == SEPARATE:
        return {"channels": None, "separate_channels": True}
    if not (given.isdecimal() and len(given) <= 2):
        raise fields.wrong("channels", given, f"a whole number, or `{SEPARATE}` for each by itself")
    return {"channels": int(given)}


def _verify_separate(options: TranscribeOptions) -> None:
    """Raises InvalidRequest for options that mean nothing where each channel is a speaker."""
    others = {
        "vad_filter": not options.vad_filter,
        "segments": options.segments is not None,
        "num_speakers": options.num_speakers is not None,
        "min_speakers": options.min_speakers is not None,
        "max_speakers": options.max_speakers is not None,
        "speaker_embeddings": options.speaker_embeddings,
    }
    given = [name for name, is_given in others.items() if is_given]
    if options.separate_channels and given:
        raise InvalidRequest(
            f"`{given[0]}` is {shown(getattr(options, given[0]))} and the channels are separate: "
            "each is a speaker, who is heard where there is speech in it; leave one of them out"
        )


def _verify_parts(options: TranscribeOptions) -> None:
    """Raises InvalidRequest where the part to be transcribed is named twice."""
    if options.spans and options.segments is not None:
        raise InvalidRequest(
            "`segments` is given and `offset`, `duration` or `clip_timestamps` too; leave out the "
            "segments that are not to be transcribed"
        )


def _telephone_defaults(options: TranscribeOptions) -> dict[str, int]:
    """The rate and the one channel of codings that telephones use, where none are given."""
    coding = encodings.ENCODINGS.get(options.encoding)
    if coding is None or coding.sample_rate is None:
        return {}
    usual = {"sample_rate": coding.sample_rate, "channels": 1}
    return {name: value for name, value in usual.items() if getattr(options, name) is None}
