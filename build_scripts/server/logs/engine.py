"""Checks what NVIDIA's backend logs while it loads the engines.

TensorRT-LLM changes what it was asked for where that does not fit or cannot be read, says so in its
log and serves. Here such a line keeps the server from becoming ready. The lines are those of 1.0.0
to 1.2.1: triton_backend/inflight_batcher_llm/src/model_instance_state.cc and
cpp/tensorrt_llm/{batch_manager,executor} of NVIDIA/TensorRT-LLM; docs/running/doctor.md has the
table.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from build_scripts.errors import ServerError
from build_scripts.memory.engines import in_blocks
from build_scripts.model_repository import models as serving
from build_scripts.model_repository.models import ModelPlan
from build_scripts.server.served import Served

_ENGINE_LINE = "[TensorRT-LLM]["
_LOADING = re.compile(r"loading: ([\w.-]+):\d+")
_UNSET = re.compile(r"\b(\w+) (?:parameter )?(?:is |was )?not (?:specified|set|found)\b")
_WINDOW = re.compile(r"\[windowSize=(\d+)\] \{\.primaryBlocks=\d+")
_POOL = re.compile(r"Allocated \S+ GiB for max tokens in paged KV cache \((\d+)\)")
# CacheTransBufferManager of 0.20 to 1.2.0, BaseTransBufferManager after it.
_TRANSFER = re.compile(r"mPreAllocBufferSize: ?(\d+)")
_LIMIT = re.compile(r"TRTGptModel (maxSequenceLen|maxBeamWidth|maxBatchSize): (\d+)")
_CROSS = re.compile(r"Encoder-Decoder model, set ([\d.]+) cross KV cache fraction")

_MEMORY = (
    "less memory was free than planned: end what else is on the GPU, or lower the plan "
    "(`make plan`)"
)
_BUILT = "the engines were built for other limits: `make engines`"
_RENDERED = "the configuration is not the rendered one: `make repository`, and look at [models.*]"
_PATHS = "engines are not where the configuration says: `make engines` for this plan"
# executorImpl.cpp (b35ac1b6) says it of a decoder whose encoder nobody named, which is so in the
# process that an orchestrator spawns: it is sent one model path.
_ORCHESTRATED = (
    "Whisper runs in an orchestrator's worker, which gets no encoder: unset TRTLLM_ORCHESTRATOR, "
    "state serving.topology = one_process, and start it with `serve`"
)
_TRANSCEIVER = (
    "the KV cache's transceiver has taken memory that no line of the ledger has: "
    "TRTLLM_KVCACHE_TRANSFER_BUFFER_SIZE must be 0B where Triton starts, as `serve` sets it"
)

# What never is as the plan says, whichever engine it is said of, and what to do.
TRAPS: Mapping[str, str] = {
    "too large to fit at least one sequence in kvCache": _MEMORY,
    "maxAttentionWindow and maxSequenceLen are too large": _MEMORY,  # releases before 1.0
    "maxSequenceLen is reduced to maxAttentionWindow": _MEMORY,
    "maxInputLen is reduced to": _MEMORY,
    "value of maxAttentionWindow cannot exceed": _BUILT,
    "Chunked context is not supported for this configuration": (
        "the engine has no paged-context FMHA: `make engines`"
    ),
    "gpt_model_path is not specified": _PATHS,
    "Encoder model path not provided": _ORCHESTRATED,
    "Both encoder and decoder model paths are empty": _PATHS,
    "decoding_mode parameter is invalid": _RENDERED,
    "batch_scheduler_policy parameter was not found or is invalid": _RENDERED,
}
_REUSE_OFF = "KV cache reuse disabled"


@dataclass(frozen=True)
class Pool:
    """One KV cache."""

    window: int  # 0 if no line stated it
    tokens: int


class EngineLog:
    """The backend's log of one start.

    Args:
        engines: those that this server loads, as they are served.
    """

    def __init__(self, engines: Mapping[str, ModelPlan]) -> None:
        self._engines = engines
        self._loading = ""
        self._window = 0
        self._faults: dict[str, str] = {}  # what was said -> what to do
        self._pools: list[Pool] = []
        self._limits: dict[str, list[int]] = {}
        self._cross: list[float] = []
        self._has_spoken = False

    @property
    def faults(self) -> list[str]:
        """Faults that were found so far, each with what to do."""
        return [f"`{said}`: {cure}" for said, cure in self._faults.items()]

    def read(self, line: str) -> None:
        """One line of Triton's log, or of a worker's in it."""
        if match := _LOADING.search(line):
            self._loading = match[1]
        if _ENGINE_LINE not in line:
            return
        self._has_spoken = True
        text = line[line.index(_ENGINE_LINE) :].strip()
        self._look_for_traps(text)
        if match := _WINDOW.search(text):
            self._window = int(match[1])
        if match := _POOL.search(text):
            self._pools.append(Pool(self._window, int(match[1])))
            self._window = 0
        if match := _LIMIT.search(text):
            self._limits.setdefault(match[1], []).append(int(match[2]))
        if match := _CROSS.search(text):
            self._cross.append(float(match[1]))

    def verify(self) -> list[str]:
        """Once every engine is loaded: what could not be seen, for people.

        Raises:
            ServerError: an engine serves something else than the plan says.
        """
        if not self._has_spoken:
            return [
                "warning: the engines' own log lines did not arrive, so the sizes of their KV "
                "caches were not compared with the plan"
            ]
        if not self._faults:
            self._compare_pools()
            self._compare_limits()
            self._compare_cross()
        if self._faults:
            raise ServerError(
                "the engines are not as the plan says:\n  " + "\n  ".join(self.faults)
            )
        return []

    def _look_for_traps(self, text: str) -> None:
        for sign, cure in TRAPS.items():
            if sign in text:
                self._faults[text] = cure
        if _REUSE_OFF in text and self._wants_reuse():
            self._faults[text] = "the engine has no paged-context FMHA: `make engines`"
        if (match := _TRANSFER.search(text)) and int(match[1]) > 0:
            self._faults[text] = _TRANSCEIVER
        # Said by the server's own process, so that the model that is loading is the one meant.
        if (match := _UNSET.search(text)) and self._loading in self._engines:
            rendered = self._engines[self._loading].parameters.get(match[1], "")
            if rendered:
                # It says the same of a path that is given and is not there.
                why = _PATHS if match[1].endswith("_model_path") else _RENDERED
                cure = f"{self._loading} has {match[1]}={rendered}; {why}"
                self._faults.setdefault(text, cure)

    def _wants_reuse(self) -> bool:
        return any(
            engine.parameters.get("enable_kv_cache_reuse") == "true"
            for engine in self._engines.values()
        )

    def _compare_pools(self) -> None:
        """Compare pools by window and size, not by order: workers' lines may arrive late."""
        left = list(self._pools)
        for name, engine in self._engines.items():
            tokens = in_blocks(int(engine.parameters["max_tokens_in_paged_kv_cache"]))
            window = int(engine.parameters["max_attention_window_size"])
            # Whisper's second pool has the encoder's window, which no parameter states.
            for wanted in (window, 0) if _has_cross(engine) else (window,):
                self._take(left, name, Pool(wanted, tokens))

    def _take(self, left: list[Pool], name: str, wanted: Pool) -> None:
        for pool in left:
            same_window = 0 in (pool.window, wanted.window) or pool.window == wanted.window
            if same_window and pool.tokens == wanted.tokens:
                left.remove(pool)
                return
        seen = ", ".join(
            f"{pool.tokens} tokens (window {pool.window or '?'})" for pool in self._pools
        )
        window = f" with a window of {wanted.window}" if wanted.window else " for cross-attention"
        self._faults[f"{name}: no KV cache of {wanted.tokens} tokens{window}"] = (
            f"the engines have {seen or 'none'}; {_MEMORY}"
        )

    def _compare_limits(self) -> None:
        """The n-th largest against the n-th largest: which engine said it is not known."""
        for limit, wanted in (
            ("maxSequenceLen", [_int(e, "max_attention_window_size") for e in self._all()]),
            ("maxBeamWidth", [_int(e, "max_beam_width") for e in self._all()]),
            ("maxBatchSize", [e.max_batch_size for e in self._all()]),
        ):
            found = sorted(self._limits.get(limit, []), reverse=True)
            if len(found) != len(wanted):
                continue
            for has, wants in zip(found, sorted(wanted, reverse=True), strict=True):
                if has < wants:
                    self._faults[f"{limit} is {has}, wanted {wants}"] = _BUILT

    def _compare_cross(self) -> None:
        wanted = [
            float(engine.parameters["cross_kv_cache_fraction"])
            for engine in self._all()
            if _has_cross(engine)
        ]
        if self._cross and self._cross != [round(share, 1) for share in wanted]:
            said = f"cross KV cache fraction {', '.join(str(share) for share in self._cross)}"
            self._faults[f"{said}, wanted {wanted or 'none'}"] = _RENDERED

    def _all(self) -> list[ModelPlan]:
        return list(self._engines.values())


def watch_log(served: Served) -> EngineLog | None:
    """The check of one server; None if it runs no engine of NVIDIA's."""
    if served.launch.runtime != "nvidia":
        return None
    models = serving.models(served.deployment)
    return EngineLog({name: models[name] for name in served.launch.load_first})


def _has_cross(engine: ModelPlan) -> bool:
    return "cross_kv_cache_fraction" in engine.parameters


def _int(engine: ModelPlan, parameter: str) -> int:
    return int(engine.parameters[parameter])
