"""Dimensions of the models that a plan may name, and what follows from them: parameters and
bytes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from build_scripts.errors import PlanError
from build_scripts.plans.languages import MODELS, Size
from build_scripts.plans.schema import Quantisation, SpeechPrecision
from build_scripts.plans.values import verify_known
from onecard.contract.whisper import NUM_ENCODER_POSITIONS, NUM_TEXT_POSITIONS

# Of the checkpoints that `make engines` can build.
ARCHITECTURES = ("MistralForCausalLM", "LlamaForCausalLM")

HALF = 2  # bytes of a float16
GROUP = 128  # weights that share a scale, in the 4 bit checkpoints which TensorRT-LLM reads


@dataclass(frozen=True)
class Parameters:
    """How many of each class of tensor; only `linear` is quantised.

    `linear_outputs`: rows of the linear matrices, each with a scale where a scale is a row's.
    """

    linear: int
    linear_outputs: int
    embedding: int
    lm_head: int
    other: int  # norms, biases, convolutions, positions

    @property
    def total(self) -> int:
        return self.linear + self.embedding + self.lm_head + self.other

    def linear_bytes(self, quantisation: Quantisation | SpeechPrecision) -> int:
        """Weights, scales and zeros. Raises PlanError for what has no fixed size."""
        if quantisation == "float16":
            return self.linear * HALF
        if quantisation == "int8":  # a scale for each output channel
            return self.linear + self.linear_outputs * HALF
        if quantisation in ("int4_awq", "int4_gptq"):
            # Scales and zeros are float16 in the engine. Zeros are kept for AutoAWQ's `zero_point`
            # and, of all, for GPTQ's `sym` (tensorrt_llm/models/llama/config.py).
            num_groups = math.ceil(self.linear / GROUP)
            return math.ceil(self.linear / 2) + num_groups * 2 * HALF
        raise PlanError(
            f"weights in `{quantisation}` have no size that can be computed; on a card "
            "llm.quantisation must be one of int4_awq, int4_gptq, int8, float16"
        )

    @property
    def rest_bytes(self) -> int:
        """Embeddings, lm_head and the rest stay at 16 bits."""
        return (self.embedding + self.lm_head + self.other) * HALF


@dataclass(frozen=True)
class LlmShape:
    """A decoder-only model with gated MLPs and grouped KV heads.

    `tied`: the lm_head is the embedding. `qkv_bias`: query, key and value have one.
    """

    num_layers: int
    width: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    intermediate: int
    vocab: int
    tied: bool = False
    qkv_bias: bool = False

    @property
    def parameters(self) -> Parameters:
        queries, keys = self.num_heads * self.head_dim, self.num_kv_heads * self.head_dim
        attention = self.width * (queries + 2 * keys) + queries * self.width
        outputs = queries + 2 * keys + self.width + 2 * self.intermediate + self.width
        bias = (queries + 2 * keys) if self.qkv_bias else 0
        return Parameters(
            linear=self.num_layers * (attention + 3 * self.width * self.intermediate),
            linear_outputs=self.num_layers * outputs,
            embedding=self.vocab * self.width,
            lm_head=0 if self.tied else self.vocab * self.width,
            other=self.num_layers * (2 * self.width + bias) + self.width,
        )

    @property
    def kv_bytes_per_token(self) -> int:
        """Keys and values of every layer, at 16 bits."""
        return 2 * self.num_layers * self.num_kv_heads * self.head_dim * HALF


@dataclass(frozen=True)
class WhisperShape:
    """An encoder and a decoder of the same width."""

    num_mels: int
    encoder_layers: int
    decoder_layers: int
    width: int
    num_heads: int
    vocab: int

    @property
    def encoder(self) -> Parameters:
        width = self.width
        convolutions = 3 * width * (self.num_mels + width) + 2 * width
        of_layer = 3 * width + 5 * width + 4 * width  # biases of attention and MLP, two norms
        return Parameters(
            linear=self.encoder_layers * 12 * width**2,
            linear_outputs=self.encoder_layers * 9 * width,
            embedding=0,
            lm_head=0,
            other=convolutions
            + NUM_ENCODER_POSITIONS * width
            + self.encoder_layers * of_layer
            + 2 * width,
        )

    @property
    def decoder(self) -> Parameters:
        """The converter stores the lm_head beside the embedding although they are the same
        (examples/models/core/whisper/convert_checkpoint.py)."""
        width = self.width
        of_layer = 2 * 3 * width + 5 * width + 6 * width
        return Parameters(
            linear=self.decoder_layers * 16 * width**2,
            linear_outputs=self.decoder_layers * 13 * width,
            embedding=self.vocab * width,
            lm_head=self.vocab * width,
            other=NUM_TEXT_POSITIONS * width + self.decoder_layers * of_layer + 2 * width,
        )

    @property
    def kv_bytes_per_token(self) -> int:
        """Of self- and of cross-attention alike, at 16 bits."""
        return 2 * self.decoder_layers * self.width * HALF


# `config.json` of the models' Hugging Face repositories; their sums agree with the published
# numbers of parameters (tests/build_scripts/memory/test_shapes.py).
LLMS = {
    # mistralai/Mistral-Small-24B-Instruct-2501, -Base-2501, Devstral-Small-2507
    "mistral-small-24b": LlmShape(40, 5120, 32, 8, 128, 32768, 131072),
    # mistralai/Mistral-Nemo-Instruct-2407
    "mistral-nemo-12b": LlmShape(40, 5120, 32, 8, 128, 14336, 131072),
    # mistralai/Mistral-7B-Instruct-v0.3
    "mistral-7b": LlmShape(32, 4096, 32, 8, 128, 14336, 32768),
    # meta-llama/Llama-3.1-8B-Instruct
    "llama-3.1-8b": LlmShape(32, 4096, 32, 8, 128, 14336, 128256),
    # Qwen/Qwen2.5-{7B,14B,32B}-Instruct
    "qwen2.5-7b": LlmShape(28, 3584, 28, 4, 128, 18944, 152064, qkv_bias=True),
    "qwen2.5-14b": LlmShape(48, 5120, 40, 8, 128, 13824, 152064, qkv_bias=True),
    "qwen2.5-32b": LlmShape(64, 5120, 40, 8, 128, 27648, 152064, qkv_bias=True),
}

# The `dims` of OpenAI's checkpoints (whisper/__init__.py names them) and `config.json` of
# distil-whisper's.
WHISPERS = {
    "base": WhisperShape(80, 6, 6, 512, 8, 51865),
    "small": WhisperShape(80, 12, 12, 768, 12, 51865),
    "medium": WhisperShape(80, 24, 24, 1024, 16, 51865),
    "large-v2": WhisperShape(80, 32, 32, 1280, 20, 51865),
    "large-v3": WhisperShape(128, 32, 32, 1280, 20, 51866),
    "large-v3-turbo": WhisperShape(128, 32, 4, 1280, 20, 51866),
    "distil-large-v2": WhisperShape(80, 32, 2, 1280, 20, 51865),
    "distil-large-v3": WhisperShape(128, 32, 2, 1280, 20, 51866),
    "tiny.en": WhisperShape(80, 4, 4, 384, 6, 51864),
}


@dataclass(frozen=True)
class Wav2Vec2Shape:
    """`num_parameters`: counted with transformers' Wav2Vec2ForCTC, for a vocabulary of 32."""

    num_parameters: int
    conv_width: int = 512  # of the feature encoder, whose first layer makes the largest tensors
    conv_stride: int = 5  # samples for each frame of that layer


ALIGN_BASE = Wav2Vec2Shape(94_396_320)  # facebook/wav2vec2-base-960h
ALIGN_LARGE = Wav2Vec2Shape(315_471_520)  # jonatasgrosman/wav2vec2-large-xlsr-53-*
ALIGN_1B = Wav2Vec2Shape(962_538_400)  # NbAiLab/nb-wav2vec2-1b-*, whose files take 3.85 GB
ALIGN: dict[Size, Wav2Vec2Shape] = {"base": ALIGN_BASE, "large": ALIGN_LARGE, "1b": ALIGN_1B}

# Counted on the modules themselves, at pyannote/segmentation-3.0's and wespeaker's settings.
PYANNET_PARAMETERS = 1_473_265
WESPEAKER_RESNET34_PARAMETERS = 6_634_336
SPEAKER_ENCODER_PARAMETERS = 1_423_616  # onecard/diarization/embedding.py


def align(language: str) -> Wav2Vec2Shape:
    """The shape of the model that aligns `language`, which is one of `languages.MODELS`."""
    return ALIGN[MODELS[language].size]


def llm(name: str) -> LlmShape:
    """Raises PlanError for one that is not in the table."""
    if not name:
        raise PlanError(
            "llm.architecture is empty, must name the LLM's dimensions: " + ", ".join(LLMS)
        )
    verify_known("llm.architecture", name, list(LLMS))
    return LLMS[name]


def whisper(name: str) -> WhisperShape:
    """Raises PlanError for one that is not in the table."""
    verify_known("speech.model", name, list(WHISPERS))
    return WHISPERS[name]
