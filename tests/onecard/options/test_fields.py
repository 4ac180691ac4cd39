"""Options of any dataclass: what is refused, and in which words."""

from __future__ import annotations

import json
import math
import typing
from dataclasses import dataclass
from typing import Literal

import pytest

from onecard.errors import InvalidRequest
from onecard.options import fields as json_options
from onecard.options.transcribe import StreamOptions
from onecard.triage.options import TriageOptions


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
        ('{"share": NaN}', "finite number"),
        ('{"size": -Infinity}', "finite number"),
        ('{"share": 1e999}', "finite number"),
        ('{"size": ' + "9" * 5000 + "}", "5000 digits long"),
        ('{"size": 1, "size": 2}', "`size` twice"),
        ('{"size": ' + "[" * 100_000, "more than 100 deep"),
        ('{"' + "x" * 1_000_000 + '": 1}', "unknown option `x+ ... x+`; known options"),
        ('{"words": 3}', "a text or a list"),
        ('{"extra": []}', "an object or null"),
        ('{"kind": "c"}', "one of `a`, `b`"),
        ('{"is_on": 1}', "true or false"),
    ],
)
def test_everything_else_is_refused(text, says):
    with pytest.raises(InvalidRequest, match=says) as refused:
        json_options.parse(Options, text)
    assert len(str(refused.value)) < 400


def test_annotations_are_read_at_the_first_request_alone(monkeypatch):
    """To read them takes longer than everything else that is done with a request's options."""
    json_options.parse(Options, "{}")
    monkeypatch.setattr(typing, "get_type_hints", None)
    assert json_options.parse(Options, '{"size": 2}', '{"share": 1}') == Options(2, 1)


def test_a_whole_number_may_be_written_with_a_point():
    assert json_options.parse(Options, '{"size": 3.0}').size == 3


def test_null_is_the_default_where_an_option_cannot_be_null():
    found = json_options.parse(Options, '{"size": null, "share": null, "kind": null}')
    assert found == Options()


PARAMETERS = {
    "size": 3, "share": "0.25", "words": "0.5", "extra": '{"y": 1}', "is_on": "true", "kind": "b",
}  # fmt: skip


def test_parameters_of_the_request_are_options_too():
    found = json_options.parse(Options, "", json.dumps(PARAMETERS))
    assert found == Options(3, 0.25, "0.5", {"y": 1}, "b", True)


@pytest.mark.parametrize(
    ("text", "words"), [('["a", "b"]', ["a", "b"]), ("[", "["), ("7", "7"), ("null", "null")]
)
def test_a_text_stays_one_unless_it_is_a_list_for_what_may_be_a_list(text, words):
    assert json_options.parse(Options, "", json.dumps({"words": text})).words == words


def test_an_option_in_both_places_has_one_value():
    assert json_options.parse(Options, '{"size": 3}', '{"size": "3"}').size == 3
    with pytest.raises(InvalidRequest, match="`size` is `3` in OPTIONS and `4` among"):
        json_options.parse(Options, '{"size": 3}', '{"size": 4}')


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"sise": 1}, "beside OPTIONS has the unknown option `sise`; did you mean `size`"),
        ({"size": "many"}, "`size` is `'many'`, must be a whole number"),
        ({"size": "0"}, "at least 1"),
        ({"is_on": "yes"}, "true or false"),
        ({"kind": "c"}, "one of `a`, `b`"),
    ],
)
def test_other_parameters_are_refused(parameters, says):
    with pytest.raises(InvalidRequest, match=says):
        json_options.parse(Options, "", json.dumps(parameters))


@pytest.mark.parametrize(
    "name", ["sequence_id", "priority", "timeout", "triton_x", "upload", "x-request-id"]
)
def test_what_is_no_option_of_any_model_is_passed_over(name):
    assert json_options.parse(Options, "", json.dumps({name: 7})) == Options()


def test_a_time_that_generate_leaves_among_the_parameters_counts():
    assert json_options.timeout_s('{"timeout": 1500000}') == 1.5
    assert json_options.timeout_s('{"timeout": 0}') is None
    assert json_options.timeout_s("") is None
    assert json_options.timeout_s('{"timeout": "soon"}') is None
    with pytest.raises(InvalidRequest, match="`timeout` is `'soon'`, must be a whole number"):
        json_options.parse(Options, "", '{"timeout": "soon"}')


@pytest.mark.parametrize("kind", [TriageOptions, StreamOptions])
def test_every_number_has_a_least_and_a_greatest_value(kind):
    """Beyond them are 32 and 64 bits, and floats that hold no more."""
    fields = {name for name, hint in typing.get_type_hints(kind).items() if _is_number(hint)}
    assert fields
    for name in fields:
        for value in (2**31, -(2**31) - 1, 2**63, -(2**64), 10**299, 1e300):
            if name == "seed" and 0 <= value < 2**64:
                continue
            with pytest.raises(InvalidRequest, match=f"`{name}` is .*, must be"):
                json_options.parse(kind, json.dumps({name: value}))


def _is_number(hint: object) -> bool:
    return bool({int, float} & {hint, *typing.get_args(hint)})


def test_options_of_many_megabytes_are_refused_by_their_length():
    with pytest.raises(InvalidRequest, match="OPTIONS has 5000000 letters"):
        json_options.parse(TriageOptions, "[" * 5_000_000)
