"""Explains a line that ends the loading of a model, with the one thing to do about it.

The lines are those of NVIDIA's backend, TensorRT, Triton's Python backend and Open MPI, from their
threads (numbers beside each entry; `backend` is triton-inference-server/tensorrtllm_backend, a
number alone NVIDIA/TensorRT-LLM) and sources. What loads and is not as planned is in `engine`.
"""

from __future__ import annotations

import re
from pathlib import Path

from build_scripts import container
from build_scripts.engines import faults
from build_scripts.engines.faults import Fault
from build_scripts.server.logs.reader import is_harmless

MAX_LOG_BYTES = 2**20  # of the end of a log; what ended a load is not far from it

_RENDERED = (
    "serve the rendered configuration (`make repository`), and look at [models.*] of the plan"
)
_WITH_SERVE = (
    "start it with `make serve` or docker/compose.yml, which want no mpirun and set what the "
    "backend reads (build_scripts/server/launch.py)"
)

# The first that matches is told, so the particular stand before the general.
FAULTS = (
    Fault(
        r"Both encoder and decoder model paths are empty|(Decoder \(GPT\)|Encoder) model path at "
        r".+ does not exist",  # backend #835; model_instance_state.cc, 0c8de69a
        "the engines are not where the configuration says",
        "`make engines` for this plan, or serve the plan whose engines are there (PLAN=)",
    ),
    Fault(
        r"Encoder model path not provided|participant IDs must be provided|Participant ids should "
        r"not be set when using CommunicationMode::kORCHESTRATOR|There are not enough slots "
        r"available in the system|Read -1, expected \d+, errno",  # executorImpl.cpp; ompi #4948
        "the backend runs as an orchestrator, whose workers get no encoder",
        f"unset TRTLLM_ORCHESTRATOR and {_WITH_SERVE}",
    ),
    Fault(
        r"backend '\$\{\w+\}'|Cannot find parameter with name",  # 1803; model_state.h
        "the configuration is a template whose places were not filled, or lacks a parameter that "
        "the backend looks up unasked",
        _RENDERED,
    ),
    Fault(
        r"unable to find backend library for backend 'tensorrtllm'",  # server #7950
        "this Triton has no backend for TensorRT-LLM",
        f"serve in NVIDIA's container ({container.REFERENCE}), whose /opt/tritonserver has one",
    ),
    Fault(
        r"(Must|Do not) set crossKvCacheFraction for",  # 2419, 2814
        "cross_kv_cache_fraction is Whisper's alone, and Whisper must have it",
        _RENDERED,
    ),
    Fault(
        r"Invalid freeMemFraction|freeMemFraction \([^)]*\) must be smaller",  # kvCacheManager.cpp
        "kv_cache_free_gpu_mem_fraction must be below 1",
        "unset KV_CACHE_FREE_GPU_MEM_FRACTION: the plan computes it",
    ),
    Fault(
        r"Xgrammar's tokenizer info path at .+ does not exist",  # model_instance_state.cc, 0c8de69a
        "the LLM's engine has no tokenizer information for guided decoding",
        "`make engines`: it makes xgrammar_tokenizer_info.json beside the engine",
    ),
    Fault(
        r"json\.exception\.parse_error|json\.exception\.out_of_range\.\d+\] key '(?:build_config|"
        r"pretrained_config|encoded_vocab)'",  # backend #61
        "a file of an engine is cut short or is none of this release's",
        "remove engines/<plan>/.build and `make engines`; the disk may have been full",
    ),
    Fault(
        r"Required but not provided tensors|Input tensor '\w+' not found|Provided tensor names are "
        r"different from those expected",  # backend #707, #285; 1109
        "an engine was built by another TensorRT-LLM than the one that loads it",
        faults.SKEW,
    ),
    faults.OTHER_ENGINE,
    Fault(
        r"Failed to deserialize cuda engine",  # 1838
        "an engine cannot be read: it is of another TensorRT, of another GPU, or cut short",
        "remove engines/<plan>/.build and `make engines` in the container and on the card that "
        "serve",
    ),
    Fault(
        r"MPI worldSize is expected to be equal to tp\*pp|mpiSize == tp \* pp|MPI size \d+ != TP "
        r"size",  # 2021, 2058, 1992; backend #33
        "an engine was built for several GPUs, or Triton was started by mpirun with several ranks",
        f"build the engines with `make engines` (for one GPU), and {_WITH_SERVE}",
    ),
    Fault(
        r"(mpirun|prterun|orterun) has detected an attempt to run as root",  # Open MPI's orted
        "mpirun refuses root",
        _WITH_SERVE,
    ),
    Fault(
        r"getpwuid\(\): uid not found",  # pytorch #140765; tesseract-core #460
        "the container's user has no entry in /etc/passwd, and torch asks for its name",
        "set USER and LOGNAME to any name, and TORCHINDUCTOR_CACHE_DIR to a directory that can be "
        "written, or run it as user 1000",
    ),
    Fault(
        r"(orte|opal|ompi_mpi|MPI)_INIT failed for some reason",  # backend #712, #553; 1294, 3112
        "Open MPI could not start: its directory in TMPDIR cannot be written, or variables of "
        "another MPI job are in the environment",
        f"give TMPDIR a directory that this user can write, unset OMPI_* and PMIX_*, and "
        f"{_WITH_SERVE}",
    ),
    Fault(
        r"Unable to initialize shared memory key|Failed to increase the shared memory pool size|"
        r"run out of shared memory|Caught signal 7 \(Bus error|Signal: Bus error",
        # server #6195, #7293; backend #562; server PR #2749; 674
        "/dev/shm is full or too small",
        f"give it more (`shm_size` of docker/compose.yml, `--shm-size={container.SHM_SIZE}`); "
        "without a container "
        "make room in /dev/shm: regions of a killed server are removed at the next `make serve`",
    ),
    Fault(
        # sherpa #688; 494, 542; trtGptModelInflightBatching.cpp
        r"maxTokensInPagedKvCache .*must be large enough|too large to fit (at least one|even a "
        r"single) sequence in (the )?kv ?cache|No available memory for (the )?KV cache",
        "what is free on the card holds no KV cache of one whole sequence",
        "end what else is on the GPU (`nvidia-smi`), or lower the plan (`make plan` shows what "
        "gives way)",
    ),
    Fault(
        r"cudaDeviceGetDefaultMemPool.*operation not supported",  # backend #328, #363
        "the GPU is a virtual one that has no memory pools",
        "give the machine the whole card, or a vGPU type with unified memory enabled",
    ),
    Fault(
        r"CUDA out of memory|OutOfMemory|cudaErrorMemoryAllocation|out of memory|Requested amount "
        r"of GPU memory",  # backend #281, #195
        "the card's memory did not suffice",
        "end what else is on the GPU (`nvidia-smi`, a desktop as well), or lower the plan (`make "
        "plan` shows what gives way)",
    ),
    faults.OLD_DRIVER,
    faults.NO_GPU,
    faults.OTHER_LIBRARIES,
)


def explain(log: str) -> Fault | None:
    """The likely cause of a start that failed with `log`."""
    return next((fault for fault in FAULTS if re.search(fault.sign, log, re.IGNORECASE)), None)


def cure(log: Path) -> str:
    """A sentence for people about the server whose log it is; empty where nothing is known."""
    try:
        text = log.read_bytes()[-MAX_LOG_BYTES:].decode(errors="replace")
    except OSError:
        return ""
    fault = explain("\n".join(line for line in text.splitlines() if not is_harmless(line)))
    return "" if fault is None else f"{fault.cause}: {fault.cure}"
