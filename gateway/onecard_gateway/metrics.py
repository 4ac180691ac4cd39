"""Figures for Prometheus: requests, their time, and the work that they brought."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

CONTENT_TYPE = CONTENT_TYPE_LATEST
_BUCKETS_S = (0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)


class Metrics:
    """The figures of one gateway."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        labels = ("method", "route", "status")
        self.requests = Counter(
            "onecard_gateway_requests", "Requests answered.", labels, registry=self._registry
        )
        self.duration = Histogram(
            "onecard_gateway_request_duration_seconds",
            "Time from a request's first byte to its answer's last.",
            ("route",),
            buckets=_BUCKETS_S,
            registry=self._registry,
        )
        self.in_flight = Gauge(
            "onecard_gateway_requests_in_flight", "Requests under way.", registry=self._registry
        )
        self.audio = Counter(
            "onecard_gateway_audio_seconds", "Audio transcribed.", registry=self._registry
        )
        self.tokens = Counter(
            "onecard_gateway_tokens", "Tokens of chats.", ("kind",), registry=self._registry
        )

    def text(self) -> bytes:
        """The figures in Prometheus' format."""
        return generate_latest(self._registry)
