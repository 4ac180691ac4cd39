"""Changed inputs: bytes as damage and spite change them, JSON by its values."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Sequence
from typing import Any

MAX_BYTES = 1 << 20
_NUMBERS = (0, 1, 2, 3, 7, 8, 15, 16, 127, 128, 255, 256, 32_767, 65_535, 2**31 - 1, 2**31,
            2**32 - 1, 2**63 - 1, 2**64 - 1)  # fmt: skip
_WIDTHS = "BHIQ"
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 0.5, -0.0, 1e308, -1e308, 2**31, -(2**31) - 1, 2**63, 10**40,
    float("nan"), float("inf"), "", "a", " ", "\0", "\ud800", "é" * 300, "x" * 70_000, "1" * 5_000,
    [], {}, [[]], [{}], {"": ""}, {"a": None}, [None] * 3_000, "{", "[1]", "auto", "en", "-",
    "../..",
)  # fmt: skip


def mutated(data: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    """`data` after one to four changes."""
    found = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 2, 3, 4))):
        found = chance.choice(_CHANGES)(found, others, chance)
    return bytes(found[:MAX_BYTES])


def _place(data: bytearray, chance: random.Random) -> int:
    """Any, and in half of all cases one in the head, where formats say what follows."""
    end = len(data) if chance.random() < 0.5 else min(len(data), 256)
    return chance.randrange(end + 1)


def _flip(data: bytearray, _: Sequence[bytes], chance: random.Random) -> bytearray:
    if data:
        at = min(_place(data, chance), len(data) - 1)
        data[at] ^= 1 << chance.randrange(8)
    return data


def _number(data: bytearray, _: Sequence[bytes], chance: random.Random) -> bytearray:
    """A number of the usual widths, of either byte order, as far as it has them."""
    kind = chance.choice(_WIDTHS)
    width = struct.calcsize(f"<{kind}")
    value = chance.choice(_NUMBERS) & ((1 << (8 * width)) - 1)
    at = _place(data, chance)
    data[at : at + width] = struct.pack(chance.choice("<>") + kind, value)
    return data


def _cut(data: bytearray, _: Sequence[bytes], chance: random.Random) -> bytearray:
    return data[: _place(data, chance)]


def _remove(data: bytearray, _: Sequence[bytes], chance: random.Random) -> bytearray:
    at = _place(data, chance)
    del data[at : at + chance.choice((1, 2, 4, 8, 64, 4_096))]
    return data


def _repeat(data: bytearray, _: Sequence[bytes], chance: random.Random) -> bytearray:
    at = _place(data, chance)
    piece = data[at : at + chance.choice((1, 4, 8, 32, 1_000))]
    data[at:at] = piece * chance.choice((1, 2, 20, 2_000))
    return data


def _noise(data: bytearray, _: Sequence[bytes], chance: random.Random) -> bytearray:
    at = _place(data, chance)
    piece = chance.randbytes(chance.choice((1, 4, 16, 512)))
    data[at : at + (len(piece) if chance.random() < 0.5 else 0)] = piece
    return data


def _blank(data: bytearray, _: Sequence[bytes], chance: random.Random) -> bytearray:
    at = _place(data, chance)
    size = min(chance.choice((4, 64, 4_096)), len(data) - at)
    data[at : at + size] = bytes([chance.choice((0, 255))]) * size
    return data


def _splice(data: bytearray, others: Sequence[bytes], chance: random.Random) -> bytearray:
    other = chance.choice(others)
    return data[: _place(data, chance)] + other[_place(bytearray(other), chance) :]


_CHANGES = (
    _flip,
    _flip,
    _number,
    _number,
    _number,
    _cut,
    _remove,
    _repeat,
    _noise,
    _blank,
    _splice,
)


def mutated_json(document: Any, chance: random.Random) -> bytes:
    """The text of `document` with some values changed; now and then with its letters changed."""
    for _ in range(chance.choice((1, 1, 2, 3))):
        document = _changed(document, chance)
    text = json.dumps(document)
    if chance.random() < 0.1:
        depth = chance.choice((50, 2_000, 100_000))
        text = text.replace("null", "[" * depth + "]" * depth, 1)
    data = text.encode("utf-8", "surrogatepass")[:MAX_BYTES]
    return mutated(data, [data], chance) if chance.random() < 0.3 else data


def _changed(value: Any, chance: random.Random) -> Any:
    if not isinstance(value, (dict, list)) or not value or chance.random() < 0.2:
        return chance.choice(VALUES)
    if isinstance(value, list):
        found = list(value)
        at = chance.randrange(len(found))
        if chance.random() < 0.2:
            return found + [found[at]] * chance.choice((1, 10, 2_000))
        found[at] = _changed(found[at], chance)
        return found
    key = chance.choice(list(value))
    roll = chance.random()
    if roll < 0.15:
        return {**value, chance.choice(("x", "", "\ud800", "k" * 9_000, key.upper())): value[key]}
    if roll < 0.25:
        return {name: member for name, member in value.items() if name != key}
    return {**value, key: _changed(value[key], chance)}
