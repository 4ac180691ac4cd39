"""The attempts at a chunk of speech: whether one is good enough, and which one is the best.

The criteria are OpenAI's (openai/whisper, whisper/transcribe.py); the choice among attempts that
all failed is faster-whisper's.

One criterion is narrower than OpenAI's. Text that compresses too well counts against an attempt
only if it also says something several times in a row, as a decoder in a loop does. Announcements,
lists and drills compress as well, even more in scripts of two UTF-8 bytes per character. Trying
them again ended with a worse text at the highest temperature.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from onecard.options.transcribe import TranscribeOptions
from onecard.whisper.mel import Features
from onecard.whisper.tokenizer import TimedTokens

Document = dict[str, Any]

# Where there is speech, words of the prompt are more probable than this, and the first token is
# seldom the one for no speech (seen with Whisper base: speech -0.7 and 0.17 at worst; noise, music,
# ringing and DTMF -0.88 or 0.48 at best).
ECHO_LOGPROB = -0.9
QUIET_NO_SPEECH_PROB = 0.25
# A chunk in which speech detection scores less has not been heard by it at its defaults. Such ones
# come of a low `vad_onset` or of `vad_filter=False`.
UNHEARD_SCORE = TranscribeOptions.vad_onset
# A phrase of at least four characters, three times in a row; in text without punctuation.
_CIRCLE = re.compile(r"(.{4,}?)\1\1")
_PUNCTUATION = re.compile(r"[^\w\s]+")


@dataclass(frozen=True)
class Attempt:
    """One decoding of one chunk. `is_full`: it ended by the limit on new tokens.

    `tokens` are those of the text; `timed` those of each of Whisper's own segments, with its start
    and end in the chunk, where they were asked for. `no_speech_prob` is None where the engine does
    not tell it.
    """

    text: str
    avg_logprob: float
    temperature: float
    is_full: bool
    tokens: tuple[int, ...] = ()
    no_speech_prob: float | None = None
    timed: tuple[TimedTokens, ...] = ()

    @property
    def compression_ratio(self) -> float:
        """Bytes of the text per byte of its zlib form: repetition compresses well."""
        data = self.text.strip().encode()
        return len(data) / len(zlib.compress(data))

    @property
    def has_words(self) -> bool:
        """Whether there is a letter or a digit: music gives hundreds of dots and notes."""
        return any(character.isalnum() for character in self.text)

    @property
    def words(self) -> set[str]:
        return words_of(self.text)

    @property
    def runs_in_circles(self) -> bool:
        """Whether a phrase follows itself at least twice."""
        words = _PUNCTUATION.sub(" ", self.text.casefold()).split()
        return _CIRCLE.search(" ".join(words) + " ") is not None


def words_of(text: str) -> set[str]:
    """Its words, without case and punctuation."""
    return set(_PUNCTUATION.sub(" ", text.casefold()).split())


@dataclass
class Chunk:
    """A chunk and all that has been tried on it.

    `error` is the engine's when it was last asked. `no_speech_prob` is asked for only where the
    text is doubtful, and is an upper bound unless the token for no speech came first
    (`starts_silent`); `is_silence` says that it is above the threshold as well. `vad_score` is
    speech detection's highest, from 0 to 1, where its method gives one.
    """

    start_s: float
    end_s: float
    features: Callable[[], Features]
    attempts: list[Attempt] = field(default_factory=list)
    error: Exception | None = None
    no_speech_prob: float | None = None
    is_silence: bool = False
    starts_silent: bool = False
    language: str | None = None  # where it is not the recording's
    previous: Sequence[int] = ()  # tokens of the text before it, where it is to go on from there
    prefix: Sequence[int] = ()  # tokens with which its text begins
    vad_score: float | None = None

    @property
    def is_unheard(self) -> bool:
        """Whether speech detection at its defaults would have left it out."""
        return self.vad_score is not None and self.vad_score < UNHEARD_SCORE

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s

    def entry(self, reason: str) -> Document:
        """An entry of the lists `retried` and `dropped`."""
        return {"start": self.start_s, "end": self.end_s, "reason": reason}

    def segment(self, attempt: Attempt) -> Document:
        silence = attempt.no_speech_prob
        if silence is None and self.starts_silent:
            silence = self.no_speech_prob
        return {
            "start": self.start_s,
            "end": self.end_s,
            "text": attempt.text,
            "avg_logprob": attempt.avg_logprob,
            "compression_ratio": attempt.compression_ratio,
            "no_speech_prob": silence,
            "temperature": attempt.temperature,
            "tokens": list(attempt.tokens),
            **({"language": self.language} if self.language else {}),
        }


@dataclass(frozen=True)
class Criteria:
    """The thresholds that an attempt has to meet; None switches one off."""

    compression_ratio_threshold: float | None
    logprob_threshold: float | None
    no_speech_threshold: float | None
    prompt_words: frozenset[str] = frozenset()

    @classmethod
    def from_options(cls, options: TranscribeOptions) -> Criteria:
        return cls(
            options.compression_ratio_threshold,
            options.logprob_threshold,
            options.no_speech_threshold,
            frozenset(words_of(f"{options.initial_prompt or ''} {options.hotwords or ''}")),
        )

    def is_improbable(self, attempt: Attempt) -> bool:
        least = self.logprob_threshold
        return least is not None and attempt.avg_logprob < least

    def is_repetitive(self, attempt: Attempt) -> bool:
        most = self.compression_ratio_threshold
        return most is not None and attempt.compression_ratio > most and attempt.runs_in_circles

    def is_echo(self, attempt: Attempt) -> bool:
        """Whether it has words of the prompt alone, as Whisper writes where nobody speaks."""
        return bool(attempt.words) and attempt.words <= self.prompt_words

    def is_doubtful_speech(self, chunk: Chunk, is_last: bool) -> bool:
        """Whether it has to be asked if there is any speech at all.

        What repeats itself may not do so at the next temperature.
        """
        attempt = chunk.attempts[-1]
        is_repetitive = is_last and self.is_repetitive(attempt)
        is_improbable = self.is_improbable(attempt)
        return is_repetitive or is_improbable or self.is_echo(attempt) or chunk.is_unheard

    def is_invented(self, chunk: Chunk, attempt: Attempt) -> bool:
        """Whether the text is the prompt's, a repetition or improbable, and the sound no speech.

        For improbable text Whisper's own rule asks for more silence than ringing, keys of a
        telephone and music have.
        """
        is_quiet = chunk.starts_silent and (chunk.no_speech_prob or 0.0) > QUIET_NO_SPEECH_PROB
        if self.is_echo(attempt) or self.is_repetitive(attempt):
            return is_quiet or attempt.avg_logprob < ECHO_LOGPROB
        return is_quiet and self.is_improbable(attempt)

    def is_silent(self, chunk: Chunk) -> bool:
        """Text where the model hears no speech, and that is improbable or the VAD heard none.

        Whisper writes `Thank you.` into silence with a good probability.
        """
        return chunk.is_silence and (chunk.is_unheard or self.is_improbable(chunk.attempts[-1]))

    def doubt(self, chunk: Chunk) -> str | None:
        """Why the last attempt will not do; None where it will, or where trying on is futile."""
        if not chunk.attempts or self.is_silent(chunk):
            return None
        last = chunk.attempts[-1]
        at = f"at temperature {last.temperature:g}"
        if self.is_repetitive(last):
            return (
                f"compression ratio {last.compression_ratio:.2f} above "
                f"{self.compression_ratio_threshold} {at}"
            )
        if self.is_improbable(last):
            return (
                f"average log-probability {last.avg_logprob:.2f} below "
                f"{self.logprob_threshold} {at}"
            )
        if not last.has_words and len(chunk.attempts) == 1:
            return f"no text {at}"
        return None

    def best(self, chunk: Chunk) -> Attempt | None:
        """The last attempt where it will do, else the most probable that is not repetitive."""
        if not chunk.attempts:
            return None
        if self.doubt(chunk) is None:
            return chunk.attempts[-1]
        sober = [attempt for attempt in chunk.attempts if not self.is_repetitive(attempt)]
        return max(sober or chunk.attempts, key=lambda attempt: attempt.avg_logprob)


def temperatures(options: TranscribeOptions) -> list[float]:
    """The temperatures from `temperature` up to 1, one for each attempt."""
    step = options.temperature_increment_on_fallback
    if step is None:
        return [options.temperature]
    num_steps = int((1.0 + 1e-6 - options.temperature) / step)
    return [round(options.temperature + index * step, 6) for index in range(num_steps + 1)]
