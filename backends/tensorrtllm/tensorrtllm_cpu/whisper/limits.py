"""What the CPU engine takes of a Whisper request, and what it says to the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from onecard.contract import trtllm
from onecard.contract.whisper import NUM_ENCODER_POSITIONS, NUM_FRAMES, NUM_TEXT_POSITIONS
from tensorrtllm_cpu.contract.refusal import INVALID_ARG, ExecutorRefusal, Refusal, unsupported
from tensorrtllm_cpu.contract.request import Array, Request
from tensorrtllm_cpu.contract.settings import Settings, SettingsError
from tensorrtllm_cpu.whisper import prompt as whisper_prompt
from tensorrtllm_cpu.whisper.prompt import Prompt, Vocabulary

HONOURED = frozenset(
    {
        "bad_words_list",
        "beam_width",
        "decoder_input_ids",
        "decoder_input_lengths",
        "encoder_input_features",
        "encoder_output_lengths",
        "end_id",
        "exclude_input_in_output",
        "input_lengths",
        "len_penalty",
        "min_tokens",
        "no_repeat_ngram_size",
        "num_return_sequences",
        "pad_id",
        "patience",
        "repetition_penalty",
        "request_output_len",
        "return_generation_logits",
        "return_log_probs",
        "return_num_input_tokens",
        "return_num_output_tokens",
        "runtime_top_k",
        "runtime_top_p",
        "seed",
        "stop",
        "stop_words_list",
        "streaming",
        "temperature",
    }
)
NEUTRAL: Mapping[str, float] = {
    "beam_search_diversity_rate": 0,
    "frequency_penalty": 0,
    "presence_penalty": 0,
    "return_context_logits": False,
    "return_perf_metrics": False,
    "runtime_top_p_decay": 1,
}


@dataclass(frozen=True)
class Limits:
    """Lengths in tokens. `max_kv_tokens` caps self- and cross-attention cache each, or is None."""

    vocabulary: Vocabulary
    n_mels: int
    max_seq_len: int
    max_beam_width: int
    max_kv_tokens: int | None
    normalize_log_probs: bool

    @classmethod
    def of(cls, settings: Settings, vocabulary: Vocabulary, n_mels: int) -> Limits:
        """The model's limits, narrowed by the configuration's.

        The attention window does not slide here: a shorter one is the longest sequence.

        Raises:
            SettingsError: the KV cap does not hold one segment's cross-attention.
        """
        caps = (NUM_TEXT_POSITIONS, settings.max_attention_window, settings.max_kv_tokens)
        if settings.max_kv_tokens is not None and settings.max_kv_tokens < NUM_ENCODER_POSITIONS:
            raise SettingsError(
                trtllm.KV_CACHE_TOO_SMALL.format(settings.max_kv_tokens, NUM_ENCODER_POSITIONS)
            )
        return cls(
            vocabulary=vocabulary,
            n_mels=n_mels,
            max_seq_len=min(cap for cap in caps if cap is not None),
            max_beam_width=settings.max_beam_width,
            max_kv_tokens=settings.max_kv_tokens,
            normalize_log_probs=settings.normalize_log_probs,
        )


@dataclass(frozen=True, eq=False)
class Job:
    """A request that the engine can run.

    `features` [n_mels, NUM_FRAMES] FP32; `num_new_tokens` after clamping; `suppressed` token ids.
    """

    request: Request
    prompt: Prompt
    num_new_tokens: int
    features: Array = field(repr=False)
    suppressed: tuple[int, ...]

    @property
    def top_k(self) -> int:
        """CTranslate2's: 0 draws from the whole vocabulary, 1 does not draw."""
        return 1 if self.request.sampling.temperature == 0 else self.request.sampling.top_k

    @property
    def is_seeded(self) -> bool:
        return self.top_k != 1 and self.request.sampling.seed is not None

    @property
    def needs_logits(self) -> bool:
        return self.request.wants_token_log_probs or self.request.return_generation_logits

    @property
    def max_length(self) -> int:
        """CTranslate2's `max_length`, which it halves, and counts the prompt into.

        Its decoder runs min(max_length / 2, max_length - steps before the last task token) steps,
        forced tokens included.
        """
        num_steps = self.prompt.num_forced + self.num_new_tokens
        return max(2 * num_steps, num_steps + self.prompt.task_end - 1)

    @property
    def num_kv_tokens(self) -> int:
        length = len(self.prompt.ids) + self.num_new_tokens
        return length * self.request.sampling.beam_width


def admit(request: Request, limits: Limits) -> Job:
    """The request as a job, after NVIDIA's checks in NVIDIA's order, then the engine's own.

    `request_output_len` beyond the longest sequence is cut, as NVIDIA's backend does.

    Raises:
        Refusal: the request exceeds a limit or asks for what the engine cannot do.
    """
    if request.features is None:
        raise unsupported("input_ids", "an encoder's tokens", "send `encoder_input_features`")
    if request.num_new_tokens < 1:
        raise Refusal(f"`request_output_len` is `{request.num_new_tokens}`, must be at least 1")
    _verify_end(request, limits.vocabulary)
    features = _padded(request, limits)
    max_input_len = limits.max_seq_len - 1
    if len(request.prompt) > max_input_len:
        text = trtllm.PROMPT_TOO_LONG.format(len(request.prompt), max_input_len)
        raise ExecutorRefusal(trtllm.REFUSED.format(text))
    job = Job(
        request=request,
        prompt=whisper_prompt.parse(request.prompt, limits.vocabulary),
        num_new_tokens=min(request.num_new_tokens, limits.max_seq_len - len(request.prompt)),
        features=features,
        suppressed=_suppressed(request, limits.vocabulary),
    )
    _verify_sampling(job, limits)
    _verify_outputs(job, limits)
    return job


def _verify_end(request: Request, vocabulary: Vocabulary) -> None:
    end_id = request.end_id
    if end_id is not None and not -1 <= end_id < vocabulary.size:
        text = trtllm.END_ID_OUT_OF_RANGE.format(end_id, vocabulary.size)
        raise ExecutorRefusal(trtllm.REFUSED.format(text))
    if end_id != vocabulary.end_of_text:
        found = "not set" if end_id is None else end_id
        wanted = f"send `{vocabulary.end_of_text}` (<|endoftext|>), where this engine always ends"
        raise unsupported("end_id", found, wanted)


def _padded(request: Request, limits: Limits) -> Array:
    """Features [frames, n_mels] as the engine takes them: [n_mels, NUM_FRAMES] FP32, contiguous.

    Shorter ones are filled with their lowest value, which is what silence is in Whisper's log-mel.
    """
    features = request.features
    assert features is not None
    num_frames, n_mels = features.shape
    if num_frames > NUM_FRAMES:
        text = trtllm.ENCODER_TOO_LONG.format(num_frames, NUM_FRAMES)
        raise ExecutorRefusal(trtllm.REFUSED.format(text))
    if num_frames == 0 or n_mels != limits.n_mels:
        raise Refusal(
            f"`encoder_input_features` is {num_frames} frames of {n_mels} bins, must be 1 to "
            f"{NUM_FRAMES} frames of {limits.n_mels}; send [1, frames, {limits.n_mels}]",
            INVALID_ARG,
        )
    if request.encoder_output_length != num_frames // 2:
        found = request.encoder_output_length
        raise Refusal(
            f"`encoder_output_lengths` is `{'not set' if found is None else found}`, must be "
            f"`{num_frames // 2}`, half of the {num_frames} frames; send that",
            INVALID_ARG,
        )
    if not np.isfinite(features).all():
        raise Refusal(
            "`encoder_input_features` holds values that are not finite; send Whisper's log-mel, "
            "which lies between -2 and 2",
            INVALID_ARG,
        )
    padded = np.full((n_mels, NUM_FRAMES), features.min(), dtype=np.float32)
    padded[:, :num_frames] = features.T
    return padded


def _suppressed(request: Request, vocabulary: Vocabulary) -> tuple[int, ...]:
    for word in request.bad_words:
        if len(word) > 1:
            raise unsupported("bad_words_list", list(word), "send words of one token")
        if not 0 <= word[0] < vocabulary.size:
            raise Refusal(
                f"`bad_words_list` holds `{word[0]}`, must lie in [0, {vocabulary.size}); "
                "leave it out",
                INVALID_ARG,
            )
    return tuple(sorted({word[0] for word in request.bad_words}))


def _verify_sampling(job: Job, limits: Limits) -> None:
    sampling = job.request.sampling
    if sampling.beam_width > limits.max_beam_width:
        text = trtllm.BEAM_TOO_WIDE.format(sampling.beam_width, limits.max_beam_width)
        raise ExecutorRefusal(trtllm.FAILED.format(text))
    draws = job.top_k != 1
    if sampling.beam_width > 1 and (draws or sampling.temperature not in (0, 1)):
        raise unsupported("beam_width", sampling.beam_width, "send 1 together with sampling")
    if sampling.beam_width == 1 and sampling.num_return_beams > 1:
        wanted = "send 1, and as many requests as you want sequences, each with its own `seed`"
        raise unsupported("num_return_sequences", sampling.num_return_beams, wanted)
    if draws and sampling.top_p < 1:
        wanted = "send 1 (the whole vocabulary) or a `runtime_top_k` alone"
        raise unsupported("runtime_top_p", sampling.top_p, wanted)
    if sampling.min_tokens > 1:
        raise unsupported("min_tokens", sampling.min_tokens, "send 0 or 1")
    if job.prompt.asks_language and (job.num_new_tokens > 1 or sampling.beam_width > 1 or draws):
        raise unsupported(
            "decoder_input_ids",
            list(job.prompt.ids),
            "name language and task too, or ask for 1 token without sampling or beams",
        )
    if limits.max_kv_tokens is not None and job.num_kv_tokens > limits.max_kv_tokens:
        text = trtllm.KV_CACHE_TOO_SMALL.format(limits.max_kv_tokens, job.num_kv_tokens)
        raise ExecutorRefusal(trtllm.REFUSED.format(text))


def _verify_outputs(job: Job, limits: Limits) -> None:
    request = job.request
    if job.needs_logits and request.sampling.beam_width > 1:
        asks_logits = request.return_generation_logits
        name = "return_generation_logits" if asks_logits else "return_log_probs"
        wanted = "send a `beam_width` of 1, or ask for `cum_log_probs` without `output_log_probs`"
        raise unsupported(name, True, wanted)
    if request.wants_token_log_probs and limits.normalize_log_probs:
        wanted = (
            "set the parameter `normalize_log_probs` to false (normalized over the candidates, "
            "greedy log-probabilities are all 0), or ask for `cum_log_probs` alone"
        )
        raise unsupported("return_log_probs", True, wanted)
    if request.stop_words:
        needs_exact_end = request.return_log_probs or request.return_generation_logits
        if request.sampling.beam_width > 1 or needs_exact_end:
            wanted = "leave it out, or ask for neither beams nor probabilities"
            raise unsupported("stop_words_list", [list(w) for w in request.stop_words], wanted)
