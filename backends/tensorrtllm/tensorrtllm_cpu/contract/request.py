"""One request's tensors as a value: the reading half of the contract, for any engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from onecard.contract import trtllm
from tensorrtllm_cpu.contract.refusal import Refusal, unsupported
from tensorrtllm_cpu.contract.settings import Settings

Array = npt.NDArray[Any]
Words = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen. `top_k` 0 is the whole vocabulary, 1 greedy search."""

    beam_width: int
    num_return_beams: int
    top_k: int
    top_p: float
    temperature: float
    len_penalty: float
    repetition_penalty: float
    presence_penalty: float
    frequency_penalty: float
    min_tokens: int
    seed: int | None
    patience: float = 1.0
    no_repeat_ngram_size: int = 0

    @property
    def is_greedy(self) -> bool:
        return self.top_k == 1 or self.temperature == 0


@dataclass(frozen=True)
class GuideText:
    """What the output has to follow: `kind` is one of trtllm.GUIDE_TYPES."""

    kind: str
    text: str


@dataclass(frozen=True)
class Request:
    """What one request asks for, with the contract's defaults filled in.

    `features`: [frames, n_mels] or None; `encoder_output_length` in encoder positions;
    `embedding_bias`: FP32 [vocabulary], added to the logits, or None.
    """

    prompt: tuple[int, ...]
    num_new_tokens: int
    features: Array | None
    encoder_output_length: int | None
    end_id: int | None
    sampling: Sampling
    bad_words: Words
    stop_words: Words
    embedding_bias: Array | None
    guide: GuideText | None
    exclude_input: bool
    streaming: bool
    return_log_probs: bool
    return_generation_logits: bool
    return_num_input_tokens: bool
    return_num_output_tokens: bool
    output_names: frozenset[str]

    @property
    def wants_token_log_probs(self) -> bool:
        return self.return_log_probs and "output_log_probs" in self.output_names


def read(inputs: Mapping[str, Array], output_names: frozenset[str], settings: Settings) -> Request:
    """The request that `inputs` (by tensor name, with the batch dimension) make.

    Raises:
        Refusal: something is missing, malformed, or contradicts the model's transaction policy.
    """
    _verify_batch(inputs)
    if flag(inputs, "streaming") and not settings.decoupled:
        raise Refusal(trtllm.STREAMING_NEEDS_DECOUPLED)
    for tensor in trtllm.INPUTS:  # Triton itself lets them pass where optional ones are declared
        if not tensor.optional and tensor.name not in inputs:
            raise Refusal(trtllm.NOT_PRESENT.format(tensor.name))
    for name in trtllm.REQUIRED_OUTPUTS:
        if name not in output_names:
            raise Refusal(trtllm.OUTPUT_NEEDED.format(name))
    features = inputs.get("encoder_input_features")
    return Request(
        prompt=_prompt(inputs, settings.is_encoder_decoder),
        num_new_tokens=scalar(inputs, "request_output_len", None),
        features=None if features is None else features[0],
        encoder_output_length=scalar(inputs, "encoder_output_lengths", None),
        end_id=scalar(inputs, "end_id", None),
        sampling=_sampling(inputs),
        bad_words=words(inputs, "bad_words_list"),
        stop_words=words(inputs, "stop_words_list"),
        embedding_bias=_embedding_bias(inputs),
        guide=_guide(inputs),
        exclude_input=flag(inputs, "exclude_input_in_output", settings.exclude_input_in_output),
        streaming=flag(inputs, "streaming"),
        return_log_probs=flag(inputs, "return_log_probs"),
        return_generation_logits=flag(inputs, "return_generation_logits"),
        return_num_input_tokens=flag(inputs, "return_num_input_tokens"),
        return_num_output_tokens=flag(inputs, "return_num_output_tokens"),
        output_names=output_names,
    )


def refuse_what_cannot_be_honoured(
    inputs: Mapping[str, Array], honoured: frozenset[str], neutral: Mapping[str, float]
) -> None:
    """Name the first input that the engine has no equal of.

    Args:
        honoured: the inputs that the engine acts on.
        neutral: input -> the one value of it that asks for nothing.

    Raises:
        Refusal: an input outside both asks for something.
    """
    for name, value in inputs.items():
        if name in honoured or value.size == 0:
            continue
        if name not in neutral:
            raise unsupported(name, f"[{', '.join(map(str, value.shape))}]", "leave it out")
        if value.reshape(-1)[0] != neutral[name]:
            wanted = f"leave it out or send `{neutral[name]}`"
            raise unsupported(name, value.reshape(-1)[0], wanted)


def scalar(inputs: Mapping[str, Array], name: str, default: Any) -> Any:
    """The single value of `name` as a Python number, or `default` where it was not sent."""
    if name not in inputs:
        return default
    if inputs[name].size != 1:
        raise Refusal(trtllm.WRONG_SIZE.format(name))
    value = inputs[name].reshape(-1)[0]
    return value if isinstance(value, bytes) else value.item()


def flag(inputs: Mapping[str, Array], name: str, default: bool = False) -> bool:
    return bool(scalar(inputs, name, default))


def words(inputs: Mapping[str, Array], name: str) -> Words:
    """The words of a two-row list: token ids, and below them where each word ends, then -1.

    Raises:
        Refusal: the ends do not increase, or lie outside the list.
    """
    if name not in inputs:
        return ()
    sparse = inputs[name].reshape(-1).tolist()
    if len(sparse) % 2:
        raise Refusal(trtllm.SPARSE_LIST.format("odd length", sparse))
    ids, ends = sparse[: len(sparse) // 2], sparse[len(sparse) // 2 :]
    used = ends.index(-1) if -1 in ends else len(ends)
    if any(end != -1 for end in ends[used:]):
        raise Refusal(trtllm.SPARSE_LIST.format("additional -1s", sparse))
    found, start = [], 0
    for end in ends[:used]:
        if end > len(ids):
            raise Refusal(trtllm.SPARSE_LIST.format("out-of-bound offsets", sparse))
        if end <= start:
            raise Refusal(trtllm.SPARSE_LIST.format("non-increasing offsets", sparse))
        found.append(tuple(ids[start:end]))
        start = end
    return tuple(found)


def _verify_batch(inputs: Mapping[str, Array]) -> None:
    found = inputs.get("encoder_input_features", inputs.get("input_ids"))
    if found is None:
        raise Refusal(trtllm.NOTHING_TO_ENCODE)
    if found.shape[0] != 1:
        raise Refusal(trtllm.BATCH_NEEDS_DECOUPLED)


def _prompt(inputs: Mapping[str, Array], is_encoder_decoder: bool) -> tuple[int, ...]:
    """What generation starts from; without `decoder_input_ids`, as NVIDIA's does, `[pad_id]`."""
    name = "decoder_input_ids" if is_encoder_decoder else "input_ids"
    if name in inputs:
        return tuple(inputs[name].reshape(-1).tolist())
    pad_id = scalar(inputs, "pad_id", None)
    return () if pad_id is None else (pad_id,)


def _embedding_bias(inputs: Mapping[str, Array]) -> Array | None:
    bias = inputs.get("embedding_bias")
    return None if bias is None or bias.size == 0 else bias.reshape(-1).astype(np.float32)


def _guide(inputs: Mapping[str, Array]) -> GuideText | None:
    kind = scalar(inputs, "guided_decoding_guide_type", b"").decode()
    text = scalar(inputs, "guided_decoding_guide", b"").decode(errors="replace")
    return GuideText(kind, text) if kind else None


def _sampling(inputs: Mapping[str, Array]) -> Sampling:
    beam_width = scalar(inputs, "beam_width", 1)
    top_p = scalar(inputs, "runtime_top_p", 0.0)
    if not 0 <= top_p <= 1:  # nor NaN, which would pass for none below
        raise Refusal(f"`runtime_top_p` is `{top_p}`, must be from 0 to 1; send that")
    top_k = scalar(inputs, "runtime_top_k", 0)
    if top_k == 0 and top_p <= 0:
        top_k = 1  # neither given: greedy
    num_return_beams = scalar(inputs, "num_return_sequences", beam_width)
    sampling = Sampling(
        beam_width=beam_width,
        num_return_beams=num_return_beams,
        top_k=top_k,
        top_p=top_p if top_p > 0 else 1.0,
        temperature=scalar(inputs, "temperature", 1.0),
        len_penalty=scalar(inputs, "len_penalty", 0.0),
        repetition_penalty=scalar(inputs, "repetition_penalty", 1.0),
        presence_penalty=scalar(inputs, "presence_penalty", 0.0),
        frequency_penalty=scalar(inputs, "frequency_penalty", 0.0),
        min_tokens=scalar(inputs, "min_tokens", 0),
        seed=scalar(inputs, "seed", None),
        patience=scalar(inputs, trtllm.PATIENCE.name, 1.0),
        no_repeat_ngram_size=scalar(inputs, trtllm.NO_REPEAT_NGRAM_SIZE.name, 0),
    )
    _verify_sampling(sampling)
    return sampling


def _verify_sampling(sampling: Sampling) -> None:
    """The ranges that NVIDIA's SamplingConfig asserts."""
    checks = {
        "beam_width": (sampling.beam_width, sampling.beam_width > 0, "at least 1"),
        "num_return_sequences": (
            sampling.num_return_beams,
            sampling.num_return_beams > 0
            and (sampling.beam_width == 1 or sampling.num_return_beams <= sampling.beam_width),
            f"from 1 to the beam width {sampling.beam_width}",
        ),
        "runtime_top_k": (sampling.top_k, sampling.top_k >= 0, "0 or more"),
        "temperature": (sampling.temperature, sampling.temperature >= 0, "0 or more"),
        "repetition_penalty": (
            sampling.repetition_penalty,
            sampling.repetition_penalty > 0,
            "above 0",
        ),
        "presence_penalty": (sampling.presence_penalty, True, "a number"),
        "frequency_penalty": (sampling.frequency_penalty, True, "a number"),
        "len_penalty": (sampling.len_penalty, True, "a number"),
        "min_tokens": (sampling.min_tokens, sampling.min_tokens >= 0, "0 or more"),
        "patience": (sampling.patience, sampling.patience > 0, "above 0"),
        "no_repeat_ngram_size": (
            sampling.no_repeat_ngram_size,
            sampling.no_repeat_ngram_size >= 0,
            "0 or more",
        ),
    }
    for name, (found, is_right, wanted) in checks.items():
        if not is_right or not np.isfinite(found):
            raise Refusal(f"`{name}` is `{found}`, must be {wanted}; send that")
