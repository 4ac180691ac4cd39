"""Every request has an id and one line in the log, which has nothing of its content."""

from __future__ import annotations

import json
import logging
import re
from typing import Any

import pytest

from tests.waiting import until


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.name == "onecard_gateway"]


def test_ids_and_lines(gateway: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "onecard_gateway")
    one = gateway()
    with one.client() as client:
        named = client.get("/v1/my-secret?q=secret", headers={"x-request-id": "call-7"})
        unnamed = client.get("/", headers={"x-request-id": "two words\tand a tab"})
    assert named.headers["x-request-id"] == "call-7"
    assert len(unnamed.headers["x-request-id"]) == 32
    until(lambda: len(lines(caplog)) == 2)
    first, second = lines(caplog)
    assert re.match(r"GET none 404 seconds=\d+\.\d", first)
    assert first.endswith(" id=call-7")
    assert second.startswith("GET / 200 ")
    assert "secret" not in caplog.text.replace("uvicorn", "")


def test_as_json(gateway: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "onecard_gateway")
    one = gateway(log_json=True)
    with one.client() as client:
        client.get("/")
    until(lambda: lines(caplog))
    found = json.loads(lines(caplog)[0])
    assert (found["route"], found["status"], found["method"]) == ("/", 200, "GET")


def test_figures(gateway: Any) -> None:
    one = gateway()
    with one.client() as client:
        client.get("/")
        client.get("/nothing")
    until(lambda: one.figure("onecard_gateway_requests_total") >= 2)
    assert one.figure("onecard_gateway_requests_in_flight") == 1  # the one that asks
