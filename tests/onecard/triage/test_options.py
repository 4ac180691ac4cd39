"""OPTIONS of a triage: the plan's where a request says nothing, and a precise refusal."""

from __future__ import annotations

import dataclasses
import json

import pytest

from onecard.errors import InvalidRequest
from onecard.options import fields
from onecard.triage import options as triage_options
from onecard.triage.options import Config, TriageOptions
from tests.onecard.triage import plan

CONFIG = dataclasses.replace(plan.CONFIG, categories="invoice, meeting,other")


def settings(options: str, config: Config) -> triage_options.Settings:
    return triage_options.settings(fields.parse(TriageOptions, options), config)


def test_nothing_asked_is_the_plan():
    found = settings("", CONFIG)
    assert found.categories == ("invoice", "meeting", "other")
    assert found.priorities == ("high", "low")
    assert (found.mails_per_call, found.drafts, found.seed) == (3, True, None)


def test_what_is_asked_wins_even_where_it_is_nothing():
    asked = {
        "categories": ["a", "Größe & Gewicht"], "priorities": ["P1"], "instructions": "",
        "mails_per_call": 1, "max_tokens_per_mail": 300, "drafts": False, "temperature": 0,
        "seed": 7, "confidence_threshold": 0, "stream": False,
    }  # fmt: skip
    found = settings(
        json.dumps(asked), dataclasses.replace(CONFIG, temperature=0.7, instructions="x")
    )
    assert dataclasses.asdict(found) == {
        **asked,
        "categories": ("a", "Größe & Gewicht"),
        "priorities": ("P1",),
    }


@pytest.mark.parametrize(
    ("found", "says"),
    [
        ('{"categorys": []}', "did you mean `categories`"),
        ('{"categories": []}', "`categories` has 0 names"),
        ('{"categories": "invoice"}', "`categories`.* a list or null"),
        ('{"categories": ["a", "a"]}', "has `a` twice"),
        ('{"categories": ["needs_review"]}', "other than `needs_review`"),
        ('{"categories": ["a\\"b"]}', "names of letters"),
        ('{"categories": ["a\\nb"]}', "names of letters"),
        ('{"categories": ["a\\n"]}', "names of letters"),
        ('{"categories": [3]}', "names of letters"),
        ('{"priorities": ["' + "x" * 41 + '"]}', "names of letters"),
        ('{"instructions": "' + "x" * 8001 + '"}', "has 8001 letters"),
        ('{"mails_per_call": 0}', "between 1 and 64"),
        ('{"max_tokens_per_mail": 2.5}', "a whole number"),
        ('{"drafts": 1}', "true or false"),
        ('{"temperature": 3}', "between 0.0 and 2.0"),
        ('{"seed": -1}', "`seed`"),
        ('{"seed": 1e300}', "`seed`"),
        ('{"max_tokens_per_mail": 4294967297}', "between 1 and 2147483647"),
        ('{"confidence_threshold": 1.5}', "between 0.0 and 1.0"),
    ],
)
def test_refuses_with_what_was_found_and_wanted(found, says):
    with pytest.raises(InvalidRequest, match=says):
        settings(found, CONFIG)


def test_a_plan_is_held_to_the_same():
    with pytest.raises(InvalidRequest, match="has `a` twice"):
        settings("", dataclasses.replace(CONFIG, categories="a,b,a"))
