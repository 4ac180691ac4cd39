"""The `tensorrtllm` backend on the CPU: what Triton calls for every model that names it."""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import triton_python_backend_utils as pb_utils
from tensorrtllm_cpu.contract import settings
from tensorrtllm_cpu.contract.refusal import Refusal

from onecard.python_backend import backend, malloc

FINAL = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL


class TritonPythonModel:
    """One instance of one model."""

    def initialize(self, args: Mapping[str, str]) -> None:
        backend.begin()
        config = json.loads(args["model_config"])
        # A plan for a card says nothing of cores.
        self._settings = settings.read(config, backend.num_threads(args, usual_share=1.0))
        os.nice(self._settings.nice)
        serve = _whisper if self._settings.is_encoder_decoder else _llm
        self._service, description = serve(self._settings, args["model_version"])
        backend.log(
            f"`{self._settings.name}`: onecard's CPU drop-in for the tensorrtllm backend answers, "
            f"not TensorRT-LLM: {description}"
        )
        if self._settings.without_effect:
            unused = ", ".join(self._settings.without_effect)
            backend.log(f"`{self._settings.name}`: without effect on the CPU: {unused}")

    def execute(self, requests: Sequence[Any]) -> list[Any] | None:
        if not self._settings.is_encoder_decoder:
            for request in requests:
                self._service.take(request, _Sender(request.get_response_sender()))
            return None
        responses = [_response(outcome) for outcome in self._service.answer(requests)]
        malloc.trim()
        if not self._settings.decoupled:
            return responses
        for request, response in zip(requests, responses, strict=True):
            request.get_response_sender().send(response, flags=FINAL)
        return None

    def finalize(self) -> None:
        self._service.close()
        # What belongs to Triton has to be gone before the stub lets go of the shared memory, or
        # the process ends in a segmentation fault: senders (in cycles with their sequences) and
        # metrics.
        del self._service
        _families.clear()
        gc.collect()


class _Sender:
    """A response sender that takes outcomes."""

    def __init__(self, sender: Any) -> None:
        self._sender = sender
        self.is_cancelled = sender.is_cancelled

    def send(self, outcome: Any, is_final: bool) -> None:
        flags = FINAL if is_final else 0
        if outcome is None:
            self._sender.send(flags=flags)
        else:
            self._sender.send(_response(outcome), flags=flags)


def _whisper(found: settings.Settings, version: str) -> tuple[Any, str]:
    from tensorrtllm_cpu.whisper.engine import WhisperEngine
    from tensorrtllm_cpu.whisper.service import Service

    malloc.keep()  # a third of the encoder's time went into pages of blocks that it had just freed
    engine = WhisperEngine(found)
    return Service(engine, found, backend.warn), engine.description


def _llm(found: settings.Settings, version: str) -> tuple[Any, str]:
    from tensorrtllm_cpu.llm.metrics import Metrics
    from tensorrtllm_cpu.llm.service import LlmService

    if not found.decoupled:
        raise settings.SettingsError(
            f"`{found.name}` is not decoupled; on the CPU a decoder-only model has to be: set "
            "`model_transaction_policy { decoupled: true }` (`make repository` does)"
        )
    service = LlmService(found, Metrics(_metric, found.name, version), backend.warn)
    return service, service.description


_families: dict[str, Any] = {}  # a family has to outlive its metrics


def _metric(
    family: str, description: str, labels: Mapping[str, str], buckets: Sequence[float]
) -> Any:
    if family not in _families:
        kind = pb_utils.MetricFamily.HISTOGRAM if buckets else pb_utils.MetricFamily.GAUGE
        _families[family] = pb_utils.MetricFamily(name=family, description=description, kind=kind)
    more = {"buckets": list(buckets)} if buckets else {}
    return _families[family].Metric(labels=dict(labels), **more)


def _response(outcome: Any) -> Any:
    if isinstance(outcome, Refusal):
        code = getattr(pb_utils.TritonError, outcome.code)
        return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(outcome), code))
    return backend.reply(**outcome)
