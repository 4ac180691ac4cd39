"""Chunks of speech to text: language, prompt, decoding, second tries, an account of each chunk.

The order of things is OpenAI's (openai/whisper, whisper/transcribe.py). An engine is handed in.
`onecard.recognition.fallback` decides what is good enough.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from onecard import manifest
from onecard.audio import SAMPLE_RATE, Pcm
from onecard.contract import shapes
from onecard.contract.whisper import CHUNK_S
from onecard.errors import InvalidRequest, Unavailable
from onecard.options.transcribe import TranscribeOptions
from onecard.recognition import fallback
from onecard.recognition import language as languages
from onecard.recognition.engine import TENSORRT_LLM, Answer, Decode, Decoded, Engine
from onecard.recognition.fallback import Attempt, Chunk, Criteria, Document
from onecard.recognition.language import Language
from onecard.whisper.abilities import Abilities
from onecard.whisper.mel import NUM_SAMPLES, log_mel
from onecard.whisper.tokenizer import Tokenizer


@dataclass(frozen=True)
class Config:
    """Parameters of config.pbtxt: the engine, and what it was built for."""

    whisper_model: str  # its name in the model repository
    engine_dir: str  # with the manifest and tokenizer.json
    engine_backend: str  # of the manifest that the plan counts on
    engine_precision: str  # in which that one computes
    max_chunks_in_flight: int  # of one request
    beam_size: int  # where a request names none
    max_beam_size: int
    max_new_tokens: int
    max_seq_len: int  # prompt and new tokens together


def load(config: Config) -> Recognizer:
    """A recognizer for the engine that `config.engine_dir` holds.

    Raises:
        ManifestError: a file of it is missing or is not the one that was built.
    """
    facts = manifest.engine(config)
    directory = Path(config.engine_dir)
    features = json.loads((directory / "preprocessor_config.json").read_text(encoding="utf-8"))
    tokenizer = Tokenizer(directory / "tokenizer.json")
    return Recognizer(tokenizer, config, facts, int(features["feature_size"]))


class Recognizer:
    """Whisper's transcription of the chunks that `detect_speech` found.

    Args:
        facts: of the engine, for the result's `engine` block.
        num_mels: what the engine takes.
    """

    def __init__(
        self, tokenizer: Tokenizer, config: Config, facts: Mapping[str, Any], num_mels: int
    ) -> None:
        self.tokenizer = tokenizer
        self._config = config
        self._facts = dict(facts)
        self._num_mels = num_mels
        codes = tuple(tokenizer.languages.values())
        self._abilities = Abilities(codes, tokenizer.num_tokens, config.max_beam_size)

    def recognize(
        self, pcm: Pcm, speech: Document, options: TranscribeOptions, engine: Engine
    ) -> Document:
        """The SEGMENTS document: a segment for each chunk with text, in order.

        Every chunk is in `segments` or, with a reason, in `dropped`. Where `pcm` is a part of the
        clip, `speech` has the part's `first_sample`; times are those of the clip all the same. Its
        `language`, where it has one, is what the parts before were found to be spoken in.

        Raises:
            InvalidRequest: an option that this model or its engine cannot serve, or chunks
                that do not fit the clip or the encoder.
            Unavailable: the engine is overloaded, or failed on every chunk.
        """
        self._abilities.verify(options)
        shapes.verify("SPEECH", speech, shapes.SPEECH)
        first_sample = int(speech.get("first_sample") or 0)
        duration_s = speech.get("duration_s")
        if duration_s is None:
            duration_s = (first_sample + len(pcm)) / SAMPLE_RATE
        chunks = [
            self._chunk(pcm, chunk, first_sample, float(duration_s)) for chunk in speech["chunks"]
        ]
        language = self._language(chunks, speech, options, engine)
        warnings = [language.warning] if language.warning else []
        if options.language is None and self.tokenizer.is_multilingual:
            self._tell_languages(chunks, speech, language.code, engine)
        request = _Request(self.tokenizer, self._config, options, language.code)
        request.run(chunks, engine)
        outcome = request.outcome(chunks)
        return {
            "language": language.code,
            "language_probability": language.probability,
            "task": options.task,
            "first_sample": first_sample,
            **outcome,
            "engine": {**self._facts, "beam_size": request.beam_size},
            "warnings": warnings + request.warnings,
        }

    def _chunk(self, pcm: Pcm, chunk: Document, first_sample: int, duration_s: float) -> Chunk:
        """Cut out as WhisperX does: both ends truncated to whole samples."""
        first, last = (int(chunk[key] * SAMPLE_RATE) - first_sample for key in ("start", "end"))
        if not 0 <= first < last <= len(pcm):
            raise InvalidRequest(
                f"SPEECH has a chunk from {chunk['start']} to {chunk['end']} s, PCM has "
                f"{len(pcm) / SAMPLE_RATE:.3f} s of the clip; send the SPEECH of this PCM"
            )
        if last - first > NUM_SAMPLES:
            raise InvalidRequest(
                f"SPEECH has a chunk from {chunk['start']} to {chunk['end']} s, the encoder takes "
                f"{CHUNK_S} s; use a `chunk_size` of at most {CHUNK_S}"
            )
        end_s = min(round(chunk["end"], 3), duration_s)
        make = partial(log_mel, pcm[first:last], self._num_mels)
        return Chunk(round(chunk["start"], 3), end_s, make, vad_score=chunk.get("score"))

    def _tell_languages(
        self, chunks: Sequence[Chunk], speech: Document, code: str, engine: Engine
    ) -> None:
        """Mark the chunks that are spoken in another language than `code`."""
        if len(chunks) == 1 and speech.get("language") is None:
            return  # it decided itself
        for index, heard in languages.others(engine, chunks, code, self.tokenizer).items():
            chunks[index].language = heard

    def _language(
        self, chunks: Sequence[Chunk], speech: Document, options: TranscribeOptions, engine: Engine
    ) -> Language:
        nothing = None if chunks else "no speech was found"
        if options.language is not None:
            return Language(self.tokenizer.language(options.language), None, nothing)
        if not self.tokenizer.is_multilingual:
            return Language("en", None, nothing)
        if speech.get("language") is not None:
            return Language(self.tokenizer.language(speech["language"]), None, nothing)
        if not chunks:
            return Language(languages.FALLBACK, None, f"{nothing}, hence no language")
        # After the first chunk the longest: they hold the most to judge by.
        others = sorted(chunks[1:], key=lambda chunk: chunk.start_s - chunk.end_s)
        features = [chunk.features for chunk in (chunks[0], *others)]
        return languages.detect(engine, features, self.tokenizer)


class _Request:
    """The decoding of one request's chunks, round by round."""

    def __init__(
        self, tokenizer: Tokenizer, config: Config, options: TranscribeOptions, language: str
    ) -> None:
        self._tokenizer = tokenizer
        self._options = options
        self._criteria = Criteria.from_options(options)
        self._language = language
        self._suppressed = tokenizer.suppressed(options)
        num_prompt_tokens = len(tokenizer.prompt(language, options))
        self._max_new_tokens = min(config.max_new_tokens, config.max_seq_len - num_prompt_tokens)
        self._is_measured_late = config.engine_backend == TENSORRT_LLM
        self.beam_size = options.beam_size or config.beam_size
        self.retried: list[Document] = []
        self.warnings: list[str] = []

    def run(self, chunks: Sequence[Chunk], engine: Engine) -> None:
        """Every chunk at the first temperature; at each further one what will not do yet."""
        steps = fallback.temperatures(self._options)
        doubtful = list(chunks)
        for index, temperature in enumerate(steps):
            self._decode(doubtful, temperature, engine)
            if index == 0:
                self._decode_again(doubtful, temperature, engine)
            self._measure_silence(doubtful, engine, is_last=index + 1 == len(steps))
            reasons = [(chunk, self._criteria.doubt(chunk)) for chunk in doubtful]
            doubtful = [chunk for chunk, reason in reasons if reason]
            if index + 1 < len(steps):
                self.retried += [chunk.entry(reason) for chunk, reason in reasons if reason]

    def _decode(self, chunks: Sequence[Chunk], temperature: float, engine: Engine) -> None:
        """One round; at a temperature above 0, `best_of` samples of each chunk."""
        num_samples = self._options.best_of if temperature > 0 else 1
        answers = engine(self._asked(chunks, temperature, num_samples))
        for chunk in chunks:
            chunk.error = None
            found = [self._judge(next(answers), temperature, chunk) for _ in range(num_samples)]
            done = [attempt for attempt in found if attempt is not None]
            if done:
                best = max(done, key=lambda attempt: attempt.avg_logprob)
                chunk.attempts.append(self._as_openai_measures(best, chunk))

    def _as_openai_measures(self, attempt: Attempt, chunk: Chunk) -> Attempt:
        """Replace a sample's log-probability by the one that OpenAI measures.

        NVIDIA's engine measures after the temperature was applied. At a low one that is nearly 0,
        whatever the model thinks, and would pass any threshold. OpenAI measures before, where no
        sample is expected to beat the beam search; at temperature 1 both are the same.

        Sources: NVIDIA/TensorRT-LLM
        cpp/tensorrt_llm/kernels/samplingTopPKernels.cu (03cff08f), openai/whisper decoding.py
        (`GreedyDecoder.update`).
        """
        if not (self._is_measured_late and 0 < attempt.temperature < 1):
            return attempt
        searched = [attempt.avg_logprob for attempt in chunk.attempts if attempt.temperature == 0]
        return replace(attempt, avg_logprob=min([attempt.avg_logprob, *searched]))

    def _asked(
        self, chunks: Sequence[Chunk], temperature: float, num_samples: int
    ) -> Iterator[Decode]:
        for chunk in chunks:
            features = chunk.features()
            for seed in range(num_samples):
                yield Decode(
                    features=features,
                    prompt=self._tokenizer.prompt(chunk.language or self._language, self._options),
                    max_new_tokens=self._max_new_tokens,
                    beam_size=self.beam_size,
                    length_penalty=self._options.length_penalty,
                    repetition_penalty=self._options.repetition_penalty,
                    temperature=temperature,
                    seed=seed,
                    suppressed=self._suppressed,
                    min_tokens=1,  # OpenAI forbids the end as first token (SuppressBlank)
                )

    def _judge(self, answer: Answer, temperature: float, chunk: Chunk) -> Attempt | None:
        if isinstance(answer, InvalidRequest):
            raise answer
        if isinstance(answer, Exception):
            chunk.error = answer
            return None
        return Attempt(
            text=self._tokenizer.decode(list(answer.tokens)),
            avg_logprob=answer.avg_log_prob,
            temperature=temperature,
            is_full=len(answer.tokens) >= self._max_new_tokens,
            tokens=self._tokenizer.of_text(answer.tokens),
            no_speech_prob=answer.no_speech_prob,
        )

    def _decode_again(self, chunks: Sequence[Chunk], temperature: float, engine: Engine) -> None:
        """Chunks on which the engine failed, once more, after all others have been served.

        An engine that is full is no matter of one chunk: being asked to come back is better than a
        hole in the text.
        """
        failed = [chunk for chunk in chunks if chunk.error is not None]
        self.retried += [chunk.entry(f"engine error: {chunk.error}") for chunk in failed]
        self._decode(failed, temperature, engine)
        for chunk in failed:
            if isinstance(chunk.error, Unavailable):
                raise chunk.error
        if failed and not any(chunk.attempts for chunk in chunks):
            raise Unavailable(
                f"the engine failed twice on each of {len(failed)} chunks, the last time with: "
                f"{failed[-1].error}; try again later, the server log may say more"
            )

    def _measure_silence(self, chunks: Sequence[Chunk], engine: Engine, is_last: bool) -> None:
        """How probable it is that chunks with doubtful text hold no speech.

        It is the probability of the first token after the start token, hence one more request for
        each such chunk. Where another token comes first, what is noted is an upper bound.
        """
        threshold = self._criteria.no_speech_threshold
        unknown = [
            chunk
            for chunk in chunks
            if chunk.no_speech_prob is None
            and chunk.attempts
            and self._criteria.is_doubtful_speech(chunk, is_last)
        ]
        if threshold is None or not unknown:
            return
        asked = (languages.first_token(chunk.features(), self._tokenizer) for chunk in unknown)
        for chunk, answer in zip(unknown, engine(asked), strict=True):
            if isinstance(answer, Decoded) and answer.tokens:
                found = languages.probability_of(answer)
                is_first = answer.tokens[0] == self._tokenizer.no_speech
                chunk.no_speech_prob = found if is_first else min(found, 1.0 - found)
                chunk.starts_silent = is_first
                chunk.is_silence = is_first and found > threshold

    def outcome(self, chunks: Sequence[Chunk]) -> Document:
        """`segments`, `retried` and `dropped`: every chunk is in the first or in the last."""
        segments, dropped = [], []
        for chunk in chunks:
            best = self._criteria.best(chunk)
            if best is None:
                dropped.append(chunk.entry(f"engine error: {chunk.error}"))
            elif self._criteria.is_silent(chunk):
                dropped.append(chunk.entry(f"no speech, probability {chunk.no_speech_prob:.2f}"))
            elif not best.has_words:
                found = best.text.strip()
                dropped.append(chunk.entry(f"no words: `{found:.20}`" if found else "no text"))
            elif self._criteria.is_invented(chunk, best):
                dropped.append(chunk.entry(f"no speech, but `{best.text.strip():.40}`"))
            else:
                letters = self._tokenizer.num_letters(best.tokens)
                segments.append({**chunk.segment(best), "token_letters": letters})
                self._warn_if_full(chunk, best)
        return {"segments": segments, "retried": self.retried, "dropped": dropped}

    def _warn_if_full(self, chunk: Chunk, attempt: Attempt) -> None:
        if attempt.is_full:
            self.warnings.append(
                f"the text from {chunk.start_s} to {chunk.end_s} s ends at the limit of "
                f"{self._max_new_tokens} tokens and may be incomplete"
            )
