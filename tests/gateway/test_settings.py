"""Settings come from flags, then from variables, and those that cannot be are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from onecard_gateway.settings import SettingsError, from_command_line

NO_KEYS = {"GATEWAY_KEYS_FILE": ""}


def test_flags_win_over_variables() -> None:
    variables = {"ONECARD_URL": "a:1, b:2", "GATEWAY_PORT": "9000", "GATEWAY_LOG_JSON": "1"}
    settings = from_command_line(["--port", "9001", "--allowed-hosts", "Box,b"], variables)
    assert settings.urls == ("a:1", "b:2")
    assert settings.port == 9001
    assert settings.log_json
    assert settings.allowed_hosts == {"box", "b"}
    assert settings.host == "127.0.0.1"


def test_the_folder_of_jobs() -> None:
    assert from_command_line([], {"HOME": "/h"}).jobs_folder == Path("/h/.local/share/onecard/jobs")
    assert from_command_line([], {"XDG_DATA_HOME": "/d"}).jobs_folder == Path("/d/onecard/jobs")
    assert from_command_line([], {"GATEWAY_JOBS_FOLDER": ""}).jobs_folder is None
    assert from_command_line(["--jobs-keep-hours", "1.5"], {}).jobs_keep_hours == 1.5


def test_a_token_is_no_flag() -> None:
    assert from_command_line([], {"ONECARD_TOKEN": "secret"}).token == "secret"
    with pytest.raises(SystemExit):
        from_command_line(["--token", "secret"], {})


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.7", "::", "example.com"])
def test_others_are_let_in_only_when_told_in_words(host: str) -> None:
    with pytest.raises(SettingsError, match="--allow-anyone"):
        from_command_line(["--host", host], NO_KEYS)
    assert from_command_line(["--host", host, "--allow-anyone"], NO_KEYS).host == host


def test_others_are_let_in_with_keys(keys: Any) -> None:
    arguments = ["--host", "0.0.0.0", "--keys-file", str(keys.path)]
    keys.add("notes")
    assert from_command_line(arguments, {}).keys_file == keys.path
    keys.remove("notes")
    with pytest.raises(SettingsError, match="no keys to ask them for"):
        from_command_line(arguments, {})


def test_a_file_of_keys_that_was_named_must_be_there(tmp_path: Path) -> None:
    """Misspelt, it would let everybody in."""
    with pytest.raises(SettingsError, match="does not exist"):
        from_command_line(["--keys-file", str(tmp_path / "kyes.json")], {})
    usual = {"XDG_CONFIG_HOME": str(tmp_path)}
    assert from_command_line([], usual).keys_file == tmp_path / "onecard" / "keys.json"
    (tmp_path / "onecard").mkdir()
    (tmp_path / "onecard" / "keys.json").write_text("{")
    with pytest.raises(SettingsError, match="not JSON"):
        from_command_line([], usual)


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
        (["--timeout-s", "nan"], "timeout_s"),
        (["--drain-s", "inf"], "drain_s"),
        (["--root-certificates", "none.pem"], "`none.pem`, which cannot be read"),
        (["--jobs-keep-hours", "0"], "jobs_keep_hours"),
        (["--jobs-at-a-time", "-1"], "jobs_at_a_time"),
        (["--jobs-max-bytes", "1e9"], "not a number"),
        (["--tls-key", "key.pem"], "there is no certificate"),
        (["--allowed-origins", "*"], "an allowed origin is `\\*`"),
        (["--allowed-origins", "http://["], "an allowed origin is `http://\\[`"),
        (["--allowed-origins", "null"], "an allowed origin is `null`"),
        (["--allowed-origins", "https://a.example/"], "must be a scheme and a host"),
    ],
)
def test_wrong(arguments: list[str], reason: str) -> None:
    with pytest.raises(SettingsError, match=reason):
        from_command_line(arguments, {})


def test_webhooks_need_a_secret_which_is_no_flag() -> None:
    hosts = ["--webhook-hosts", "hooks.example, 10.0.0.0/8"]
    with pytest.raises(SettingsError, match="set GATEWAY_WEBHOOK_SECRET"):
        from_command_line(hosts, NO_KEYS)
    for secret in ("short", "whsec_" + "no base64 at all" * 3):
        with pytest.raises(SettingsError, match="GATEWAY_WEBHOOK_SECRET") as caught:
            from_command_line(hosts, {**NO_KEYS, "GATEWAY_WEBHOOK_SECRET": secret})
        assert secret not in str(caught.value)
    settings = from_command_line(hosts, {**NO_KEYS, "GATEWAY_WEBHOOK_SECRET": "s" * 32})
    assert settings.webhook_hosts == {"hooks.example", "10.0.0.0/8"}
