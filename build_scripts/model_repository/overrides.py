"""What a plan's `[models.*]` may not replace: what the ledger, the engines or a fence count on."""

from __future__ import annotations

from collections.abc import Iterable

from build_scripts.errors import PlanError

_CHUNKS = "change speech.chunks_in_flight instead"
_FRACTION = "it follows from the ledger; change card.headroom_gib instead"
_ALWAYS = "no key of a plan changes it; leave it out"
_FOLLOWS = {
    "transcribe_stream": {"instances": "its one process gathers the parts of a recording"},
    "whisper": {
        "max_batch_size": _CHUNKS,
        "max_tokens_in_paged_kv_cache": _CHUNKS,
        "cross_kv_cache_fraction": _CHUNKS,
        "kv_cache_free_gpu_mem_fraction": _FRACTION,
        "max_attention_window_size": _ALWAYS,  # Whisper has no more positions
        "gpt_model_path": "change speech.model instead",
        "encoder_model_path": "change speech.model instead",
        "max_beam_width": "change speech.beam_width instead",
        "enable_kv_cache_reuse": _ALWAYS,
        "gpt_model_type": _ALWAYS,
    },
    "llm": {
        "max_batch_size": "change llm.sequences_in_flight instead",
        "max_tokens_in_paged_kv_cache": "change llm.kv_tokens instead",
        "kv_cache_free_gpu_mem_fraction": _FRACTION,
        "max_attention_window_size": "change llm.context_tokens instead",
        "gpt_model_path": "change llm.checkpoint instead",
        "max_beam_width": _ALWAYS,
        "enable_kv_cache_reuse": _ALWAYS,
        "gpt_model_type": _ALWAYS,
    },
}


def verify(model: str, keys: Iterable[str]) -> None:
    """Raises PlanError for a key of `[models.<model>]`, or of its parameters, that is not free."""
    follows = _FOLLOWS.get(model, {})
    for key in keys:
        if key in follows:
            raise PlanError(
                f"models.{model} sets `{key}`, which the ledger and the engine count on: "
                f"{follows[key]}"
            )
