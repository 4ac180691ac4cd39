"""What is said of the lines with which loading ends, in the words of the threads that have them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from build_scripts.engines import faults
from build_scripts.errors import ServerError
from build_scripts.server import lifecycle
from build_scripts.server.logs import load_faults
from build_scripts.server.logs.load_faults import FAULTS

INSTANCE = "unexpected error when creating modelInstanceState: "
FAILED = f'backend_model.cc:694] "ERROR: Failed to create instance: {INSTANCE}'
ERROR = "[TensorRT-LLM][ERROR] "
ASSERTION = f"{FAILED}{ERROR}Assertion failed: "

# (what is logged, what is to be done); the thread or source that has the line.
LINES = (
    # tensorrtllm_backend #835
    (ASSERTION + "Both encoder and decoder model paths are empty (/tmp/tritonbuild/tensorrtllm/"
     "triton_backend/inflight_batcher_llm/src/model_instance_state.cc:771)", "`make engines`"),
    # model_instance_state.cc
    ("[TensorRT-LLM][ERROR] Encoder model path at engines/rtx3090/whisper/encoder does not exist.",
     "`make engines`"),
    # executorImpl.cpp, in the worker of an orchestrator
    ("[TensorRT-LLM][WARNING] Encoder model path not provided. Skipping Encoder Run.",
     "unset TRTLLM_ORCHESTRATOR"),
    # executorImpl.cpp
    (ASSERTION + "When not spawning processes in orchestrator mode, participant IDs must be "
     "provided", "unset TRTLLM_ORCHESTRATOR"),
    # Open MPI's help text, of MPI_Comm_spawn
    ("There are not enough slots available in the system to satisfy the 1 slots that were "
     "requested by the application:", "unset TRTLLM_ORCHESTRATOR"),
    # open-mpi/ompi #4948
    ("Read -1, expected 9872, errno = 1", "unset TRTLLM_ORCHESTRATOR"),
    # TensorRT-LLM #1803
    ("model_repository_manager.cc:579] Invalid argument: ensemble 'ensemble' depends on "
     "'tensorrt_llm' which has no loaded version. Model 'tensorrt_llm' loading failed with error: "
     "version 1 is at UNAVAILABLE state: Invalid argument: unable to find backend library for "
     "backend '${triton_backend}', try specifying runtime on the model configuration.;",
     "`make repository`"),
    # model_state.h
    (FAILED + "Cannot find parameter with name: xgrammar_tokenizer_info_path", "`make repository`"),
    # triton server #7950
    ("model_lifecycle.cc:654] \"failed to load 'tensorrt_llm' version 1: Invalid argument: unable "
     "to find backend library for backend 'tensorrtllm', try specifying runtime on the model "
     'configuration."', "NVIDIA's container"),
    # TensorRT-LLM #2419, #2814
    (ASSERTION + "Must set crossKvCacheFraction for encoder-decoder model", "`make repository`"),
    (ASSERTION + "Do not set crossKvCacheFraction for decoder-only model", "`make repository`"),
    # kvCacheManager.cpp
    (ASSERTION + "Invalid freeMemFraction, freeMemFraction (1.000000) must be smaller than 1.0f",
     "unset KV_CACHE_FREE_GPU_MEM_FRACTION"),
    # model_instance_state.cc
    (ASSERTION + "Xgrammar's tokenizer info path at engines/rtx3090/llm/xgrammar_tokenizer_info"
     ".json does not exist.", "`make engines`"),
    # tensorrtllm_backend #61
    (FAILED + "[json.exception.parse_error.101] parse error at line 1, column 1: syntax error "
     "while parsing value - unexpected end of input; expected '[', '{', or a literal",
     "remove engines/<plan>/.build"),
    # tensorrtllm_backend #285, #707; TensorRT-LLM #1109
    (ASSERTION + "Input tensor 'host_sink_token_length' not found (/app/tensorrt_llm/cpp/"
     "tensorrt_llm/runtime/tllmRuntime.cpp:136)", faults.SKEW),
    ("RuntimeError: Required but not provided tensors:{'encoder_layers.27.mlp_layernorm.weight'}",
     faults.SKEW),
    ("RuntimeError: Provided tensor names are different from those expected by the engine.",
     faults.SKEW),
    # tensorrtllm_backend #424, #194
    (ERROR + "6: The engine plan file is not compatible with this version of TensorRT, expecting "
     "library version 9.2.0.5 got 9.3.0.1, please rebuild.", "build on the card that serves"),
    # llama_index #12318
    ("[TRT] [E] 6: The engine plan file is generated on an incompatible device, expecting compute "
     "8.0 got compute 8.9, please rebuild.", "build on the card that serves"),
    # TensorRT-LLM #1838
    (ASSERTION + "Failed to deserialize cuda engine. (/tmp/tritonbuild/tensorrtllm/tensorrt_llm/"
     "cpp/tensorrt_llm/runtime/tllmRuntime.cpp:72)", "`make engines` in the container"),
    # TensorRT-LLM #2021, #2058, #1992; tensorrtllm_backend #33
    (ASSERTION + "With communicationMode kLEADER, MPI worldSize is expected to be equal to tp*pp "
     "when participantIds are not specified", "(for one GPU)"),
    (INSTANCE + ERROR + "Assertion failed: mpiSize == tp * pp", "(for one GPU)"),
    ("RuntimeError: [TensorRT-LLM][ERROR] Assertion failed: MPI size 1 != TP size 2 * PP size 1",
     "(for one GPU)"),
    # Open MPI, orterun
    ("mpirun has detected an attempt to run as root.", "which want no mpirun"),
    # pytorch #140765
    ("KeyError: 'getpwuid(): uid not found: 1042'", "set USER and LOGNAME"),
    # tensorrtllm_backend #712, TensorRT-LLM #1294, #3112
    ("It looks like orte_init failed for some reason; your parallel process is", "TMPDIR"),
    ("It looks like opal_init failed for some reason; your parallel process is", "TMPDIR"),
    ("It looks like MPI_INIT failed for some reason; your parallel process is", "TMPDIR"),
    # triton server #6195, tensorrtllm_backend #562
    ("Unable to initialize shared memory key 'triton_python_backend_shm_region_3' to requested "
     "size (67108864 bytes). If you are running Triton inside docker, use '--shm-size' flag to "
     "control the shared memory region size. Each Python backend model instance requires at "
     "least 64MBs of shared memory. Error: No space left on device", "`shm_size`"),
    # triton server PR #2749
    ("Failed to initialize the model instance python_nobatch_int8_int8_int8_0 because it run out "
     "of shared memory. Increase the shared memory size to fix this error.", "`shm_size`"),
    # TensorRT-LLM #674, triton server #7293
    ("[tensor-rt-llm:1034 :0:1040] Caught signal 7 (Bus error: nonexistent physical address)",
     "`shm_size`"),
    ("[triton-inference-server-7cd84c8f4b-wzsk9:00030] Signal: Bus error (7)", "`shm_size`"),
    # sherpa #688; TensorRT-LLM #494
    (ERROR + "Assertion failed: maxTokensInPagedKvCache (1856) must be large enough to process at "
     "least 1 sequence to completion (i.e. must be larger than beam_width (1) * tokensPerBlock (64)"
     " * maxBlocksPerSeq (47))", "`make plan`"),
    (FAILED + "maxTokensInPagedKvCache must be large enough to process at least 1 sequence to "
     "completion (i.e. must be larger than beam_width * tokensPerBlock * maxBlocksPerSeq)",
     "`make plan`"),
    # trtGptModelInflightBatching.cpp
    ("Attention window too large to fit even a single sequence in the KV cache. Failing fast "
     "rather than attempting an adjustment of the window sizes.", "`make plan`"),
    # tensorrtllm_backend #328, #363
    (FAILED + ERROR + "CUDA runtime error in cudaDeviceGetDefaultMemPool(&memPool, device): "
     "operation not supported (/app/tensorrt_llm/cpp/tensorrt_llm/runtime/bufferManager.cpp:170)",
     "the whole card"),
    # tensorrtllm_backend #281, #195; TensorRT-LLM #3636
    (FAILED + ERROR + "CUDA runtime error in ::cudaMallocAsync(ptr, n, mCudaStream->get()): out of "
     "memory (/app/tensorrt_llm/cpp/tensorrt_llm/runtime/tllmBuffers.h:112)",
     "end what else is on the GPU"),
    ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB.",
     "end what else is on the GPU"),
    # NVIDIA's driver and container runtime
    ("CUDA driver version is insufficient for CUDA runtime version", "install a driver"),
    ("RuntimeError: Found no NVIDIA driver on your system.", "NVIDIA runtime"),
    # TensorRT-LLM #2004
    ("OSError: libnvinfer.so.10: cannot open shared object file: No such file or directory",
     "LD_LIBRARY_PATH"),
)  # fmt: skip


@pytest.mark.parametrize(("line", "wanted"), LINES, ids=[line[-60:] for line, _ in LINES])
def test_a_line_that_ends_a_load_has_its_cure(line: str, wanted: str) -> None:
    found = load_faults.explain(f"I1123 10:00:00.0 7 model_lifecycle.cc:473] loading\n{line}\n")
    assert found is not None
    assert wanted in found.cure


def test_every_fault_of_the_table_has_a_line() -> None:
    assert {load_faults.explain(line) for line, _ in LINES} == set(FAULTS)


def test_what_is_not_known_is_not_explained(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    log.write_text("I1123 10:00:09.0 7 model_lifecycle.cc:849] successfully loaded 'llm'\n")
    assert load_faults.cure(log) == ""
    assert load_faults.cure(tmp_path / "none.log") == ""


def test_the_cure_is_found_at_the_end_of_a_long_log(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    log.write_text("line\n" * load_faults.MAX_LOG_BYTES + "Signal: Bus error (7)\n")
    assert "/dev/shm is full" in load_faults.cure(log)


def test_a_start_that_fails_ends_with_the_reason_and_then_the_cure(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    log.write_text(
        "E1123 10:00:09.000000 7 model_lifecycle.cc:654] \"failed to load 'llm' version 1: "
        f'Internal: {INSTANCE}{ERROR}Assertion failed: mpiSize == tp * pp"\n'
    )
    reason, *_, cure = lifecycle._reason(log).splitlines()
    assert reason.startswith("error: failed to load 'llm'")
    assert cure.startswith("an engine was built for several GPUs")


def test_a_model_that_does_not_load_in_its_turn_is_told_with_its_cure(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    log.write_text(f"{ASSERTION}Must set crossKvCacheFraction for encoder-decoder model\n")
    one = lifecycle.Server.__new__(lifecycle.Server)
    one._api = SimpleNamespace(is_ready=lambda: True)  # type: ignore[assignment]
    one._settings = SimpleNamespace(log=log)  # type: ignore[assignment]

    def is_done() -> bool:
        raise ServerError("model `whisper` could not be loaded (HTTP Error 400: Bad Request)")

    with pytest.raises(ServerError, match=r"(?s)model `whisper`.*Whisper must have it"):
        one._is_ready(SimpleNamespace(is_done=is_done))  # type: ignore[arg-type]


def test_what_triton_says_on_every_machine_without_a_gpu_is_no_cause(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    log.write_text(
        'W1130 04:22:22.9 16781 pinned_memory_manager.cc:273] "Unable to allocate pinned system '
        "memory, pinned memory pool will not be available: CUDA driver version is insufficient for "
        'CUDA runtime version"\nE1130 04:22:30.1 16781 model_lifecycle.cc:654] "failed to load '
        "'llm' version 1: Internal: ModuleNotFoundError: No module named 'words'\"\n"
    )
    assert load_faults.cure(log) == ""
