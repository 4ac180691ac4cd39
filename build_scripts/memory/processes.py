"""The memory of processes: CUDA contexts, Triton's pools, torch models, what the driver keeps."""

from __future__ import annotations

from build_scripts.console import GIB, MIB
from build_scripts.memory import shapes as architectures
from build_scripts.memory.line import Basis, Line
from build_scripts.memory.measured import Figure, Figures
from build_scripts.memory.shapes import ALIGN_BASE, ALIGN_LARGE
from build_scripts.plans.schema import Card, Plan
from build_scripts.plans.topology import llm_process, whisper_process
from onecard.contract.whisper import CHUNK_S, SAMPLE_RATE

# What CUDA shows is less than what the driver says: 24,259 of 24,576 MiB of an RTX 3090, 23.64 of
# 23.99 GiB of a 4090, 31.37 of 31.84 of a 5090, 44.35 of 44.99 of an A40: at most 1.5 %.
DRIVER_SHARE = 0.015
# On unified memory: CUDA finds 101.3 of 121.69 GiB free on an idle GB10
# (MiaAI-Lab/GLM-5.3-Flash-EXL3-2x-DGX-Sparks issue #47).
UNIFIED_HOST_BYTES = int(20.4 * GIB)

# The upper end of what is known: the 590 MiB of a process of TensorRT-LLM on a B200 with twice the
# multiprocessors (issue #3058). TensorRT reports 262 after CUDA's initialisation (#538).
ENGINE_CONTEXT_BYTES = 590 * MIB
# About 300 MB with lazily loaded kernels (pytorch issue #107667), and cuBLAS's and cuDNN's handles.
TORCH_CONTEXT_BYTES = 350 * MIB
POOL_BYTES = 64 * MIB  # --cuda-memory-pool-byte-size, its default

SEGMENT_S = CHUNK_S  # the longest that is aligned at a time
# Of the first convolution's output while its norm runs, and cuDNN's workspace for it.
ALIGN_TENSORS = 3
# Per window of 10 s, in float32. Segmentation: three tensors of 80 x 15,975 behind sinc filters.
SEGMENTATION_WINDOW_BYTES = 3 * 80 * 15975 * 4
# 1.82 GiB for 32 windows (pyannote-audio issue #1963, WeSpeaker ResNet34 on 10 s).
WESPEAKER_WINDOW_BYTES = int(1.82 * GIB / 32)
# onecard/diarization/embedding.py: the LSTM's gates over 12 partial utterances of 160 frames.
SPEAKER_ENCODER_WINDOW_BYTES = 12 * 160 * 4 * 256 * 4


def driver_lines(card: Card) -> list[Line]:
    if card.unified:
        return [
            Line("the host: system, server and Python models", "host", "host", UNIFIED_HOST_BYTES,
                 "sourced", "101.3 of 121.69 GiB free on an idle GB10 (GLM-5.3-Flash-EXL3 #47)")
        ]  # fmt: skip
    return [
        Line("kept by the driver", "driver", "context", int(card.vram_gib * GIB * DRIVER_SHARE),
             "sourced", "total memory by NVML and by CUDA on RTX 3090, 4090, 5090 and A40")
    ]  # fmt: skip


def server_lines(plan: Plan, figures: Figures) -> list[Line]:
    """Contexts and pools of Triton's own processes, in which the engines are."""
    servers = list(dict.fromkeys((whisper_process(plan), llm_process(plan))))
    return [
        *(_server(process) for process in servers),
        *(
            _line("CUDA pool", process, "pool", POOL_BYTES, "sourced",
                  "tritonserver's default, 64 MiB a server and GPU", figures.get("cuda_pool"), 1)
            for process in servers
        ),
    ]  # fmt: skip


def align_lines(plan: Plan, figures: Figures) -> list[Line]:
    if plan.align.device != "cuda":
        return []
    width = 2 if plan.align.precision == "float16" else 4
    shapes = _align_shapes(plan)
    size = "_base" if set(shapes) == {ALIGN_BASE} else ""  # as in measure/networks.py
    # The large model's working set is at least the base's; of larger ones nothing was measured.
    measured = figures.get(f"align_working_set{size}") or figures.get("align_working_set")
    if architectures.ALIGN_1B in shapes:
        figures, measured = {}, None
    weights = sum(shape.num_parameters for shape in shapes) * width
    frames = SEGMENT_S * SAMPLE_RATE // ALIGN_BASE.conv_stride
    working = plan.align.batch_size * ALIGN_TENSORS * ALIGN_BASE.conv_width * frames * width
    return [
        _context("align", "cuda_context", TORCH_CONTEXT_BYTES, "sourced",
                 "pytorch issue #107667, rounded up", figures),
        _line(f"wav2vec2, {len(shapes)} loaded", "align", "weights", weights, "computed",
              ", ".join(f"{shape.num_parameters:,}" for shape in shapes) + " parameters",
              figures.get(f"align_weights{size}") if len(shapes) == 1 else None, 1),
        _line("working set", "align", "working set", working, "estimated",
              f"{plan.align.batch_size} segments of {SEGMENT_S} s; tensors of the first "
              "convolution", measured, plan.align.batch_size),
    ]  # fmt: skip


def _align_shapes(plan: Plan) -> list[architectures.Wav2Vec2Shape]:
    """The most that can be loaded at once: the largest of what is fetched, for nothing of it keeps
    its place.

    Places beyond those are for models that an operator adds by hand, and are counted as large.
    """
    shapes = [architectures.align(language) for language in plan.align.fetched]
    shapes.sort(key=lambda shape: shape.num_parameters, reverse=True)
    found = shapes[: plan.align.max_loaded]
    return found + [ALIGN_LARGE] * (plan.align.max_loaded - len(found))


def diarize_lines(plan: Plan, figures: Figures) -> list[Line]:
    if plan.diarize.device != "cuda":
        return []
    embedded = plan.diarize.pipeline == "none"
    prefix = "diarize" if embedded else "diarize_pipeline"
    embedding = (
        architectures.SPEAKER_ENCODER_PARAMETERS
        if embedded
        else architectures.WESPEAKER_RESNET34_PARAMETERS
    )
    return [
        _context("diarize", "cuda_context", TORCH_CONTEXT_BYTES, "sourced",
                 "pytorch issue #107667, rounded up", figures),
        _line("segmentation and embedding at 32 bits", "diarize", "weights",
              4 * (architectures.PYANNET_PARAMETERS + embedding), "computed",
              f"{architectures.PYANNET_PARAMETERS:,} and {embedding:,} parameters",
              figures.get(f"{prefix}_weights"), 1),
        _diarize_working_set(plan, figures.get(f"{prefix}_working_set"), embedded),
    ]  # fmt: skip


def _diarize_working_set(plan: Plan, figure: Figure | None, embedded: bool) -> Line:
    """Segmentation and embedding follow each other in one allocator: the larger counts."""
    segmentation = plan.diarize.segmentation_batch_size * SEGMENTATION_WINDOW_BYTES
    window = SPEAKER_ENCODER_WINDOW_BYTES if embedded else WESPEAKER_WINDOW_BYTES
    embedding = plan.diarize.embedding_batch_size * window
    larger, batch, basis, source = max(
        (segmentation, plan.diarize.segmentation_batch_size, "estimated",
         "segmentation; tensors of its sinc filters"),
        (embedding, plan.diarize.embedding_batch_size, "estimated" if embedded else "sourced",
         "embedding; gates of its LSTM" if embedded else "embedding; pyannote-audio issue #1963"),
    )  # fmt: skip
    how = f"{source}; {batch} windows"
    known: Basis = "sourced" if basis == "sourced" else "estimated"
    return _line("working set", "diarize", "working set", larger, known, how, figure, batch)


def _server(process: str) -> Line:
    source = "upper end: 590 MiB on a larger GPU (TensorRT-LLM #3058), 262 at the least (#538)"
    return Line("CUDA context", process, "context", ENGINE_CONTEXT_BYTES, "estimated", source)


def _context(
    process: str, figure: str, num_bytes: int, basis: Basis, source: str, figures: Figures
) -> Line:
    return _line(
        "CUDA context", process, "context", num_bytes, basis, source, figures.get(figure), 1
    )


def _line(
    name: str,
    process: str,
    kind: str,
    num_bytes: int,
    basis: Basis,
    source: str,
    figure: Figure | None,
    batch: int,
) -> Line:
    """A line with the measured figure if there is one, and else with what is known without."""
    if figure is not None:
        return Line(name, process, kind, figure.scaled(batch), "measured", figure.source)
    return Line(name, process, kind, num_bytes, basis, source)
