"""Prometheus and Grafana come up with onecard's rules and dashboards, and are nobody else's."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from build_scripts.dashboards import files
from tests.docker.conftest import DOCKER, tool


def mounted(service) -> dict[str, Path]:
    """Path in the container -> what is mounted there, of the checkout."""
    assert all(one["read_only"] for one in service["volumes"])
    return {one["target"]: (DOCKER / one["source"]).resolve() for one in service["volumes"]}


@pytest.mark.parametrize("name", ["prometheus", "grafana"])
def test_they_are_on_demand_and_at_loopback(compose, name):
    service = compose["services"][name]
    assert service["profiles"] == ["metrics"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert service["cap_drop"] == ["ALL"]
    assert all(path.exists() for path in mounted(service).values())


def test_prometheus_has_the_rules_and_finds_the_servers(compose, tmp_path):
    found = mounted(compose["services"]["prometheus"])
    settings = yaml.safe_load(found["/etc/prometheus/prometheus.yml"].read_text())
    [rules] = settings["rule_files"]
    inside = found[str(Path(rules).parent)] / Path(rules).name
    assert yaml.safe_load(inside.read_text())["groups"]
    hosts = {
        job["job_name"]: {
            target.partition(":")[0]
            for group in job["static_configs"]
            for target in group["targets"]
        }
        for job in settings["scrape_configs"]
    }
    # The first as the rules call it.
    assert hosts == {"onecard": {"serve", "cpu"}, "onecard-gateway": {"gateway"}}
    assert set().union(*hosts.values()) <= set(compose["services"])
    settings["rule_files"] = [str(inside)]
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(settings))
    command = [tool("promtool"), "check", "config", str(tmp_path / "prometheus.yml")]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_grafana_has_the_dashboards_and_asks_prometheus(compose):
    found = mounted(compose["services"]["grafana"])
    [provider] = yaml.safe_load(
        found["/etc/grafana/provisioning/dashboards/onecard.yml"].read_text()
    )["providers"]
    assert found[provider["options"]["path"]] == files.FOLDER
    [source] = yaml.safe_load(
        found["/etc/grafana/provisioning/datasources/onecard.yml"].read_text()
    )["datasources"]
    host, port = source["url"].removeprefix("http://").split(":")
    assert compose["services"][host]["ports"][0].endswith(f":{port}")
    assert source["isDefault"]


def test_who_looks_changes_nothing(compose):
    environment = compose["services"]["grafana"]["environment"]
    assert environment["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"
    assert environment["GF_AUTH_DISABLE_LOGIN_FORM"] == "true"
    assert environment["GF_ANALYTICS_REPORTING_ENABLED"] == "false"
