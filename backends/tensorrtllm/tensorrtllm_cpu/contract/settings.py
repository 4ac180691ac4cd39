"""What a model's config.pbtxt tells the backend, read once and checked. It loads nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onecard.contract import trtllm

DECODING_MODES = ("top_k", "top_p", "top_k_top_p", "beam_search")
# NVIDIA's defaults, where the plan states nothing.
CANCELLATION_CHECK_MS = 100
STATS_CHECK_MS = 100
# Where it states no cap for the KV cache, every sequence may be so long.
DEFAULT_SEQUENCE_TOKENS = 2048
# Tokens that one step computes, so that a long prompt lets the others' next token through.
DEFAULT_STEP_TOKENS = 128
NICE = "ONECARD_CPU_NICE"  # in place of `cpu_nice`, which gets nothing where others are never idle


class SettingsError(Exception):
    """The configuration cannot be served; the model does not load."""


@dataclass(frozen=True)
class Settings:
    """`max_kv_tokens` and `max_attention_window` (in tokens) are None where the plan sets no cap.

    `max_queue_size`: requests that may wait for a place in the batch, 0 for any number, as
    `cpu_max_queue_size` says or else Triton's queue policy;
    `max_num_tokens`: of all sequences in one step; `nice`: added to the process's own.
    `tokenizer_info`: what guided decoding needs of the tokenizer, None where it is not set up.
    `without_effect`: the parameters that are given and that only a GPU has a use for.
    """

    name: str
    model_path: Path
    is_encoder_decoder: bool
    max_batch_size: int
    decoupled: bool
    max_beam_width: int
    max_kv_tokens: int | None
    max_attention_window: int | None
    exclude_input_in_output: bool
    normalize_log_probs: bool
    compute_type: str
    num_threads: int
    nice: int
    max_queue_size: int
    max_num_tokens: int
    tokenizer_info: Path | None
    cancellation_check_s: float
    stats_check_s: float
    without_effect: tuple[str, ...]

    @property
    def kv_capacity(self) -> int:
        """Tokens that the KV cache of a decoder-only model holds."""
        window = self.max_attention_window or DEFAULT_SEQUENCE_TOKENS
        return self.max_kv_tokens or self.max_batch_size * window


def read(config: Mapping[str, Any], num_threads: int) -> Settings:
    """Settings from Triton's model configuration (its JSON form).

    Raises:
        SettingsError: a parameter is missing, unknown, unreadable or contradicts another.
    """
    texts = {key: entry["string_value"] for key, entry in config.get("parameters", {}).items()}
    for parameter in trtllm.PARAMETERS:
        if parameter.must_exist and parameter.key not in texts:
            raise SettingsError(trtllm.PARAMETER_MISSING.format(parameter.key))
    try:
        given = {key: trtllm.parse(key, text) for key, text in texts.items()}
    except ValueError as error:
        raise SettingsError(str(error)) from error
    values: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    _verify(values)
    window = values.get("max_attention_window_size")
    queue = config.get("dynamic_batching", {}).get("default_queue_policy", {})
    is_guided = "guided_decoding_backend" in values
    return Settings(
        name=config["name"],
        model_path=Path(values.get("cpu_model_path") or values["gpt_model_path"]),
        is_encoder_decoder="encoder_model_path" in values,
        max_batch_size=max(1, config.get("max_batch_size", 0)),
        decoupled=config.get("model_transaction_policy", {}).get("decoupled", False),
        max_beam_width=values.get("max_beam_width", 1),
        max_kv_tokens=values.get("max_tokens_in_paged_kv_cache"),
        max_attention_window=min(window) if window else None,
        exclude_input_in_output=values.get("exclude_input_in_output", False),
        normalize_log_probs=values.get("normalize_log_probs", True),
        compute_type=values.get("cpu_compute_type", _default_type(values)),
        num_threads=num_threads,
        nice=_nice(values),
        max_queue_size=values.get("cpu_max_queue_size", int(queue.get("max_queue_size", 0))),
        max_num_tokens=values.get("cpu_max_num_tokens", DEFAULT_STEP_TOKENS),
        tokenizer_info=Path(values["xgrammar_tokenizer_info_path"]) if is_guided else None,
        cancellation_check_s=values.get("cancellation_check_period_ms", CANCELLATION_CHECK_MS)
        / 1000,
        stats_check_s=values.get("stats_check_period_ms", STATS_CHECK_MS) / 1000,
        without_effect=tuple(sorted(key for key in values if not trtllm.BY_KEY[key].cpu)),
    )


def _nice(values: Mapping[str, Any]) -> int:
    text = os.environ.get(NICE, "")
    if not text:
        return int(values.get("cpu_nice", 0))
    try:
        return int(text)
    except ValueError:
        raise SettingsError(f"`{NICE}` is `{text}`, wanted a number such as 0") from None


def _default_type(values: Mapping[str, Any]) -> str:
    return "int8" if "encoder_model_path" in values else "float32"


def _verify(values: Mapping[str, Any]) -> None:
    """What NVIDIA's backend checks when it loads, and what this one cannot run."""
    if "gpt_model_type" not in values:
        raise SettingsError(trtllm.PARAMETER_MISSING.format("gpt_model_type"))
    if "gpt_model_path" not in values:
        raise SettingsError(trtllm.PATHS_EMPTY)
    is_encoder_decoder = "encoder_model_path" in values
    if is_encoder_decoder and "cross_kv_cache_fraction" not in values:
        raise SettingsError(trtllm.CROSS_FRACTION_MISSING)
    if not is_encoder_decoder and "cross_kv_cache_fraction" in values:
        raise SettingsError(trtllm.CROSS_FRACTION_FORBIDDEN)
    for key in ("kv_cache_free_gpu_mem_fraction", "cross_kv_cache_fraction"):
        if not 0 <= values.get(key, 0) < 1:
            raise SettingsError(f"`{key}` is `{values[key]}`, must be in [0, 1); change the plan")
    if values.get("decoding_mode", "top_k") not in DECODING_MODES:
        raise SettingsError(
            f"`decoding_mode` is `{values['decoding_mode']}`; the CPU engine knows "
            f"{', '.join(DECODING_MODES)}: change the plan"
        )
    if values.get("batch_scheduler_policy") == "max_utilization":
        raise SettingsError(
            "`batch_scheduler_policy` is `max_utilization`, which pauses requests; the CPU engine "
            "only has `guaranteed_no_evict`: change the plan"
        )
    if "guided_decoding_backend" in values and "xgrammar_tokenizer_info_path" not in values:
        raise SettingsError(
            "`guided_decoding_backend` is set and `xgrammar_tokenizer_info_path` is not, must be "
            "the tokenizer's facts; change the plan"
        )
    least = dict.fromkeys(
        ("max_beam_width", "max_tokens_in_paged_kv_cache", "cpu_max_num_tokens"), 1
    )
    for key, bound in {**least, "cpu_max_queue_size": 0}.items():
        if values.get(key, bound) < bound:
            raise SettingsError(
                f"`{key}` is `{values[key]}`, must be at least {bound}; change the plan"
            )
