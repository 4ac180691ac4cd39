"""The chart as rendered from plans: schemas, golden files, and what an operator relies on."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from build_scripts.fleet import helm as values_of
from build_scripts.plans import plan
from build_scripts.server.settings import DRAIN_TIMEOUT_S
from onecard.python_backend import traces
from tests.deploy.chart import CHART, KEYS, objects, tool
from tests.deploy.schemas import schema

GOLDEN = Path(__file__).parent / "golden"
# Everything that can be on; the least that renders.
FULL = (*KEYS, "--set", "tls.secret=onecard-tls", "--set", "autoscaling.enabled=true",
        "--set", "engines.tokenSecret=huggingface",
        "--set", "telemetry.otlpEndpoint=http://collector.monitoring.svc:4318",
        "--set", "telemetry.env.OTEL_TRACES_SAMPLER=parentbased_traceidratio",
        "--set", "gateway.metricsSecret=scraper",
        "--set", "gateway.env.GATEWAY_TIMEOUT_S=600")  # fmt: skip
LEAST = ("--set", "gateway.enabled=false", "--set", "monitoring.enabled=false",
         "--set", "networkPolicy.enabled=false")  # fmt: skip
KUBERNETES = ("1.29", "1.35")  # the oldest that the chart says, and one that is current

Rendered = Callable[..., str]


@pytest.fixture(scope="session")
def values(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Those of a card and of none, as the verb prints them."""
    servers = {name: values_of.server(plan.load(name), {}) for name in ("rtx3090", "cpu")}
    path = tmp_path_factory.mktemp("values") / "values.yaml"
    path.write_text("\n".join(values_of.yaml({"servers": servers})))
    return path


@pytest.fixture(scope="session")
def full(rendered: Rendered, values: Path) -> list[dict[str, Any]]:
    return objects(rendered(values, *FULL))


def of(found: list[dict[str, Any]], kind: str, name: str = "") -> list[dict[str, Any]]:
    return [one for one in found if one["kind"] == kind and name in one["metadata"]["name"]]


def pods(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one["spec"]["template"]["spec"] for kind in ("Deployment", "Job")
            for one in of(found, kind)]  # fmt: skip


def test_helm_lint_finds_nothing(helm: Any, values: Path) -> None:
    ran = helm("lint", CHART, "--strict", "-f", values, *KEYS)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def faults(found: list[dict[str, Any]], kubernetes: str) -> list[str]:
    """What is wrong with each object; a kind without a schema is a fault."""
    validate = pytest.importorskip("kubernetes_validate", reason="pip install kubernetes-validate")
    wrong = []
    for one in found:
        own = schema(one["apiVersion"], one["kind"])
        try:
            if own is not None:
                jsonschema.validate(one, own)
            else:
                validate.validate(one, kubernetes, strict=True)
        except validate.SchemaNotFoundError:
            wrong.append(f"{one['apiVersion']} {one['kind']}: no such kind")
        except (jsonschema.ValidationError, validate.ValidationError) as error:
            wrong.append(f"{one['kind']} {one['metadata']['name']}: {error.message}")
    return wrong


@pytest.mark.parametrize("kubernetes", KUBERNETES)
def test_every_object_is_as_its_schema_says(full: list[dict[str, Any]], kubernetes: str) -> None:
    assert len(full) == 20
    assert faults(full, kubernetes) == []


def test_an_unknown_kind_and_a_misspelt_field_are_faults(full: list[dict[str, Any]]) -> None:
    old = {"apiVersion": "autoscaling/v2beta2", "kind": "HorizontalPodAutoscaler", "metadata": {}}
    assert faults([old], "1.35") == ["autoscaling/v2beta2 HorizontalPodAutoscaler: no such kind"]
    for kind in ("Deployment", "ScaledObject", "PodMonitor", "PrometheusRule"):
        wrong = json.loads(json.dumps(of(full, kind)[0]))
        wrong["spec"]["replicaz"] = 3
        assert "replicaz" in faults([wrong], "1.35")[0]


@pytest.mark.parametrize(("name", "flags"), [("full", FULL), ("least", LEAST)])
def test_golden(rendered: Rendered, values: Path, name: str, flags: tuple[str, ...]) -> None:
    """After a change that is meant: UPDATE_GOLDEN=1, and read the difference."""
    found, path = rendered(values, *flags), GOLDEN / f"{name}.yaml"
    if os.environ.get("UPDATE_GOLDEN") == "1":
        path.parent.mkdir(exist_ok=True)
        path.write_text(found)
    assert found == path.read_text(), "UPDATE_GOLDEN=1 writes it anew"


def test_kustomize_reads_it(rendered: Rendered, values: Path, tmp_path: Path) -> None:
    (tmp_path / "onecard.yaml").write_text(rendered(values, *FULL))
    (tmp_path / "kustomization.yaml").write_text(
        "resources: [onecard.yaml]\nnamePrefix: team-\nnamespace: team\n"
    )
    ran = subprocess.run(
        [tool("kubectl"), "kustomize", tmp_path], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    found = objects(ran.stdout)
    assert {one["metadata"]["namespace"] for one in found} == {"team"}
    assert all(one["metadata"]["name"].startswith("team-test-") for one in found)


def test_nothing_has_a_privilege_it_does_not_need(full: list[dict[str, Any]]) -> None:
    assert len(pods(full)) == 4
    for pod in pods(full):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }  # fmt: skip
            assert "memory" in container["resources"]["limits"]


def test_a_pod_has_one_card_of_its_plan(full: list[dict[str, Any]]) -> None:
    (with_card,) = of(full, "Deployment", "rtx3090")
    spec = with_card["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 1
    text = json.dumps(spec["affinity"])
    for word in ("compute.major", '["8"]', "compute.minor", '["6"]', "gpu.memory", '["23039"]'):
        assert word in text
    (without,) = of(full, "Deployment", "cpu")
    assert "affinity" not in without["spec"]["template"]["spec"]


def test_requests_in_flight_have_their_time(full: list[dict[str, Any]]) -> None:
    for one in of(full, "Deployment"):
        spec = one["spec"]["template"]["spec"]
        (container,) = spec["containers"]
        sleep = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
        given = {each["name"]: each.get("value") for each in container["env"]}
        drain_s = int(given.get("DRAIN_TIMEOUT") or given["GATEWAY_DRAIN_S"])
        assert drain_s == DRAIN_TIMEOUT_S
        assert spec["terminationGracePeriodSeconds"] >= drain_s + sleep + 30  # compose's 330 s


def test_what_is_mounted_is_what_is_written(full: list[dict[str, Any]]) -> None:
    (deployment,), (job,) = of(full, "Deployment", "rtx3090"), of(full, "Job")
    serving = deployment["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
    building = job["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
    assert {one["mountPath"]: one.get("readOnly", False) for one in serving} == {
        "/dev/shm": False, "/tmp": False, "/var/tmp": False, "/opt/onecard/.triton": False,
        "/opt/onecard/engines": True, "/certificates": True,
    }  # fmt: skip
    assert {"mountPath": "/opt/onecard/engines", "name": "engines"} in building
    for pod in pods(full):
        named = {one["name"] for one in pod["volumes"]}
        assert named == {one["name"] for one in pod["containers"][0]["volumeMounts"]}


def test_the_job_has_the_claim_before_it(full: list[dict[str, Any]]) -> None:
    (claim,), (job,) = of(full, "PersistentVolumeClaim"), of(full, "Job")
    weights = [
        int(one["metadata"]["annotations"].get("helm.sh/hook-weight", 0)) for one in (claim, job)
    ]
    assert weights == sorted(weights)
    assert weights[0] < weights[1]
    assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    (volume,) = [one for one in pods([job])[0]["volumes"] if one["name"] == "engines"]
    assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]


def test_selectors_select_their_pods_and_no_others(full: list[dict[str, Any]]) -> None:
    labels = {one["metadata"]["name"]: one["spec"]["template"]["metadata"]["labels"]
              for one in of(full, "Deployment")}  # fmt: skip

    def selected(selector: dict[str, str]) -> set[str]:
        return {name for name, has in labels.items() if selector.items() <= has.items()}

    for service in of(full, "Service"):
        assert selected(service["spec"]["selector"]) == {service["metadata"]["name"]}
    for one in of(full, "PodDisruptionBudget"):
        assert selected(one["spec"]["selector"]["matchLabels"]) == {one["metadata"]["name"]}
    servers = {"test-rtx3090", "test-cpu"}
    monitored = {one["metadata"]["name"]: selected(one["spec"]["selector"]["matchLabels"])
                 for one in of(full, "PodMonitor")}  # fmt: skip
    assert monitored == {"test-server": servers, "test-gateway": {"test-gateway"}}
    for one in of(full, "ScaledObject"):
        assert one["spec"]["scaleTargetRef"]["name"] in servers


def test_the_gateway_is_scraped_by_a_key_or_where_anyone_may(
    rendered: Rendered, values: Path, full: list[dict[str, Any]]
) -> None:
    def scraped(chart: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [
            endpoint
            for one in of(chart, "PodMonitor", "gateway")
            for endpoint in one["spec"]["podMetricsEndpoints"]
        ]

    (by_key,) = scraped(full)
    assert by_key["authorization"]["credentials"] == {"name": "scraper", "key": "token"}
    assert scraped(objects(rendered(values, *KEYS))) == []
    (open_to_all,) = scraped(objects(rendered(values, "--set", "gateway.allowAnyone=true")))
    assert "authorization" not in open_to_all


def test_scaling_asks_for_the_seconds_of_audio_left(full: list[dict[str, Any]]) -> None:
    (scaled,) = of(full, "ScaledObject", "rtx3090")
    spec = scaled["spec"]
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (1, 4)
    (trigger,) = spec["triggers"]
    assert trigger["metadata"]["query"] == values_of.query("rtx3090", "test", "speech")
    expected = round(values_of.rate(plan.load("rtx3090")) * values_of.CLEARED_WITHIN_S)
    assert trigger["metadata"]["threshold"] == str(expected)
    # The autoscaler owns the number; a release that names one would set it back.
    assert all("replicas" not in one["spec"] for one in of(full, "Deployment"))


def test_who_may_reach_a_server(full: list[dict[str, Any]]) -> None:
    (policy,) = of(full, "NetworkPolicy", "server")
    grpc, metrics = policy["spec"]["ingress"]
    assert [one["port"] for one in grpc["ports"]] == ["grpc"]
    (peer,) = grpc["from"]
    assert peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "gateway"
    assert [one["port"] for one in metrics["ports"]] == ["metrics"]
    (deployment,) = of(full, "Deployment", "rtx3090")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert {one["name"] for one in container["ports"]} == {"grpc", "metrics"}
    assert {"name": "HTTP_ADDRESS", "value": "127.0.0.1"} in container["env"]


def variables(objects: list[dict[str, Any]], name: str) -> dict[str, str]:
    (deployment,) = of(objects, "Deployment", name)
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return {one["name"]: one["value"] for one in container["env"]}


def test_logs_and_traces_go_where_the_values_say(
    full: list[dict[str, Any]], rendered: Rendered, values: Path
) -> None:
    plain = objects(rendered(values, *KEYS, "--set", "telemetry.logFormat=text"))
    for name in ("rtx3090", "cpu", "gateway"):
        given = variables(full, name)
        assert traces.endpoint(given) == "http://collector.monitoring.svc:4318/v1/traces"
        assert given["OTEL_TRACES_SAMPLER"] == "parentbased_traceidratio"
        assert (given["LOG_FORMAT"], variables(plain, name)["LOG_FORMAT"]) == ("json", "text")
        assert traces.endpoint(variables(plain, name)) == ""
    assert variables(full, "gateway")["GATEWAY_TIMEOUT_S"] == "600"


def test_a_server_may_ask_the_collector_of_traces_alone(
    full: list[dict[str, Any]], rendered: Rendered, values: Path
) -> None:
    (policy,) = of(full, "NetworkPolicy", "server")
    collector, names = policy["spec"]["egress"]
    (peer,) = collector["to"]
    assert peer["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "monitoring"}
    assert {one["port"] for one in names["ports"]} == {53}
    (gateway,) = of(full, "NetworkPolicy", "gateway")
    assert collector in gateway["spec"]["egress"]
    (without,) = of(objects(rendered(values, *KEYS)), "NetworkPolicy", "server")
    assert without["spec"]["egress"] == []


def test_the_gateway_asks_every_server_by_name_and_tls(full: list[dict[str, Any]]) -> None:
    (deployment,) = of(full, "Deployment", "gateway")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    given = {one["name"]: one["value"] for one in container["env"]}
    assert given["ONECARD_URL"] == (
        "grpcs://test-cpu.speech.svc:8001,grpcs://test-rtx3090.speech.svc:8001"
    )
    assert given["GATEWAY_KEYS_FILE"] == "/keys/keys.json"
    assert all(one["spec"]["clusterIP"] == "None" for one in of(full, "Service", "rtx3090"))


def test_no_secret_is_in_an_object(full: list[dict[str, Any]]) -> None:
    assert not of(full, "Secret")
    (job,) = of(full, "Job")
    (token,) = [one for one in pods([job])[0]["containers"][0]["env"] if one["name"] == "HF_TOKEN"]
    assert token["valueFrom"] == {"secretKeyRef": {"name": "huggingface", "key": "token"}}


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ((), "gateway.keysSecret is empty, wanted the name of a Secret"),
        ((*KEYS, "--set", "gatway.enabled=false"), "gatway"),
        ((*KEYS, "--set", "servers.cpu.replicas=0"), "replicas"),
        ((*KEYS, "--set", "servers.cpu.plam=x"), "plam"),
        ((*KEYS, "--set", "servers=null"), "servers"),
        ((*KEYS, "--set", "autoscaling.prometheus=prometheus"), "prometheus"),
        ((*KEYS, "--set", "drainSeconds=5"), "drainSeconds"),
        ((*KEYS, "--set", "telemetry.logFormat=xml"), "logFormat"),
        ((*KEYS, "--set", "telemetry.otlpEndpoint=collector:4318"), "otlpEndpoint"),
        ((*KEYS, "--set", "telemetry.env.PLAN=x"), "PLAN"),
        ((*KEYS, "--set", "gateway.env.PATH=x"), "PATH"),
    ],
)
def test_wrong_values_are_refused(
    helm: Any, values: Path, flags: tuple[str, ...], reason: str
) -> None:
    ran = helm("template", "test", CHART, "-f", values, *flags)
    assert ran.returncode != 0
    assert reason in ran.stderr


def test_every_value_is_used_and_has_a_schema() -> None:
    templates = "".join(path.read_text() for path in (CHART / "templates").iterdir())
    known = json.loads((CHART / "values.schema.json").read_text())["properties"]
    given = yaml.safe_load((CHART / "values.yaml").read_text())
    assert set(given) == set(known) - {"global"}
    for section, fields in given.items():
        assert re.search(rf"\.Values\.{section}\b", templates), section
        if isinstance(fields, dict) and section != "servers":
            assert set(fields) == set(known[section]["properties"])
            for field in fields:
                assert re.search(rf"\.{field}\b", templates), f"{section}.{field}"
