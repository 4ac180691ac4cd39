"""Options of any dataclass: what is refused, and in which words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import pytest

from onecard import json_options
from onecard.errors import InvalidRequest


@dataclass(frozen=True)
class Options:
    size: int | None = None
    share: float = 0.5
    words: str | list[str] = ""
    extra: dict[str, int] | None = None
    kind: Literal["a", "b"] = "a"
    is_on: bool = False

    def __post_init__(self) -> None:
        json_options.verify_types(self)
        json_options.verify_ranges(self, {"size": (1, math.inf), "share": (0.0, 1.0)})


@pytest.mark.parametrize("text", ["", " \n", "{}", b"{}"])
def test_nothing_means_the_defaults(text):
    assert json_options.parse(Options, text) == Options()


def test_what_is_given_is_taken():
    text = '{"size": 3, "share": 1, "words": ["x"], "extra": {"y": 1}, "kind": "b", "is_on": true}'
    assert json_options.parse(Options, text) == Options(3, 1, ["x"], {"y": 1}, "b", True)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "OPTIONS is not JSON"),
        ("[]", "must be an object"),
        ('{"sise": 1}', "did you mean `size`"),
        ('{"zzz": 1}', "known options: size, share"),
        ('{"size": "3"}', "a whole number or null"),
        ('{"size": true}', "a whole number"),
        ('{"size": 0}', "at least 1"),
        ('{"share": 1.5}', r"between 0\.0 and 1\.0"),
        ('{"share": NaN}', "between"),
        ('{"words": 3}', "a text or a list"),
        ('{"extra": []}', "an object or null"),
        ('{"kind": "c"}', "one of `a`, `b`"),
        ('{"is_on": 1}', "true or false"),
    ],
)
def test_everything_else_is_refused(text, says):
    with pytest.raises(InvalidRequest, match=says):
        json_options.parse(Options, text)
