"""Speech as the whisper engine takes it, and the backend's modules on the path."""

from __future__ import annotations

import sys
import wave
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faster_whisper.feature_extractor import FeatureExtractor

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(Path(__file__).parent), str(ROOT / "backends" / "tensorrtllm")]

import whisper_calls as calls  # noqa: E402  (found where the line above points)


@pytest.fixture(scope="session")
def speech(conversation: Path) -> list[np.ndarray]:
    """Features [3000, 80] FP16 of the whole conversation, and of each third of it."""
    with wave.open(str(conversation)) as file:
        assert file.getframerate() == 16_000
        pcm = np.frombuffer(file.readframes(file.getnframes()), np.int16) / np.float32(32768)
    pieces = [pcm[:480_000], pcm[:160_000], pcm[160_000:320_000], pcm[320_000:480_000]]
    extract = FeatureExtractor(feature_size=calls.N_MELS)
    features = []
    for piece in pieces:
        padded = np.pad(piece, (0, 480_000 - len(piece)))
        features.append(extract(padded, padding=0)[:, :3000].T.astype(np.float16))
    return features


@pytest.fixture(scope="session")
def config() -> Mapping[str, Any]:
    """A model configuration as Triton hands it to the backend."""
    texts = {
        "gpt_model_type": "inflight_fused_batching",
        "gpt_model_path": str(ROOT / "engines" / "cpu" / "whisper"),
        "encoder_model_path": str(ROOT / "engines" / "cpu" / "whisper"),
        "max_beam_width": "5",
        "max_tokens_in_paged_kv_cache": "6000",
        "kv_cache_free_gpu_mem_fraction": "0.5",
        "cross_kv_cache_fraction": "0.5",
        "exclude_input_in_output": "true",
        "normalize_log_probs": "false",
        "tokenizer_dir": "",
        "xgrammar_tokenizer_info_path": "",
        "guided_decoding_backend": "",
        "cpu_compute_type": "int8",
    }
    parameters = {key: {"string_value": text} for key, text in texts.items()}
    return {"name": "whisper", "max_batch_size": 4, "parameters": parameters}
