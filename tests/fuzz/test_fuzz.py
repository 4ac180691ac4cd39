"""A short run of `make fuzz`, and that it would notice what it looks for."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.fuzz import __main__ as fuzz
from tests.fuzz import mutations
from tests.fuzz.children import Child, Target
from tests.fuzz.targets import KINDS

NUM_INPUTS = {"audio": 60, "raw": 60, "mail": 60, "emails": 60, "options": 100, "schema": 60}


@pytest.mark.parametrize("name", KINDS)
def test_changed_inputs_are_read_or_refused(name: str, tmp_path: Path) -> None:
    counts = fuzz.run(name, KINDS[name], NUM_INPUTS[name], 7, tmp_path)
    findings = [found.read_text() for found in tmp_path.glob("*.txt") if "slow" not in found.name]
    assert findings == []
    assert counts["ok"] > 0
    assert counts["refused"] > 0


def _misbehaving(data: bytes) -> str:
    if data == b"raise":
        raise KeyError("x")
    if data == b"exit":
        os._exit(3)
    if data == b"hang":
        while True:
            pass
    if data == b"grow":
        return f"{len(bytearray(300 << 20))} bytes"
    return "refused: no" if data == b"refuse" else "fine"


def _make_misbehaving() -> Target:
    return _misbehaving


def test_every_way_to_fail_is_noticed_and_the_next_input_served() -> None:
    # The kernel may take back other pages while it grows: the limit is far below what it takes.
    with Child(_make_misbehaving, hang_s=3.0, max_grown_mib=50.0) as child:
        found = {}
        for word in (b"fine", b"raise", b"exit", b"refuse", b"hang", b"grow", b"fine"):
            found[word] = child.run(word)
    kinds = {word.decode(): outcome.kind for word, outcome in found.items()}
    assert kinds == {
        "fine": "ok", "raise": "internal", "exit": "crash", "refuse": "refused", "hang": "hang",
        "grow": "memory",
    }  # fmt: skip
    assert "KeyError" in found[b"raise"].told
    assert [outcome.is_finding for outcome in found.values()].count(True) == 4


def test_an_input_is_the_same_each_time_and_not_its_seed() -> None:
    seeds = [bytes(range(256)) * 4, b"other" * 50]
    kind = KINDS["audio"]
    made = [[kind.input(seeds, random.Random(n)) for n in range(50)] for _ in range(2)]
    assert made[0] == made[1]
    assert len({*made[0]} - {*seeds}) > 40
    assert mutations.mutated_json({"a": [1, {"b": None}]}, random.Random(3))
