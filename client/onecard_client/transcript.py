"""A transcript: what was said, when, by whom, and an account of every second of the audio."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from onecard_client._answers.documents import Mismatch, decode, encode, parse
from onecard_formats import writers
from onecard_formats._subtitles.scripts import joined
from onecard_formats.subtitles import SubtitleLayout


class InvalidTranscript(ValueError):
    """A text is not a transcript's JSON."""


@dataclass(frozen=True)
class Word:
    """One word; times in seconds from the start of the audio, None where it could not be timed.

    Attributes:
        score: mean probability of the word's characters or frames under the aligner, 0 to 1.
        timing: `interpolated` if the times were taken from the neighbours instead of the audio.
        extra: keys that a newer server sent and this class does not have.
    """

    word: str
    start: float | None = None
    end: float | None = None
    score: float | None = None
    speaker: str | None = None
    timing: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Segment:
    """One sentence (with alignment) or one chunk of speech (without); times in seconds.

    Whisper decodes a chunk at once, so that its sentences share `avg_logprob`, `compression_ratio`,
    `no_speech_prob` and `temperature`. What the server's engine does not tell is None.

    Attributes:
        aligner: which aligner timed the words: ctc, pocketsphinx, attention, proportional or none.
        chars: times of single characters, as WhisperX has them; only with `return_char_alignments`.
        language: where it is not the transcript's.
        avg_logprob: mean log-probability of the chunk's tokens, the end token included.
        compression_ratio: bytes of the chunk's text by those of its zlib form.
        no_speech_prob: how probable it is that nobody speaks in the chunk, from 0 to 1.
        temperature: at which the chunk was decoded; 0 is a beam search, above it a sample.
        tokens: of Whisper's vocabulary, of this segment's text alone.
    """

    start: float
    end: float
    text: str
    speaker: str | None = None
    avg_logprob: float | None = None
    words: tuple[Word, ...] = ()
    aligner: str | None = None
    chars: tuple[Mapping[str, Any], ...] | None = None
    language: str | None = None
    compression_ratio: float | None = None
    no_speech_prob: float | None = None
    temperature: float | None = None
    tokens: tuple[int, ...] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)


def text_of(segments: Iterable[Segment]) -> str:
    """What is said in segments that follow one another, in one line, without speakers or times."""
    return joined(segment.text for segment in segments)


@dataclass(frozen=True)
class Turn:
    """One speaker talking from `start` to `end`, in seconds; turns of two speakers may overlap."""

    start: float
    end: float
    speaker: str
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Account:
    """Where the audio's seconds went: duration = speech + silence, speech = transcribed + dropped.

    Attributes:
        aligned_s: seconds in segments whose words were timed by listening to the audio.
        retried: regions that were decoded a second time, each with its reason.
        dropped: regions of speech that have no text, each with its reason.
        missing_s: seconds that the file declared and did not hold.
        gaps: silence in place of what was damaged or never recorded: `start` and `end` each.
    """

    duration_s: float
    speech_s: float
    silence_s: float
    transcribed_s: float
    dropped_s: float
    aligned_s: float
    num_chunks: int
    num_words: int
    num_words_interpolated: int
    num_words_untimed: int
    retried: tuple[Mapping[str, Any], ...] = ()
    dropped: tuple[Mapping[str, Any], ...] = ()
    missing_s: float = 0.0
    gaps: tuple[Mapping[str, Any], ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class KnownSpeaker:
    """What became of a voice of `known_speakers`.

    Attributes:
        found: whether a speaker has this name.
        distance: cosine distance, 0 to 2, from the speaker of this name, else from the nearest one;
            None where no speaker has a vector.
        max_distance: the largest one at which a voice is found.
    """

    name: str
    found: bool
    distance: float | None
    max_distance: float
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Transcript:
    """A transcript, as `transcribe` returns it.

    Attributes:
        turns: who spoke when; None if diarization was switched off.
        clip: the audio as it was sent: duration_s, sample_rate, channels, container, codec, track
            of num_tracks, start_s.
        engine: which engine and model did each step.
        options: the options in force, defaults included.
        formats: the texts that the option `formats` asked the server for, such as `srt`.
    """

    version: str
    segments: tuple[Segment, ...]
    speakers: tuple[str, ...]
    language: str
    language_probability: float | None
    duration_s: float
    clip: Mapping[str, Any]
    turns: tuple[Turn, ...] | None
    account: Account
    engine: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    speaker_embeddings: Mapping[str, tuple[float, ...]] | None = None
    formats: Mapping[str, str] | None = None
    known_speakers: tuple[KnownSpeaker, ...] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def text(self) -> str:
        """Everything that was said, in one line, without speakers or times."""
        return text_of(self.segments)

    @property
    def words(self) -> tuple[Word, ...]:
        """The words of all segments, in order."""
        return tuple(word for segment in self.segments for word in segment.words)

    @classmethod
    def from_json(cls, text: str | bytes) -> Transcript:
        """A transcript from RESULT, or from what `to_json` wrote.

        Raises:
            InvalidTranscript: not JSON, or a key is missing or holds something else.
        """
        try:
            found = parse(text)
        except ValueError as error:
            raise InvalidTranscript(
                f"the transcript is not JSON ({error}); give the server's RESULT"
            ) from error
        return cls.from_dict(found)

    @classmethod
    def from_dict(cls, found: object) -> Transcript:
        """A transcript from parsed JSON. Raises: InvalidTranscript, as `from_json` does."""
        if isinstance(found, dict):
            # every word is in its segment as well
            found = {key: item for key, item in found.items() if key != "word_segments"}
        try:
            return decode(cls, found)
        except Mismatch as mismatch:
            raise InvalidTranscript(
                f"in the transcript {mismatch}; client and server may be of different versions"
            ) from mismatch

    def to_dict(self) -> dict[str, Any]:
        """RESULT as parsed JSON; WhisperX's keys have WhisperX's names and meaning."""
        document: dict[str, Any] = encode(self)
        words = [word for segment in document["segments"] for word in segment["words"]]
        head = {key: document.pop(key) for key in ("version", "segments")}
        return {**head, "word_segments": words, **document}

    def to_json(self, *, indent: int | None = None) -> str:
        """One line as WhisperX writes it, or indented."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=indent)

    def to_srt(
        self,
        *,
        max_line_width: int | None = None,
        max_line_count: int | None = None,
        highlight_words: bool = False,
        whisperx_compat: bool = False,
    ) -> str:
        """SubRip, for readers; `SubtitleLayout` says what the options and their defaults mean."""
        return writers.srt(
            self, SubtitleLayout(max_line_width, max_line_count, highlight_words, whisperx_compat)
        )

    def to_vtt(
        self,
        *,
        max_line_width: int | None = None,
        max_line_count: int | None = None,
        highlight_words: bool = False,
        whisperx_compat: bool = False,
    ) -> str:
        """WebVTT, for readers; `SubtitleLayout` says what the options and their defaults mean."""
        return writers.vtt(
            self, SubtitleLayout(max_line_width, max_line_count, highlight_words, whisperx_compat)
        )

    def to_txt(self) -> str:
        """One segment a line, `[SPEAKER_00]: ` in front where the speaker is known."""
        return writers.txt(self, SubtitleLayout())

    def to_tsv(self) -> str:
        """Start and end in whole milliseconds, and the text, below a header line."""
        return writers.tsv(self, SubtitleLayout())

    def to_rttm(self) -> str:
        """Who spoke when, as NIST's RTTM; empty where speakers were not told apart."""
        return writers.rttm(self, SubtitleLayout())

    def to_aud(self) -> str:
        """An Audacity label track: start and end in seconds, `[[SPEAKER_00]]text`."""
        return writers.aud(self, SubtitleLayout())
