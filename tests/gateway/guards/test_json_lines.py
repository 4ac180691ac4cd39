"""The log as JSON lines: a request's own fields, a message, a traceback."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import pytest

from onecard_gateway.guards.json_lines import JsonLines
from onecard_gateway.settings import from_command_line


def line(message: str, *arguments: object, level: int = logging.INFO, **more: Any) -> Any:
    record = logging.LogRecord("x", level, "x.py", 1, message, arguments, more.get("error"))
    text = JsonLines().format(record)
    assert "\n" not in text
    return json.loads(text)


def test_a_request_is_one_object() -> None:
    found = line(json.dumps({"route": "/", "status": 200, "id": "call-7"}))
    assert (found["source"], found["level"]) == ("gateway", "info")
    assert (found["route"], found["status"], found["id"]) == ("/", 200, "call-7")
    assert found["time"].endswith("+00:00")
    assert "message" not in found


@pytest.mark.parametrize("message", ["{no JSON", "[1]", "two\nlines", '"a"'])
def test_what_is_no_object_is_a_message(message: str) -> None:
    assert line(message, level=logging.WARNING)["message"] == message
    assert line(message, level=logging.WARNING)["level"] == "warning"


def test_a_failure_has_its_traceback() -> None:
    try:
        raise KeyError("segments")
    except KeyError:
        found = line("it failed", error=sys.exc_info())
    assert "KeyError: 'segments'" in found["traceback"]


def test_one_setting_is_for_servers_and_gateways() -> None:
    assert from_command_line([], {"LOG_FORMAT": "json", "HOME": "/none"}).log_json
    assert not from_command_line([], {"LOG_FORMAT": "text", "HOME": "/none"}).log_json
