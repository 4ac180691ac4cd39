"""`onecard-gateway keys` shows a key once, and never again."""

from __future__ import annotations

from typing import Any

import pytest

from onecard_gateway.__main__ import main
from onecard_gateway.keys import file
from onecard_gateway.keys.key import Limits, digest


@pytest.fixture(autouse=True)
def _file(keys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_KEYS_FILE", str(keys.path))


def test_add_list_remove(keys: Any, capsys: pytest.CaptureFixture[str]) -> None:
    limits = ["--requests-a-minute", "60", "--streams", "4", "--audio-seconds-a-day", "36000"]
    assert main(["keys", "add", "notes", "--scopes", "speech,admin", *limits]) == 0
    secret = capsys.readouterr().out.strip()
    (key,) = file.read(keys.path)
    assert key.sha256 == digest(secret)
    assert (key.scopes, key.limits) == (("speech", "admin"), Limits(60, 4, 36000))
    assert len(key.created) == len("2026-01-31")
    assert main(["keys", "list"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("notes ")
    assert "speech,admin" in shown
    assert "requests_a_minute=60 streams=4 audio_seconds_a_day=36000" in shown
    assert secret not in shown
    assert key.sha256 not in shown
    assert main(["keys", "remove", "notes"]) == 0
    assert "no key is left" in capsys.readouterr().err
    assert file.read(keys.path) == ()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["add", "two words"], "the name of a key is `two words`"),
        (["add", "notes", "--scopes", "everything"], "some of speech, text, admin"),
        (["add", "notes", "--streams", "0"], "`streams` is `0`"),
        (["remove", "notes"], "no key `notes`"),
    ],
)
def test_wrong(
    keys: Any, arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["keys", *arguments]) == 2
    out, error = capsys.readouterr()
    assert reason in error
    assert out == ""
    assert not keys.path.exists()
