"""The file of keys: hashed, the owner's alone, never half written, and strict in what it takes."""

from __future__ import annotations

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from onecard_gateway.keys import file
from onecard_gateway.keys.key import Key, KeysError, Limits, digest, made

HASH = "0" * 64


def test_what_is_added_is_read(keys: Any) -> None:
    secret = keys.add("notes", "speech", requests_a_minute=60, audio_seconds_a_day=3600.5)
    limits = Limits(60, None, 3600.5)
    assert file.read(keys.path) == (
        Key("notes", digest(secret), ("speech",), limits, "2026-01-31"),
    )
    assert secret not in keys.path.read_text()
    assert stat.S_IMODE(keys.path.stat().st_mode) == 0o600
    assert file.remove(keys.path, "notes") == 0
    assert file.read(keys.path) == ()
    assert [one.name for one in keys.path.parent.iterdir()] == ["keys.json"]


def test_keys_are_long_and_never_the_same() -> None:
    found = {made() for _ in range(100)}
    assert len(found) == 100
    assert {len(one) for one in found} == {len("sk-onecard-") + 43}  # 256 bits in base 64


def test_none_of_those_added_at_once_is_lost(keys: Any) -> None:
    names = {f"key-{number}" for number in range(20)}
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(keys.add, names))
    assert {key.name for key in file.read(keys.path)} == names


def test_a_link_stays_one(keys: Any, tmp_path: Path) -> None:
    keys.path.parent.mkdir()
    keys.path.symlink_to(tmp_path / "target.json")
    keys.add("notes")
    assert keys.path.is_symlink()
    assert (tmp_path / "target.json").is_file()


def test_names_are_taken_once_and_must_be_known(keys: Any) -> None:
    keys.add("notes")
    before = keys.path.read_text()
    with pytest.raises(KeysError, match="`notes` already"):
        keys.add("notes")
    with pytest.raises(KeysError, match="no key `other`, only notes"):
        keys.remove("other")
    assert keys.path.read_text() == before


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "no file of keys"),
        ('{"keys": {}}', "no list"),
        ({"sha256": HASH}, "the name of a key"),
        ({"name": "two words", "sha256": HASH}, "the name of a key"),
        ({"name": "a", "sha256": "sk-onecard-in-clear"}, "no SHA-256"),
        ({"name": "a", "sha256": HASH, "scopes": ["everything"]}, "some of speech, text, admin"),
        ({"name": "a", "sha256": HASH, "scopes": []}, "some of speech, text, admin"),
        ({"name": "a", "sha256": HASH, "scope": ["text"]}, "has `scope`"),
        ({"name": "a", "sha256": HASH, "limits": {"stream": 1}}, "has `stream`"),
        ({"name": "a", "sha256": HASH, "limits": {"streams": 0}}, "above 0"),
        ({"name": "a", "sha256": HASH, "limits": {"streams": "2"}}, "above 0"),
    ],
)
def test_what_is_no_file_of_keys(keys: Any, content: Any, reason: str) -> None:
    keys.path.parent.mkdir()
    text = content if isinstance(content, str) else json.dumps({"keys": [content]})
    keys.path.write_text(text)
    with pytest.raises(KeysError, match=reason) as caught:
        file.read(keys.path)
    assert str(keys.path) in str(caught.value)
    assert "in-clear" not in str(caught.value)


def test_nobody_else_may_write_it(keys: Any) -> None:
    keys.add("notes")
    keys.path.chmod(0o620)
    with pytest.raises(KeysError, match="chmod 600"):
        file.read(keys.path)
