"""Documents are what their model sends, or refused with the place where they are not."""

from __future__ import annotations

import math
from typing import Any

import pytest

from onecard.contract import shapes
from onecard.errors import InvalidRequest

SHAPE = {"name": str, "spans": [(float, float)], "size?": int, "more?": {"on": bool}, "any": object}


def document(**changed: Any) -> dict[str, Any]:
    return {"name": "x", "spans": [[0, 1.5], [2.0, 3]], "any": None, **changed}


@pytest.mark.parametrize(
    "found",
    [
        document(),
        document(size=3, more={"on": True}, beside="is let through"),
        document(size=None, more=None, spans=[], any=[{}]),
        document(spans=[[-1e12, 1e12]]),
    ],
)
def test_what_has_the_shape_is_let_through(found):
    shapes.verify("X", found, SHAPE)


@pytest.mark.parametrize(
    ("found", "says"),
    [
        ([], "X is a list, must be an object"),
        ({"name": "x", "any": 1}, "X has no `spans`"),
        (document(name=None), "X.name is `None`, must be a text"),
        (document(spans={}), "X.spans is an object, must be a list"),
        (document(spans=[[0, 1], [0, "1"]]), r"X.spans\[1\]\[1\] is `'1'`, must be a number"),
        (document(spans=[[0, True]]), "must be a number"),
        (document(spans=[[0, math.nan]]), "must be a number"),
        (document(spans=[[0, -math.inf]]), "must be a number"),
        (document(spans=[[0, 10**300]]), "must be a number"),
        (document(spans=[[0]]), r"X.spans\[0\] has 1 items, must have 2"),
        (document(size=1.0), "X.size is `1.0`, must be a whole number"),
        (document(more={}), "X.more has no `on`"),
        (document(more={"on": 1}), "X.more.on is `1`, must be true or false"),
    ],
)
def test_names_the_place_where_a_document_has_not_its_shape(found, says):
    with pytest.raises(InvalidRequest, match=says):
        shapes.verify("X", found, SHAPE)
