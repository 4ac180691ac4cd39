"""Operations and bytes of the models of a plan: what each step has to compute and to move.

Everything that is left out, softmaxes, norms, activations that may stay in a cache, would only add:
the counts are the least that there is.

Source of the counting: two operations for each weight and token (Kaplan et al., "Scaling Laws for
Neural Language Models", arXiv:2001.08361, table 1), and `4 * width * keys` for each layer and query
of attention, half of it where a token sees only those before it.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from build_scripts.memory.shapes import (
    ALIGN_BASE,
    HALF,
    SPEAKER_ENCODER_PARAMETERS,
    LlmShape,
    Parameters,
    Wav2Vec2Shape,
    WhisperShape,
)
from build_scripts.plans.schema import Quantisation, SpeechPrecision
from onecard.contract.whisper import CHUNK_S, NUM_ENCODER_POSITIONS, NUM_FRAMES, SAMPLE_RATE

# Whisper's tokens of 30 s of speech at 150 words a minute: counted with its tokenizer over the two
# dictations cold_corpus and cold_corpus3, 142 tokens in 50.4 s; and those that ask for them.
TEXT_TOKENS = 85
PROMPT_TOKENS = 4
# wav2vec2's feature encoder, (kernel, stride) of each layer: Baevski et al., arXiv:2006.11477.
CONVOLUTIONS = ((10, ALIGN_BASE.conv_stride), *(((3, 2),) * 4), *(((2, 2),) * 2))
# pyannote's windows of 10 s begin every second, and GE2E's partial utterances overlap by half
# (onecard/diarization/embedding.py), so that the encoder's LSTM sees each of 100 frames a second
# 20 times.
FRAMES_PER_SECOND = 100
TIMES_EACH_FRAME = 10 * 2
NUM_MELS = 40  # of one frame, each a float32
# WeSpeaker's ResNet34 sees each frame once for each of a window's three speakers (pyannote.audio
# 4.0, SpeakerDiarization.get_embeddings). Its stages: channels, and convolutions of 3 x 3; each
# stage but the first halves mels and frames (pyannote.audio, models/embedding/wespeaker/resnet.py).
TIMES_EACH_FRAME_OF_WINDOWS = 10 * 3
RESNET_MELS = 80
RESNET_STAGES = ((32, 6), (64, 8), (128, 12), (256, 6))


@dataclass(frozen=True)
class Work:
    """What one step computes and moves."""

    flops: float = 0  # operations on float16 that are summed in float32
    half_flops: float = 0  # those that may be summed in float16
    tf32_flops: float = 0  # operations on float32
    bytes: float = 0  # that cross the memory's bus

    @property
    def operations(self) -> float:
        return self.flops + self.half_flops + self.tf32_flops


def _step_bytes(shape: LlmShape, quantisation: Quantisation) -> int:
    """Bytes of weights that a step reads: each matrix once, of the embedding a few rows."""
    parameters = shape.parameters
    head = parameters.lm_head or parameters.embedding
    return parameters.linear_bytes(quantisation) + (head + parameters.other) * HALF


def _head(shape: LlmShape) -> int:
    return shape.parameters.lm_head or shape.parameters.embedding


def prefill(shape: LlmShape, quantisation: Quantisation, num_tokens: int, step: int) -> Work:
    """A prompt, `step` tokens at a time; the logits of its last token alone.

    TensorRT-LLM's weight-only kernels multiply in float16 and sum in float32; its fused attention
    may sum in float16.
    """
    num_steps = -(-num_tokens // step)
    width = shape.num_heads * shape.head_dim
    seen = num_tokens * (num_tokens + 1) // 2
    read = sum(min(step * i, num_tokens) for i in range(1, num_steps))  # what came before a step
    return Work(
        flops=2 * num_tokens * shape.parameters.linear + 2 * _head(shape),
        half_flops=4 * shape.num_layers * width * seen,
        bytes=num_steps * _step_bytes(shape, quantisation)
        + (num_tokens + read) * shape.kv_bytes_per_token,
    )


def decode(
    shape: LlmShape, quantisation: Quantisation, context: float, sequences: int = 1, steps: int = 1
) -> Work:
    """`steps` tokens of each of `sequences`, which have `context` tokens of keys and values, on the
    average of the steps."""
    width = shape.num_heads * shape.head_dim
    tokens = steps * sequences
    return Work(
        flops=2 * tokens * (shape.parameters.linear + _head(shape)),
        half_flops=4 * tokens * shape.num_layers * width * context,
        bytes=steps * _step_bytes(shape, quantisation)
        + tokens * context * shape.kv_bytes_per_token,
    )


def encode(shape: WhisperShape, precision: SpeechPrecision, chunks: int) -> Work:
    """Whisper's encoder over chunks of 30 s. Without weight-only kernels TensorRT chooses how the
    products are summed, so the faster way is counted."""
    width, positions = shape.width, NUM_ENCODER_POSITIONS
    linear = 2 * positions * shape.encoder.linear * chunks
    convolutions = 2 * 3 * width * (shape.num_mels * NUM_FRAMES + width * positions) * chunks
    attention = 4 * shape.encoder_layers * width * positions**2 * chunks
    weights = shape.encoder.linear_bytes(precision) + shape.encoder.rest_bytes
    moved = (NUM_FRAMES * shape.num_mels + positions * width) * HALF * chunks
    rest = convolutions + attention
    if precision == "float16":
        return Work(half_flops=linear + rest, bytes=weights + moved)
    return Work(flops=linear, half_flops=rest, bytes=weights + moved)


def _cross(shape: WhisperShape) -> Parameters:
    """The decoder's projections of what the encoder heard to keys and values."""
    width, layers = shape.width, shape.decoder_layers
    return Parameters(layers * 2 * width**2, layers * 2 * width, 0, 0, 0)


def cross_attention(shape: WhisperShape, precision: SpeechPrecision, chunks: int) -> Work:
    """Keys and values of the audio, made once for each chunk and kept."""
    projections = _cross(shape)
    positions = NUM_ENCODER_POSITIONS * chunks
    return Work(
        flops=2 * positions * projections.linear,
        bytes=projections.linear_bytes(precision)
        + positions * (shape.width * HALF + shape.kv_bytes_per_token),
    )


def transcribe_tokens(
    shape: WhisperShape, precision: SpeechPrecision, chunks: int, beams: int, steps: int = 1
) -> Work:
    """`steps` tokens of text, of `chunks` together with `beams` hypotheses each.

    The audio's keys and values are read once a chunk and step: the beams share them.
    """
    every, cross = shape.decoder, _cross(shape)
    read = dataclasses.replace(
        every,
        linear=every.linear - cross.linear,
        linear_outputs=every.linear_outputs - cross.linear_outputs,
    )
    weights = read.linear_bytes(precision) + (read.lm_head + read.other) * HALF
    context = PROMPT_TOKENS + TEXT_TOKENS / 2
    rows = chunks * beams
    keys = NUM_ENCODER_POSITIONS * chunks + context * rows
    attention = 4 * shape.decoder_layers * shape.width * (NUM_ENCODER_POSITIONS + context) * rows
    return Work(
        flops=2 * rows * (read.linear + read.lm_head) * steps,
        half_flops=attention * steps,
        bytes=(weights + keys * shape.kv_bytes_per_token) * steps,
    )


def align(shape: Wav2Vec2Shape, bytes_each: int, segments: int) -> Work:
    """wav2vec2 over segments of 30 s: its convolutions, and its weights once for each frame of what
    they give. Attention's scores are left out."""
    length, channels, convolutions, weights = CHUNK_S * SAMPLE_RATE, 1, 0, 0
    for kernel, stride in CONVOLUTIONS:
        length = (length - kernel) // stride + 1
        weights += kernel * channels * shape.conv_width
        convolutions += 2 * length * kernel * channels * shape.conv_width
        channels = shape.conv_width
    flops = (convolutions + 2 * length * (shape.num_parameters - weights)) * segments
    read = shape.num_parameters * bytes_each
    return Work(flops=flops, bytes=read) if bytes_each == HALF else Work(0, 0, flops, read)


def embed_speakers(seconds: float) -> Work:
    """GE2E's LSTM over speech of one voice at a time, in the overlapping windows that pyannote
    slides over it. Its weights stay in a cache; the clustering is the CPU's."""
    frames = seconds * FRAMES_PER_SECOND * TIMES_EACH_FRAME
    return Work(tf32_flops=2 * SPEAKER_ENCODER_PARAMETERS * frames, bytes=frames * NUM_MELS * 4)


def embed_windows(seconds: float) -> Work:
    """WeSpeaker's ResNet34 over every window of a recording, once for each of three speakers."""
    frames = seconds * FRAMES_PER_SECOND * TIMES_EACH_FRAME_OF_WINDOWS
    return Work(tf32_flops=2 * resnet_products() * frames, bytes=frames * RESNET_MELS * 4)


def resnet_products() -> float:
    """Multiplications of WeSpeaker's ResNet34 for one frame of 10 ms; biases and norms left out."""
    products = float(RESNET_MELS * 9 * RESNET_STAGES[0][0])  # from the one channel of the input
    places, before = float(RESNET_MELS), RESNET_STAGES[0][0]
    for channels, convolutions in RESNET_STAGES:
        if channels != before:
            places /= 4  # half the mels, half the frames
            products += places * before * channels  # the shortcut, 1 x 1
        products += places * 9 * before * channels
        products += places * 9 * channels**2 * (convolutions - 1)
        before = channels
    return products
