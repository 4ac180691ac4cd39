"""Lines to verdicts, where the model says what it should and where it does not."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onecard.llm.lines import Lines
from onecard.triage import verdicts
from onecard.triage.mail import Mail
from onecard.triage.verdicts import InvalidVerdict, Reader
from tests.onecard.triage.plan import SETTINGS

ROOT = Path(__file__).parents[3]
SCHEMA = json.loads((ROOT / "onecard" / "contract" / "schemas" / "verdict.schema.json").read_text())
MOST = {"summary": 40, "action": 20, "reason": 20, "reply_draft": 60}
MAIL = Mail("the id", {}, "body", shortened=True)
LINE = {
    "mail": 2,
    "summary": "An invoice.",
    "category": "invoice",
    "priority": "low",
    "action": "Pay it",
    "due": "2026-03-31",
    "confidence": 0.8,
    "reason": "asks for money",
    "reply_draft": "Thank you.",
}


def reader() -> Reader:
    return Reader(SETTINGS, MOST, call=3)


def verdict(**changed):
    found = reader().verdict(MAIL, {**LINE, **changed})
    jsonschema.validate(found.to_dict(), SCHEMA)
    return found


def test_a_verdict():
    number, found = reader().number(json.dumps(LINE), 2)
    assert number == 2
    assert reader().verdict(MAIL, found).to_dict() == {
        "id": "the id", "category": "invoice", "priority": "low", "needs_action": True,
        "action": "Pay it", "due": "2026-03-31", "summary": "An invoice.",
        "reply_draft": "Thank you.", "confidence": 0.8, "reason": "asks for money",
        "needs_review": False, "review_reason": None, "shortened": True, "call": 3,
    }  # fmt: skip


def test_without_an_action_nothing_is_due():
    found = verdict(action=None)
    assert (found.needs_action, found.action, found.due) == (False, None, None)


def test_little_confidence_is_for_review_and_says_so():
    found = verdict(confidence=0.4)
    assert found.category == "invoice"
    assert (found.needs_review, found.review_reason) == (True, "confidence 0.4 is below 0.5")
    assert not verdict(confidence=0.5).needs_review


def test_a_mail_without_a_verdict():
    found = verdicts.undecided(MAIL, 4, "engine error: gone").to_dict()
    jsonschema.validate(found, SCHEMA)
    assert found["category"] == "needs_review"
    assert found["needs_review"]
    assert found["review_reason"] == "engine error: gone"
    assert found["id"] == "the id"


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{",
        "[]",
        "7",
        '"x"',
        "{}",
        '{"mail": 0}',
        '{"mail": 3}',
        '{"mail": "1"}',
        '{"mail": true}',
        '{"mail": 1.0}',
        '{"mail": null}',
        "[" * 100_000,
        '{"mail": ' + "9" * 5000 + "}",
    ],
)
def test_a_line_about_no_mail_of_the_call(line):
    with pytest.raises(InvalidVerdict):
        reader().number(line, 2)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("category", "spam"),
        ("category", "needs_review"),
        ("category", None),
        ("category", ["invoice"]),
        ("priority", "HIGH"),
        ("priority", 1),
        ("summary", None),
        ("summary", ""),
        ("summary", 3),
        ("summary", "\u200b"),
        ("reason", {}),
        ("action", False),
        ("due", "2026-02-30"),
        ("due", "tomorrow"),
        ("due", "20260331"),
        ("due", "2026-W10-1"),
        ("due", 20260331),
        ("confidence", 1.1),
        ("confidence", -0.1),
        ("confidence", True),
        ("confidence", "high"),
        ("confidence", None),
        ("confidence", float("nan")),
        ("reply_draft", 1),
    ],
)
def test_a_wrong_field_is_named(name, value):
    with pytest.raises(InvalidVerdict, match=f"`{name}`"):
        verdict(**{name: value})


def test_texts_are_bounded_and_harmless():
    found = verdict(
        summary="a\x1b[2J\u202e" + "b" * 100, reply_draft="one\n\n\n\ntwo", action="x\ny"
    )
    assert found.summary == "a[2J" + "b" * 35 + "…"
    assert found.reply_draft == "one\n\ntwo"
    assert found.action == "x y"


def test_no_draft_where_none_is_wanted():
    settings = dataclasses.replace(SETTINGS, drafts=False)
    assert Reader(settings, MOST, 1).verdict(MAIL, LINE).reply_draft is None


@given(st.lists(st.text(alphabet="ab{}\n ", max_size=9), max_size=9), st.text(max_size=3))
def test_lines_do_not_depend_on_how_the_text_is_cut(pieces, rest):
    text = "".join(pieces) + rest
    lines = Lines()
    found = [line for piece in [*pieces, rest] for line in lines.push(piece)] + list(lines.flush())
    assert found == [line for line in text.split("\n") if line.strip()]


@given(
    st.dictionaries(
        st.sampled_from([*LINE]),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(max_size=80), st.lists, max_leaves=3
        ),
    )
)
def test_whatever_the_model_says_it_is_a_verdict_or_refused(changed):
    try:
        found = reader().verdict(MAIL, {**LINE, **changed})
    except InvalidVerdict:
        return
    jsonschema.validate(found.to_dict(), SCHEMA)
    json.dumps(found.to_dict(), allow_nan=False).encode()
