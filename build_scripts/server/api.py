"""Asks a running Triton over HTTP: is it ready, which models has it, unload this one.

Unloading waits for a model's own requests, so callers go first: at a bare SIGTERM Triton refuses
the inner requests of ensembles and BLS models ("Server not ready") while the outer ones are still
running, and these then fail.
"""

from __future__ import annotations

import http.client
import json
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from onecard.contract import pipeline

PENDING = re.compile(
    r'^nv_inference_pending_request_count\{model="([^"]+)".*\} (\S+)$', re.MULTILINE
)
ENDED = re.compile(
    r'^nv_inference_request_(?:success|failure)\{[^}]*model="([^"]+)".*\} (\S+)$', re.MULTILINE
)
RELOAD_TIMEOUT_S = 300.0  # loading an engine takes minutes


@dataclass(frozen=True)
class Api:
    """One server's HTTP endpoints; `secret` opens the control of models to its supervisor alone."""

    url: str  # http://127.0.0.1:8000
    secret: str = ""
    metrics_url: str = ""  # http://127.0.0.1:8002

    def is_ready(self) -> bool:
        """Whether the server and every model of it answer requests."""
        try:
            self._request("GET", "/v2/health/ready")
        except (OSError, http.client.HTTPException):
            return False
        return True

    def states(self) -> dict[str, str]:
        """Model -> READY, LOADING, UNLOADING or UNAVAILABLE. Raises OSError."""
        index = json.loads(self._request("POST", "/v2/repository/index"))
        return {entry["name"]: entry.get("state", "UNAVAILABLE") for entry in index}

    def unload(self, model: str, timeout_s: float) -> None:
        """Refuse new requests for `model` and end it after its running ones.

        May return before that: `states` says when it is done. Raises OSError.
        """
        self._request("POST", f"/v2/repository/models/{model}/unload", timeout_s)

    def load(self, model: str, timeout_s: float = RELOAD_TIMEOUT_S) -> None:
        """Load `model`. Raises OSError when the server refuses, or does not answer in time."""
        self._request("POST", f"/v2/repository/models/{model}/load", timeout_s)

    def reload(self, model: str, timeout_s: float = RELOAD_TIMEOUT_S) -> None:
        """Unload and load `model`; those that depend on it stay loaded and find it again.

        Raises OSError when the server refuses, or does not answer in time.
        """
        self.unload(model, timeout_s)
        self.load(model, timeout_s)

    def configs(self, models: Mapping[str, str]) -> dict[str, dict[str, Any]]:
        """Model -> its configuration, of those that are READY. Raises OSError."""
        return {
            model: json.loads(self._request("GET", f"/v2/models/{model}/config"))
            for model, state in models.items()
            if state == "READY"
        }

    def pending(self) -> dict[str, float]:
        """Model -> how many requests it has not begun. Raises OSError."""
        return self._metric(PENDING)

    def ended(self) -> dict[str, float]:
        """Model -> how many requests it has answered or refused. Raises OSError."""
        return self._metric(ENDED)

    def _metric(self, pattern: re.Pattern[str]) -> dict[str, float]:
        text = self._opened(urllib.request.Request(self.metrics_url + "/metrics"), 10)
        found: dict[str, float] = {}
        for model, count in pattern.findall(text.decode()):  # one for each version
            found[model] = found.get(model, 0.0) + float(count)
        return found

    def _request(self, method: str, path: str, timeout_s: float = 10) -> bytes:
        headers = {pipeline.OWNER_HEADER: self.secret} if self.secret else {}
        request = urllib.request.Request(self.url + path, method=method, headers=headers)
        return self._opened(request, timeout_s)

    @staticmethod
    def _opened(request: urllib.request.Request, timeout_s: float) -> bytes:
        # No proxy: the server is the one that was just started here.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=timeout_s) as reply:
                answer: bytes = reply.read()
        except urllib.error.HTTPError as refusal:
            with refusal:  # its body says why
                text = refusal.read().decode(errors="replace").strip()
            raise OSError(f"HTTP {refusal.code}: {text or refusal.reason}") from None
        return answer


def is_decoupled(config: Mapping[str, Any]) -> bool:
    """Whether a model answers with any number of responses."""
    return bool(config.get("model_transaction_policy", {}).get("decoupled"))


def called(config: Mapping[str, Any]) -> set[str]:
    """The models that a model's requests lead to: an ensemble's steps, a BLS model's `calls`."""
    steps = config.get("ensemble_scheduling", {}).get("step", [])
    listed = config.get("parameters", {}).get(pipeline.CALLS, {}).get("string_value", "")
    return {step["model_name"] for step in steps} | {name for name in listed.split(",") if name}


def on_demand(configs: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    """The models that are loaded when a request names them, of models with these configurations."""
    parameters = configs.get("recognize", {}).get("parameters", {})
    return pipeline.on_demand(parameters.get(pipeline.ON_DEMAND, {}).get("string_value", ""))


def is_ensemble(config: Mapping[str, Any]) -> bool:
    """Whether a model is steps of other models and nothing itself."""
    return bool(config.get("ensemble_scheduling", {}).get("step"))


def waves(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Models in the order to unload them: each after every model that calls it."""
    left = {model: set(calls) for model, calls in graph.items()}
    order = []
    while left:
        called_by_others = set().union(*(calls - {model} for model, calls in left.items()))
        wave = sorted(set(left) - called_by_others) or sorted(left)  # a cycle goes all at once
        order.append(wave)
        left = {model: calls for model, calls in left.items() if model not in wave}
    return order
