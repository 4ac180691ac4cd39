"""Settings come from flags, then from variables, and those that cannot be are refused."""

from __future__ import annotations

import pytest

from onecard_gateway.settings import SettingsError, from_command_line


def test_flags_win_over_variables() -> None:
    variables = {"ONECARD_URL": "a:1, b:2", "GATEWAY_PORT": "9000", "GATEWAY_LOG_JSON": "1"}
    settings = from_command_line(["--port", "9001", "--allowed-hosts", "Box,b"], variables)
    assert settings.urls == ("a:1", "b:2")
    assert settings.port == 9001
    assert settings.log_json
    assert settings.allowed_hosts == {"box", "b"}
    assert settings.host == "127.0.0.1"


def test_a_token_is_no_flag() -> None:
    assert from_command_line([], {"ONECARD_TOKEN": "secret"}).token == "secret"
    with pytest.raises(SystemExit):
        from_command_line(["--token", "secret"], {})


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.7", "::", "example.com"])
def test_others_are_let_in_only_when_told_in_words(host: str) -> None:
    with pytest.raises(SettingsError, match="--allow-anyone"):
        from_command_line(["--host", host], {})
    assert from_command_line(["--host", host, "--allow-anyone"], {}).host == host


@pytest.mark.parametrize("host", ["127.0.0.2", "::1", "localhost"])
def test_loopback(host: str) -> None:
    assert from_command_line(["--host", host], {}).host == host


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--port", "99999"], "the port is 99999"),
        (["--port", "web"], "not a number"),
        (["--url", ","], "no address"),
        (["--timeout-s", "0"], "timeout_s"),
    ],
)
def test_wrong(arguments: list[str], reason: str) -> None:
    with pytest.raises(SettingsError, match=reason):
        from_command_line(arguments, {})
