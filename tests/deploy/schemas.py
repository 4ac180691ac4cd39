"""Schemas of the objects that are no part of Kubernetes: the fields that the chart uses, no others.

After the operators' own definitions (keda.sh_scaledobjects.yaml of kedacore/keda,
monitoring.coreos.com_podmonitors.yaml and _prometheusrules.yaml of prometheus-operator).
"""

from __future__ import annotations

from typing import Any

TEXT = {"type": "string", "minLength": 1}
TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
DURATION = {"type": "string", "pattern": "^([0-9]+(ms|s|m|h|d))+$"}


def count(least: int, most: int = 2**31 - 1) -> dict[str, Any]:
    return {"type": "integer", "minimum": least, "maximum": most}


def only(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    return {
        "type": "object", "additionalProperties": False, "required": list(required),
        "properties": {**required, **optional},
    }  # fmt: skip


def several(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "minItems": 1, "items": items}


def kind(version: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = only({"name": TEXT}, labels=TEXTS, annotations=TEXTS, namespace=TEXT)
    top = {"apiVersion": {"const": version}, "kind": {"const": name}, "metadata": metadata}
    return only({**top, "spec": spec})


_POLICIES = several(
    only({
        "type": {"enum": ["Pods", "Percent"]}, "value": count(1), "periodSeconds": count(1, 1800),
    })
)  # fmt: skip
_RULES = only({}, stabilizationWindowSeconds=count(0, 3600), policies=_POLICIES,
              selectPolicy={"enum": ["Max", "Min", "Disabled"]})  # fmt: skip
_PROMETHEUS = only(
    {"serverAddress": TEXT, "query": TEXT, "threshold": {"type": "string", "pattern": "^[0-9.]+$"}},
    ignoreNullValues={"enum": ["true", "false"]},
)

SCHEMAS = {
    ("keda.sh/v1alpha1", "ScaledObject"): only(
        {"scaleTargetRef": only({"name": TEXT}), "triggers": several(only(
            {"type": {"const": "prometheus"}, "metadata": _PROMETHEUS},
            metricType={"enum": ["AverageValue", "Value"]},
        ))},
        minReplicaCount=count(0), maxReplicaCount=count(1), pollingInterval=count(1),
        cooldownPeriod=count(0),
        fallback=only(
            {"failureThreshold": count(1), "replicas": count(0)},
            behavior={"enum": ["static", "currentReplicas", "currentReplicasIfHigher",
                               "currentReplicasIfLower"]},
        ),
        advanced=only({}, horizontalPodAutoscalerConfig=only(
            {}, behavior=only({}, scaleDown=_RULES, scaleUp=_RULES)
        )),
    ),
    ("monitoring.coreos.com/v1", "PodMonitor"): only(
        {"selector": only({"matchLabels": TEXTS}), "podMetricsEndpoints": several(
            only({"port": TEXT}, path=TEXT, interval=DURATION, authorization=only({
                "type": TEXT, "credentials": only({"name": TEXT, "key": TEXT})
            }))
        )},
        podTargetLabels=several(TEXT),
    ),
    ("monitoring.coreos.com/v1", "PrometheusRule"): only({"groups": several(
        only({"name": TEXT, "rules": several({"anyOf": [
            only({"record": TEXT, "expr": TEXT}, labels=TEXTS),
            only({"alert": TEXT, "expr": TEXT}, labels=TEXTS, annotations=TEXTS,
                 keep_firing_for=DURATION, **{"for": DURATION}),
        ]})}, interval=DURATION),
    )}),
}  # fmt: skip


def schema(version: str, name: str) -> dict[str, Any] | None:
    """That of a kind; None for one that is not known here."""
    spec = SCHEMAS.get((version, name))
    return None if spec is None else kind(version, name, spec)
