"""The decoding of one request's chunks: prompts, rounds of attempts, and what becomes of each.

The order of things is OpenAI's (openai/whisper, whisper/transcribe.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from onecard.errors import InvalidRequest, Unavailable
from onecard.options.transcribe import TranscribeOptions
from onecard.recognition import fallback
from onecard.recognition import language as languages
from onecard.recognition.engine import TENSORRT_LLM, Answer, Decode, Decoded, Engine
from onecard.recognition.fallback import Attempt, Chunk, Criteria, Document
from onecard.whisper.tokenizer import MAX_PREVIOUS_TOKENS, Tokenizer

# Text decoded at a higher temperature is not gone on from (OpenAI's `prompt_reset_on_temperature`).
MAX_REMEMBERED = 0.5


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


class Request:
    """The decoding of one request's chunks, round by round."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        config: Config,
        options: TranscribeOptions,
        language: str,
        previous: Sequence[int] = (),
    ) -> None:
        self._tokenizer = tokenizer
        self._options = options
        self._criteria = Criteria.from_options(options)
        self._language = language
        self._suppressed = tokenizer.suppressed(options)
        self._config = config
        self._is_measured_late = config.engine_backend == TENSORRT_LLM
        self.beam_size = options.beam_size or config.beam_size
        self.previous = list(previous)
        self.retried: list[Document] = []
        self.warnings: list[str] = []

    def begin_with_prefix(self, chunk: Chunk) -> list[str]:
        """Have the text of the first chunk begin with `prefix`; a warning where it is too long."""
        chunk.prefix, is_whole = self._tokenizer.prefix(self._options.prefix)
        if is_whole:
            return []
        return [f"`prefix` was cut after {len(chunk.prefix)} tokens, the most that it may have"]

    def run(self, chunks: Sequence[Chunk], engine: Engine) -> None:
        """All chunks side by side, or one after another's text where that was asked for.

        Raises:
            Unavailable: the engine is overloaded, or failed on every chunk.
        """
        if self._options.condition_on_previous_text:
            for chunk in chunks:
                chunk.previous = self.previous
                self._run([chunk], engine)
                self._remember(chunk)
        else:
            self._run(chunks, engine)
        failed = [chunk for chunk in chunks if chunk.error is not None]
        if failed and not any(chunk.attempts for chunk in chunks):
            raise Unavailable(
                f"the engine failed twice on each of {len(failed)} chunks, the last time with: "
                f"{failed[-1].error}; try again later, the server log may say more"
            )

    def _remember(self, chunk: Chunk) -> None:
        """The text that the next chunk goes on from (openai/whisper, whisper/transcribe.py).

        A text that took a high temperature, or none, begins anew: loops would go on.
        """
        best = self._criteria.best(chunk)
        if best is None or self._why_dropped(chunk, best) or best.temperature > MAX_REMEMBERED:
            self.previous = []
        else:
            self.previous = [*self.previous, *best.tokens][-MAX_PREVIOUS_TOKENS:]

    def _run(self, chunks: Sequence[Chunk], engine: Engine) -> None:
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
            prompt = self._prompt(chunk)
            for seed in range(num_samples):
                yield Decode(
                    features=features,
                    prompt=prompt,
                    max_new_tokens=self._max_new_tokens(prompt),
                    beam_size=self.beam_size,
                    length_penalty=self._options.length_penalty,
                    repetition_penalty=self._options.repetition_penalty,
                    temperature=temperature,
                    seed=seed,
                    suppressed=self._suppressed,
                    min_tokens=1,  # OpenAI forbids the end as first token (SuppressBlank)
                    patience=self._options.patience,
                    no_repeat_ngram_size=self._options.no_repeat_ngram_size,
                )

    def _prompt(self, chunk: Chunk) -> list[int]:
        language = chunk.language or self._language
        prompt = self._tokenizer.prompt(language, self._options, chunk.previous)
        return [*prompt, *chunk.prefix]

    def _max_new_tokens(self, prompt: Sequence[int]) -> int:
        most = min(self._config.max_new_tokens, self._config.max_seq_len - len(prompt))
        return min(most, self._options.max_new_tokens or most)

    def _judge(self, answer: Answer, temperature: float, chunk: Chunk) -> Attempt | None:
        if isinstance(answer, InvalidRequest):
            raise answer
        if isinstance(answer, Exception):
            chunk.error = answer
            return None
        tokens = [*chunk.prefix, *answer.tokens]
        timed = not self._options.without_timestamps
        return Attempt(
            text=self._tokenizer.decode(tokens),
            avg_logprob=answer.avg_log_prob,
            temperature=temperature,
            is_full=len(answer.tokens) >= self._max_new_tokens(self._prompt(chunk)),
            tokens=self._tokenizer.of_text(tokens),
            no_speech_prob=answer.no_speech_prob,
            timed=tuple(self._tokenizer.timed(tokens, chunk.duration_s) if timed else ()),
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
        segments: list[Document] = []
        dropped: list[Document] = []
        for chunk in chunks:
            best = self._criteria.best(chunk)
            if best is None:
                dropped.append(chunk.entry(f"engine error: {chunk.error}"))
            elif reason := self._why_dropped(chunk, best):
                dropped.append(chunk.entry(reason))
            else:
                segments += self._segments(chunk, best)
                self._warn_if_full(chunk, best)
        return {"segments": segments, "retried": self.retried, "dropped": dropped}

    def _why_dropped(self, chunk: Chunk, best: Attempt) -> str | None:
        if self._criteria.is_silent(chunk):
            return f"no speech, probability {chunk.no_speech_prob:.2f}"
        if not best.has_words:
            found = best.text.strip()
            return f"no words: `{found:.20}`" if found else "no text"
        if self._criteria.is_invented(chunk, best):
            return f"no speech, but `{best.text.strip():.40}`"
        return None

    def _segments(self, chunk: Chunk, attempt: Attempt) -> Iterator[Document]:
        """One of the whole chunk, or Whisper's own where they were asked for."""
        whole = chunk.segment(attempt)
        if not attempt.timed:
            yield {**whole, "token_letters": self._tokenizer.num_letters(attempt.tokens)}
        for start_s, end_s, tokens in attempt.timed:
            yield {
                **whole,
                "start": round(chunk.start_s + start_s, 3),
                "end": round(chunk.start_s + end_s, 3),
                "text": self._tokenizer.decode(list(tokens)),
                "tokens": list(tokens),
                "token_letters": self._tokenizer.num_letters(tokens),
            }

    def _warn_if_full(self, chunk: Chunk, attempt: Attempt) -> None:
        if attempt.is_full:
            self.warnings.append(
                f"the text from {chunk.start_s} to {chunk.end_s} s ends at the limit of "
                f"{self._max_new_tokens(self._prompt(chunk))} tokens and may be incomplete"
            )
