"""The `tensorrtllm` backend on the CPU: what Triton calls for every model that names it.

It knows how Triton starts a model and takes responses; the contract and the engines are in
tensorrtllm_cpu.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import triton_python_backend_utils as pb_utils
from tensorrtllm_cpu import settings
from tensorrtllm_cpu.refusal import Refusal
from tensorrtllm_cpu.service import Outcome, Service
from tensorrtllm_cpu.whisper import WhisperEngine

from onecard import backend


class TritonPythonModel:
    """One instance of one model."""

    def initialize(self, args: Mapping[str, str]) -> None:
        backend.self_test()
        config = json.loads(args["model_config"])
        self._settings = settings.read(config, backend.num_threads(args))
        if not self._settings.is_encoder_decoder:
            raise settings.SettingsError(
                f"`{self._settings.name}` has no `encoder_model_path`; on the CPU this backend "
                "serves encoder-decoder models: set it, or serve the model on a GPU"
            )
        engine = WhisperEngine(self._settings)
        self._service = Service(engine, self._settings, backend.warn)
        backend.log(
            f"`{self._settings.name}`: onecard's CPU drop-in for the tensorrtllm backend answers, "
            f"not TensorRT-LLM: {engine.description}"
        )
        if self._settings.without_effect:
            unused = ", ".join(self._settings.without_effect)
            backend.log(f"`{self._settings.name}`: without effect on the CPU: {unused}")

    def execute(self, requests: Sequence[Any]) -> list[Any] | None:
        outcomes = self._service.answer(requests)
        responses = [_response(outcome) for outcome in outcomes]
        if not self._settings.decoupled:
            return responses
        for request, response in zip(requests, responses, strict=True):
            final = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL
            request.get_response_sender().send(response, flags=final)
        return None


def _response(outcome: Outcome) -> Any:
    if isinstance(outcome, Refusal):
        code = getattr(pb_utils.TritonError, outcome.code)
        return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(outcome), code))
    return backend.reply(**outcome)
