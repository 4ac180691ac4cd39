"""Triton's metrics of a model that answers with streams, from what its streams do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import triton_python_backend_utils as pb_utils

from onecard.contract.pipeline import CALLS
from onecard.metrics.families import Family
from onecard.metrics.traffic import Traffic
from onecard.python_backend import backend, telling
from onecard.python_backend.streams import Streams


def streams(args: Mapping[str, str], what: str, max_running: int, max_waiting: int = 0) -> Streams:
    """`Streams` whose requests are counted at Triton's /metrics.

    Args:
        args: what Triton hands to `initialize`.
        what, max_running, max_waiting: as `Streams`'.
    """
    stages = tuple(filter(None, backend.params(args).get(CALLS, "").split(",")))
    traffic = Traffic(
        _Families(),
        args["model_name"],
        args["model_instance_name"],
        stages,
        backend.warn,
        tell=telling.tell(backend.warn),
    )
    return Streams(what, max_running, max_waiting, traffic=traffic)


class _Families:
    """Makes metrics, and keeps their families, which have to outlive them."""

    def __init__(self) -> None:
        self._families: dict[str, Any] = {}

    def __call__(self, family: Family, labels: Mapping[str, str]) -> Any:
        if family.name not in self._families:
            kind = getattr(pb_utils.MetricFamily, family.kind.upper())
            self._families[family.name] = pb_utils.MetricFamily(
                name=family.name, description=family.description, kind=kind
            )
        more = {"buckets": list(family.buckets)} if family.buckets else {}
        return self._families[family.name].Metric(labels=dict(labels), **more)
