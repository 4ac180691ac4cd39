"""How many tokens an engine has, which may be more than its tokenizer knows."""

from __future__ import annotations

import json
from pathlib import Path

CONFIG = "config.json"  # Hugging Face's, or TensorRT-LLM's, which has it one level down


def size(engine_dir: Path | str) -> int | None:
    """The length of the engine's logits; None where its directory does not tell."""
    try:
        config = json.loads((Path(engine_dir) / CONFIG).read_text(encoding="utf-8"))
        found = config.get("pretrained_config", config).get("vocab_size")
    except (OSError, ValueError, AttributeError):
        return None
    return found if isinstance(found, int) else None
