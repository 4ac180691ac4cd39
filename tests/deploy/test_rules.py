"""Prometheus' rules: they are valid, fire when they are to, and lead to a paragraph of the docs."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from build_scripts import paths
from build_scripts.dashboards.dashboards import DASHBOARDS
from tests.docker.conftest import tool
from tests.test_docs_links import anchors

FOLDER = paths.ROOT / "deploy" / "prometheus"
RULES = FOLDER / "rules.yml"


def promtool(*arguments: str, folder: Path = FOLDER) -> str:
    ran = subprocess.run(
        [tool("promtool"), *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def rules() -> list[dict[str, Any]]:
    document = yaml.safe_load(RULES.read_text())
    return [rule for group in document["groups"] for rule in group["rules"]]


def alerts() -> list[dict[str, Any]]:
    return [rule for rule in rules() if "alert" in rule]


def test_promtool_reads_the_rules():
    assert f"SUCCESS: {len(rules())} rules found" in promtool("check", "rules", RULES.name)


def test_alerts_fire_when_they_are_to_and_else_do_not():
    assert "SUCCESS" in promtool("test", "rules", "rules_test.yml")


def test_every_alert_is_seen_to_fire():
    document = yaml.safe_load((FOLDER / "rules_test.yml").read_text())
    fired = {
        case["alertname"]
        for test in document["tests"]
        for case in test["alert_rule_test"]
        if case["exp_alerts"]
    }
    assert fired == {alert["alert"] for alert in alerts()}


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: str(alert["alert"]))
def test_every_alert_leads_to_what_to_do(alert):
    path, _, anchor = alert["annotations"]["runbook"].partition("#")
    assert anchor == alert["alert"].lower()
    assert anchor in anchors(paths.ROOT / path)
    assert alert["labels"]["severity"] in ("critical", "warning", "info")


def test_prometheus_would_take_every_query_of_the_dashboards(tmp_path):
    queries = [
        re.sub(r"\$__rate_interval", "1m", target["expr"])
        for dashboard in DASHBOARDS.values()
        for panel in dashboard.document()["panels"]
        for target in panel.get("targets", ())
    ]
    found = [{"record": f"query:{n}", "expr": query} for n, query in enumerate(queries)]
    (tmp_path / "q.yml").write_text(yaml.safe_dump({"groups": [{"name": "q", "rules": found}]}))
    assert f"{len(found)} rules found" in promtool("check", "rules", "q.yml", folder=tmp_path)
