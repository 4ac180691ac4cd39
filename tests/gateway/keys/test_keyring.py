"""The keys that are known follow the file, and a file that goes away lets nobody in."""

from __future__ import annotations

from typing import Any

import pytest

from onecard_gateway.keys.keyring import Keyring


def found(keyring: Keyring, *given: str) -> str | None:
    assert keyring.is_needed()
    key = keyring.find(given)
    return None if key is None else key.name


def test_without_keys_nobody_needs_one(keys: Any) -> None:
    assert not Keyring(None).is_needed()
    assert not Keyring(keys.path).is_needed()


def test_the_file_is_read_again(keys: Any, caplog: pytest.LogCaptureFixture) -> None:
    keyring = Keyring(keys.path)
    assert not keyring.is_needed()
    one, two = keys.add("one"), keys.add("two")
    assert [found(keyring, one), found(keyring, two), found(keyring, "wrong", two)] == [
        "one",
        "two",
        "two",
    ]
    assert [found(keyring, f"{one}x"), found(keyring, one[:-1]), found(keyring)] == [None] * 3
    keys.remove("one")
    assert [found(keyring, one), found(keyring, two)] == [None, "two"]
    keys.path.write_text("{")
    assert found(keyring, two) == "two"
    assert "not JSON" in caplog.text
    keys.path.unlink()
    assert found(keyring, two) is None
    keys.add("three")
    keys.remove("three")
    assert found(keyring, two) is None
    assert two not in caplog.text


def test_a_broken_file_closes_what_was_open(keys: Any) -> None:
    keyring = Keyring(keys.path)
    keys.path.parent.mkdir()
    keys.path.write_text("{")
    assert found(keyring, "anything") is None
