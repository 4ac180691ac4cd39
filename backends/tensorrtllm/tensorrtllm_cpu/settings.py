"""What a model's config.pbtxt tells the backend, read once and checked. It loads nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onecard import trtllm

DECODING_MODES = ("top_k", "top_p", "top_k_top_p", "beam_search")


class SettingsError(Exception):
    """The configuration cannot be served; the model does not load."""


@dataclass(frozen=True)
class Settings:
    """`max_kv_tokens` and `max_attention_window` (in tokens) are None where the plan sets no cap.

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
    without_effect: tuple[str, ...]


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
        compute_type=values.get("cpu_compute_type", "int8"),
        num_threads=num_threads,
        without_effect=tuple(sorted(key for key in values if not trtllm.BY_KEY[key].cpu)),
    )


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
    for key in ("max_beam_width", "max_tokens_in_paged_kv_cache"):
        if values.get(key, 1) < 1:
            raise SettingsError(f"`{key}` is `{values[key]}`, must be at least 1; change the plan")
