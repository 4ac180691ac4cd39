"""What keeps a server from becoming ready, by the lines that NVIDIA's backend prints.

The lines are written by the format strings of its sources; none of them was seen on a GPU here.
"""

from __future__ import annotations

import re

import pytest

from build_scripts.errors import ServerError
from build_scripts.memory.deployment import resolve
from build_scripts.model_repository import models as serving
from build_scripts.model_repository.models import ModelPlan
from build_scripts.server.logs import engine
from build_scripts.server.logs.engine import EngineLog

INFO, WARNING = "[TensorRT-LLM][INFO] ", "[TensorRT-LLM][WARNING] "
LLM = (
    'I1123 10:00:00.000000 7 model_lifecycle.cc:473] "loading: llm:1"',
    WARNING + "encoder_model_path is not specified, will be left empty",
    WARNING + "cross_kv_cache_fraction is not specified, error if it's encoder-decoder model",
    WARNING + "lora_cache_max_adapter_size not set, defaulting to 64",
    INFO + "TRTGptModel maxBatchSize: 4",
    INFO + "TRTGptModel maxBeamWidth: 1",
    INFO + "TRTGptModel maxSequenceLen: 8192",
    INFO + "TRTGptModel maxNumTokens: 2048",
    INFO + "TRTGptModel mMaxAttentionWindowSize: (8192) * 40",
    INFO + "TRTGptModel maxInputLen: 8191  = maxSequenceLen - 1 since chunked context is enabled",
    INFO + "Blocks per window size:",
    INFO + "[windowSize=8192] {.primaryBlocks=256, .secondayBlocks=0}",
    INFO + "[MemUsageChange] Allocated 1.25 GiB for max tokens in paged KV cache (8192).",
    "I1123 10:00:09.000000 7 model_lifecycle.cc:849] \"successfully loaded 'llm'\"",
)
WHISPER = (
    "I1123 10:00:10.000000 7 model_lifecycle.cc:473] \"loading: whisper:1\"",
    INFO + "TRTGptModel maxBatchSize: 3",
    INFO + "TRTGptModel maxBeamWidth: 5",
    INFO + "TRTGptModel maxSequenceLen: 448",
    INFO + "This is an Encoder-Decoder model, set 0.5 cross KV cache fraction based on the config.",
    INFO + "[windowSize=448] {.primaryBlocks=210, .secondayBlocks=0}",
    INFO + "[MemUsageChange] Allocated 1.03 GiB for max tokens in paged KV cache (6720).",
    INFO + "[windowSize=3000] {.primaryBlocks=210, .secondayBlocks=0}",
    INFO + "[MemUsageChange] Allocated 1.03 GiB for max tokens in paged KV cache (6720).",
    "I1123 10:00:19.000000 7 model_lifecycle.cc:849] \"successfully loaded 'whisper'\"",
)  # fmt: skip


@pytest.fixture
def engines() -> dict[str, ModelPlan]:
    models = serving.models(resolve("rtx3090"))
    return {name: models[name] for name in ("llm", "whisper")}


def fed(engines: dict[str, ModelPlan], *lines: str) -> EngineLog:
    log = EngineLog(engines)
    for line in lines:
        log.read(line)
    return log


def test_engines_as_planned_become_ready(engines: dict[str, ModelPlan]) -> None:
    assert fed(engines, *LLM, *WHISPER).verify() == []


def test_lines_of_workers_may_arrive_in_any_order(engines: dict[str, ModelPlan]) -> None:
    late = [line for line in LLM if line.startswith(INFO)]
    early = [line for line in LLM if not line.startswith(INFO)]
    assert fed(engines, *early, *WHISPER, *late).verify() == []


def test_lines_that_do_not_arrive_are_said_and_are_no_refusal(
    engines: dict[str, ModelPlan],
) -> None:
    (said,) = fed(engines, LLM[0], WHISPER[0], "E1123 nothing of theirs").verify()
    assert said.startswith("warning:")


@pytest.mark.parametrize("trap", engine.TRAPS)
def test_every_trap_is_a_refusal(engines: dict[str, ModelPlan], trap: str) -> None:
    log = fed(engines, *LLM, f"{WARNING}{trap}: 4096", *WHISPER)
    with pytest.raises(ServerError, match=re.escape(trap)):
        log.verify()
    assert engine.TRAPS[trap] in log.faults[0]


@pytest.mark.parametrize(
    ("there", "instead", "said"),
    [
        ("cache (8192)", "cache (6144)", "llm: no KV cache of 8192 tokens"),
        ("windowSize=8192", "windowSize=6144", "with a window of 8192"),
        ("maxSequenceLen: 448", "maxSequenceLen: 114", "maxSequenceLen is 114, wanted 448"),
        ("maxBatchSize: 3", "maxBatchSize: 1", "maxBatchSize is 1, wanted 3"),
        ("maxBeamWidth: 5", "maxBeamWidth: 4", "maxBeamWidth is 4, wanted 5"),
        ("set 0.5 cross", "set 0.3 cross", "cross KV cache fraction 0.3"),
    ],
)
def test_other_numbers_than_the_plans_are_a_refusal(
    engines: dict[str, ModelPlan], there: str, instead: str, said: str
) -> None:
    lines = [line.replace(there, instead) for line in (*LLM, *WHISPER)]
    with pytest.raises(ServerError, match=said):
        fed(engines, *lines).verify()


def test_a_missing_cross_attention_cache_is_a_refusal(engines: dict[str, ModelPlan]) -> None:
    with pytest.raises(ServerError, match="whisper: no KV cache of 6720 tokens for cross"):
        fed(engines, *LLM, *WHISPER[:7]).verify()


@pytest.mark.parametrize(
    "parameter", ["encoder_model_path", "cross_kv_cache_fraction", "max_attention_window_size"]
)
def test_a_rendered_parameter_that_the_backend_did_not_read_is_a_refusal(
    engines: dict[str, ModelPlan], parameter: str
) -> None:
    unread = f"{WARNING}{parameter} is not specified, will be left empty"
    with pytest.raises(ServerError, match=f"whisper has {parameter}="):
        fed(engines, *LLM, WHISPER[0], unread, *WHISPER[1:]).verify()


def test_reuse_that_is_turned_off_matters_where_it_was_asked_for(
    engines: dict[str, ModelPlan],
) -> None:
    line = WARNING + "Fixing executorConfig: KV cache reuse disabled"
    assert fed(engines, *LLM, line, *WHISPER).verify() == []
    engines["llm"].parameters["enable_kv_cache_reuse"] = "true"
    with pytest.raises(ServerError, match="reuse disabled"):
        fed(engines, *LLM, line, *WHISPER).verify()


def test_a_server_of_one_engine_is_compared_with_that_one(engines: dict[str, ModelPlan]) -> None:
    assert fed({"whisper": engines["whisper"]}, *WHISPER).verify() == []


TRANSFER = (  # of 0.20, of 1.2.0 and of later ones
    "CacheTransBufferManager: mMaxNumTokens:0, mRecvBufferCount:1, mSendBufferCount:1,"
    "mTransferBufferSize:{size}, mPreAllocBufferSize:{both}",
    "CacheTransBufferManager: mMaxNumTokens:0, mRecvBufferCount:1, mSendBufferCount:1,"
    "mTransferBufferSize:{size}, mPreAllocBufferSize:{both},mOnlyUseDynamicBuffer:0 "
    "mUseFabricMemory:0 mDataType:1",
    "BaseTransBufferManager: mMaxNumTokens:0, mRecvBufferCount:1, mSendBufferCount:1, "
    "mTransferBufferSize:{size}, mPreAllocBufferSize:{both}, mOnlyUseDynamicBuffer:0, "
    "mUseFabricMemory:0, mDataType:1",
)


@pytest.mark.parametrize("line", TRANSFER)
def test_buffers_to_send_kv_caches_with_are_a_refusal_and_none_are_not(
    engines: dict[str, ModelPlan], line: str
) -> None:
    none, both = (INFO + line.format(size=size, both=2 * size) for size in (0, 512 * 2**20))
    assert fed(engines, *LLM, none, *WHISPER, none).verify() == []
    with pytest.raises(ServerError, match="TRTLLM_KVCACHE_TRANSFER_BUFFER_SIZE must be 0B"):
        fed(engines, *LLM, both, *WHISPER).verify()


def test_a_transceiver_that_is_off_is_no_refusal(engines: dict[str, ModelPlan]) -> None:
    assert fed(engines, *LLM, INFO + "CacheTransceiver is disabled.", *WHISPER).verify() == []


def test_an_engine_s_path_that_is_not_there_is_what_engines_cure(
    engines: dict[str, ModelPlan],
) -> None:
    """The backend says of it that it is not specified."""
    unread = f"{WARNING}encoder_model_path is not specified, will be left empty"
    with pytest.raises(ServerError, match="not where the configuration says: `make engines`"):
        fed(engines, *LLM, WHISPER[0], unread, *WHISPER[1:]).verify()


def test_a_whisper_without_its_encoder_is_an_orchestrator_s(engines: dict[str, ModelPlan]) -> None:
    line = WARNING + "Encoder model path not provided. Skipping Encoder Run."
    with pytest.raises(ServerError, match=r"one_process") as raised:
        fed(engines, *LLM, line, *WHISPER).verify()
    assert "make engines" not in str(raised.value)
