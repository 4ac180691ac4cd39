"""Whisper on the CPU through CTranslate2: the engine for encoder-decoder models.

Where CTranslate2 decides more than the contract says, and how that is put to use:
- It ends at <|endoftext|> only, so `end_id` has to be that.
- Without <|notimestamps|> in the prompt it enforces OpenAI's timestamp rules.
- Its only minimum length is OpenAI's `suppress_blank`: no end and no blank as the first token.
  `min_tokens` 1 asks for it.
- It reports log-probabilities before temperature, as OpenAI does.
- It knows the probability of no speech after one pass over the prompt: an output of our own.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import ctranslate2
import numpy as np

from onecard import manifest
from onecard.contract import trtllm
from onecard.contract.whisper import NUM_ENCODER_POSITIONS
from tensorrtllm_cpu.contract.answer import Answer
from tensorrtllm_cpu.contract.request import Array, Request
from tensorrtllm_cpu.contract.settings import Settings, SettingsError
from tensorrtllm_cpu.whisper import limits
from tensorrtllm_cpu.whisper.encodings import Encodings
from tensorrtllm_cpu.whisper.limits import Job, Limits
from tensorrtllm_cpu.whisper.prompt import Vocabulary

NOTHING = np.finfo(np.float32).min  # the logit of a token that cannot follow


class WhisperEngine:
    """One loaded model, with a thread for each of `num_threads` batches at a time.

    Two threads in one batch wait for each other at every small product: on two cores a chunk alone
    takes longer with both than with one.
    """

    honoured = limits.HONOURED
    neutral = limits.NEUTRAL

    def __init__(self, settings: Settings) -> None:
        """Verify the files and load them.

        Raises:
            ManifestError: a file is missing or is not what its manifest says.
            SettingsError: the processor lacks the compute type, or the KV cap holds no sequence.
        """
        self._settings = settings
        facts = manifest.verify(settings.model_path)
        supported = ctranslate2.get_supported_compute_types("cpu")
        if settings.compute_type not in supported:
            raise SettingsError(
                f"`cpu_compute_type` is `{settings.compute_type}`, this processor supports "
                f"{', '.join(sorted(supported))}; change the plan"
            )
        self._model = self._load(settings.num_threads)
        vocabulary = Vocabulary.load(settings.model_path)
        self.limits = Limits.of(settings, vocabulary, self._model.n_mels)
        self._encodings = Encodings(self._model.encode, 2 * settings.max_batch_size)
        self.description = (
            f"CTranslate2 {ctranslate2.__version__}, {facts.model} from {settings.model_path}, "
            f"{self._model.compute_type}, {settings.num_threads} thread(s), sequences of at most "
            f"{self.limits.max_seq_len} tokens, batches of at most {settings.max_batch_size}"
        )

    def admit(self, request: Request) -> Job:
        """The request as a job that this engine can run.

        Raises:
            Refusal: it asks for more than the engine has, or than it can honour.
        """
        return limits.admit(request, self.limits)

    def together(self, job: Job) -> Hashable:
        """Jobs of equal key give in one batch what each gives alone."""
        sampling = job.request.sampling
        if job.prompt.asks_language:
            return "language"
        return (
            # CTranslate2 takes one position of the task tokens, one set of options, one length.
            job.prompt.start,
            job.prompt.task_end,
            self._has_no_timestamps(job),
            job.prompt.num_forced + job.num_new_tokens,
            sampling.beam_width,
            sampling.num_return_beams,
            job.top_k,
            sampling.temperature if job.top_k != 1 else None,
            sampling.len_penalty if sampling.beam_width > 1 else None,
            sampling.repetition_penalty,
            sampling.patience if sampling.beam_width > 1 else None,
            sampling.no_repeat_ngram_size,
            sampling.min_tokens,
            job.suppressed,
            job.needs_logits,
            # Draws depend on what else is drawn for: a seeded job runs alone.
            id(job) if job.is_seeded else None,
        )

    def kv_tokens(self, job: Job) -> tuple[int, int]:
        """Worst-case tokens in the self-attention and in the cross-attention cache."""
        return job.num_kv_tokens, NUM_ENCODER_POSITIONS

    def encode(self, job: Job) -> None:
        """Encode the job's audio ahead of its batch: one at a time is fastest on a CPU.

        From any thread, as `generate`; a seeded job runs while nothing else does.
        """
        self._encodings.of(job.features)

    def generate(self, jobs: Sequence[Job]) -> list[Answer]:
        """Run one batch of jobs that belong `together`."""
        encoded = ctranslate2.StorageView.from_array(
            np.stack([self._encodings.of(job.features) for job in jobs])
        )
        if jobs[0].prompt.asks_language:
            return self._detect_languages(encoded, jobs)
        first = jobs[0]
        sampling = first.request.sampling
        found = self._sampler(first).generate(
            encoded,
            [list(job.prompt.ids) for job in jobs],
            beam_size=sampling.beam_width,
            num_hypotheses=sampling.num_return_beams,
            length_penalty=sampling.len_penalty if sampling.beam_width > 1 else 0,
            repetition_penalty=sampling.repetition_penalty,
            patience=sampling.patience,
            no_repeat_ngram_size=sampling.no_repeat_ngram_size,
            max_length=first.max_length,
            return_scores=True,
            return_logits_vocab=first.needs_logits,
            return_no_speech_prob=any(_wants_no_speech_prob(job) for job in jobs),
            suppress_blank=sampling.min_tokens > 0,
            suppress_tokens=list(first.suppressed),
            sampling_topk=first.top_k,
            sampling_temperature=sampling.temperature if first.top_k != 1 else 1,
        )
        return [_answer(result, job) for result, job in zip(found, jobs, strict=True)]

    def _load(self, num_workers: int) -> ctranslate2.models.Whisper:
        return ctranslate2.models.Whisper(
            str(self._settings.model_path),
            device="cpu",
            compute_type=self._settings.compute_type,
            inter_threads=num_workers,
            intra_threads=1,
        )

    def _sampler(self, job: Job) -> ctranslate2.models.Whisper:
        """The model, or for a seeded job a fresh copy of it: CTranslate2 seeds the generator of a
        worker thread when that thread first draws, and offers no way to seed it again.
        """
        if not job.is_seeded:
            return self._model
        seed = job.request.sampling.seed or 0
        ctranslate2.set_random_seed((seed ^ seed >> 32) & 0xFFFFFFFF)
        return self._load(1)

    def _has_no_timestamps(self, job: Job) -> bool:
        last_task_token = job.prompt.ids[job.prompt.task_end - 1]
        return last_task_token == self.limits.vocabulary.no_timestamps

    def _detect_languages(
        self, encoded: ctranslate2.StorageView, jobs: Sequence[Job]
    ) -> list[Answer]:
        """One token after <|startoftranscript|>: a language, or <|nospeech|>.

        CTranslate2 keeps this step's logits to itself but gives the probability of no speech over
        the whole vocabulary, and those of the languages among themselves: together, a
        distribution over what can follow.
        """
        vocabulary = self.limits.vocabulary
        prompts = [list(job.prompt.ids) for job in jobs]
        silences = self._model.generate(
            encoded, prompts, beam_size=1, max_length=2, return_no_speech_prob=True
        )
        answers = []
        found = self._model.detect_language(encoded)
        for job, silence, languages in zip(jobs, silences, found, strict=True):
            logits = np.full(vocabulary.size, NOTHING, dtype=np.float32)
            p_silence = min(max(silence.no_speech_prob, 1e-12), 1 - 1e-6)
            logits[vocabulary.no_speech] = np.log(p_silence)
            for token, probability in languages:
                p_language = max(probability, 1e-12) * (1 - p_silence)
                logits[vocabulary.languages[token]] = np.log(p_language)
            logits[list(job.suppressed)] = NOTHING
            best = int(logits.argmax())
            log_prob = float(logits[best])
            steps = logits[np.newaxis, np.newaxis]
            answers.append(
                Answer(((best,),), (log_prob,), ((log_prob,),), steps, silence.no_speech_prob)
            )
        return answers


def _wants_no_speech_prob(job: Job) -> bool:
    return trtllm.NO_SPEECH_PROB.name in job.request.output_names


def _answer(result: ctranslate2.models.WhisperGenerationResult, job: Job) -> Answer:
    """CTranslate2's result without the forced tokens it starts with, and cut at a stop word."""
    forced = job.prompt.num_forced
    sequences = [tuple(ids[forced:]) for ids in result.sequences_ids]
    scores = list(result.scores)
    penalty = job.request.sampling.len_penalty
    if job.request.sampling.beam_width > 1:
        lengths = [max(1, len(ids)) for ids in result.sequences_ids]
        scores = [s * length**penalty for s, length in zip(scores, lengths, strict=True)]
    if job.request.stop_words:
        sequences = [_until_stop(sequence, job.request.stop_words) for sequence in sequences]
    logits = token_log_probs = None
    if job.needs_logits:
        logits = np.stack([np.array(step) for step in result.logits[0][forced:]])[np.newaxis]
        token_log_probs = (_log_probs(logits[0], sequences[0]),)
    silence = result.no_speech_prob if _wants_no_speech_prob(job) else None
    return Answer(tuple(sequences), tuple(scores), token_log_probs, logits, silence)


def _log_probs(logits: Array, tokens: Sequence[int]) -> tuple[float, ...]:
    """The log-probability of each token: logits [steps, vocab] -> one float a token."""
    found = []
    for row, token in zip(logits.astype(np.float64), tokens, strict=False):
        highest = row.max()
        found.append(float(row[token] - highest - np.log(np.exp(row - highest).sum())))
    return tuple(found)


def _until_stop(tokens: tuple[int, ...], stop_words: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """Tokens up to and with the first stop word, as NVIDIA's backend ends."""
    for end in range(1, len(tokens) + 1):
        if any(tokens[max(0, end - len(word)) : end] == word for word in stop_words):
            return tokens[:end]
    return tokens
