"""A table of what messages of NVIDIA's tools most likely mean, and what to do.

It is from threads of NVIDIA/TensorRT-LLM and tensorrtllm_backend (numbers beside each entry) and
from the sources that raise the message.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from build_scripts import container


@dataclass(frozen=True)
class Fault:
    """A message with its likely cause."""

    sign: str  # a regular expression that the log matches
    cause: str
    cure: str


SKEW = (
    f"do both in one container ({container.REFERENCE}), remove the plan's engines/<plan>/.build, "
    "build again"
)
# Of a build and of a start alike (`load_faults`).
OTHER_ENGINE = Fault(
    r"engine plan file is not compatible|Version tag does not match|different version of "
    r"TensorRT|generated on an incompatible device|different compute capability",
    "an engine is of another TensorRT or another GPU than those that are here (backend #194, "
    "sherpa #568)",
    "build on the card that serves, in the container that serves; remove engines/<plan>/.build",
)
NO_GPU = Fault(
    r"libnvidia-ml\.so|libcuda\.so\.1|no CUDA-capable device|Found no NVIDIA driver",
    "the container sees no GPU",
    "start it with the NVIDIA runtime (docker/compose.yml, `--gpus all`); `make doctor`",
)
OLD_DRIVER = Fault(
    r"driver (version )?is insufficient|forward compatibility was attempted|Error 80[34]",
    f"the driver is older than the container wants, {container.MIN_DRIVER}; GeForce boards have no "
    "forward compatibility",
    f"install a driver of at least {container.MIN_DRIVER}",
)
OTHER_LIBRARIES = Fault(
    r"libtensorrt_llm.*cannot open shared|libnvinfer.*cannot open shared|undefined symbol",
    "another environment's libraries are in the way of NVIDIA's (#2004)",
    "run it in the container, with neither LD_LIBRARY_PATH nor PYTHONPATH set by hand",
)
# The first that matches is told, so the particular stand before the general.
FAULTS = (
    Fault(
        r"Required but not provided tensors|has no attribute '?n_audio_ctx",
        "the checkpoint was converted by another TensorRT-LLM than the one that builds (backend "
        "#707, #2449)",
        SKEW,
    ),
    Fault(
        r"GPTQ with desc_act=True is not implemented",
        "the repository was quantised with activation order",
        "name one with desc_act=false and sym=true, or an AutoAWQ one",
    ),
    Fault(
        r"Paged Context FMHA doesn't work with int8 kv cache",
        "a KV cache of 8 bits and paged-context attention exclude each other (builder.py)",
        "leave the KV cache at 16 bits, as the plans have it",
    ),
    Fault(
        r"INT8/INT4 quantization is not supported on SM>=100",
        "this TensorRT-LLM has no weight-only kernels for the GPU (builder.py)",
        "build for SM80 to SM90 or SM120, or take the newer pin in docs/gpu/engines.md",
    ),
    OTHER_ENGINE,
    Fault(
        r"Model .*\.pt does not exist",
        "the converter reads OpenAI's `<model>.pt` only, not Hugging Face's weights",
        "run `make engines` again: it fetches the file",
    ),
    Fault(
        r"Weights only load failed|weights_only",
        "torch refuses the checkpoint because it holds more than tensors (torch 2.6 and later)",
        "fetch OpenAI's own file again; a fine-tuned one must be saved as tensors alone",
    ),
    NO_GPU,
    OLD_DRIVER,
    OTHER_LIBRARIES,
    Fault(
        r"No module named 'tensorrt_llm'|No module named 'tensorrt'",
        "this Python is not the one of NVIDIA's container",
        f"run it in the container, where {container.PYTHON} has tensorrt_llm",
    ),
    Fault(
        r"CUDA out of memory|OutOfMemory|cudaErrorMemoryAllocation|out of memory|"
        r"Engine building failed",
        "the GPU's memory did not suffice for the build (#772, #2451)",
        "end everything else on the GPU (`nvidia-smi`, a desktop as well), then lower "
        "llm.max_num_tokens or speech.chunks_in_flight",
    ),
    Fault(
        r"No space left on device",
        "the disk is full",
        "make room: a 24B model takes about three times its download",
    ),
)
KILLED = Fault(
    "",
    "the kernel ended it, most likely because the machine's memory did not suffice (`dmesg`): the "
    "converter holds the whole model, the builder two to three times the engine (estimated)",
    "give it more RAM or swap, and end other programs",
)


def explain(log: str, status: int) -> Fault | None:
    """The likely cause of a command that ended with `status` and wrote `log`."""
    for fault in FAULTS:
        if re.search(fault.sign, log, re.IGNORECASE):
            return fault
    return KILLED if status in (-9, 137) else None
