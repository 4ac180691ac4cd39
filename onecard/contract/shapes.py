"""Shapes of the documents that pipeline models exchange; each document is checked as untrusted.

A shape is a type of JSON (`float` is any number) or `object` for anything at all. A list of one
shape stands for any number of them, a tuple of shapes for exactly these. An object has shapes by
name; one whose name ends in `?` may be null or missing. Other names are allowed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onecard import documents
from onecard.contract.figures import FIGURES
from onecard.errors import InvalidRequest, named, shown

Shape = Any

MAX_NUMBER = 1e12  # seconds and samples are less, and floats hold them exactly
_TYPES: Mapping[type, str] = {
    bool: "true or false",
    dict: "an object",
    float: f"a number up to {MAX_NUMBER:g}",
    int: f"a whole number up to {MAX_NUMBER:g}",
    list: "a list",
    str: "a text",
}

_SPAN = {"start": float, "end": float}
_TOKENS = {"tokens?": [int], "token_letters?": [int]}
_FIGURES = {**_TOKENS, **{f"{name}?": float for name in FIGURES}}
_WARNINGS = {"warnings?": [str]}
SPEECH = {
    "chunks": [_SPAN],
    "first_sample?": int,
    "duration_s?": float,
    "language?": str,
    "previous?": [int],
}
SEGMENTS = {
    "language": str,
    "first_sample?": int,
    "segments": [{**_SPAN, "text": str, "language?": str, **_FIGURES}],
    **_WARNINGS,
}
# What `label` puts together.
PARTS: Mapping[str, Shape] = {
    "clip": {
        "duration_s": float,
        "num_separate?": int,
        "missing_s?": float,
        "gaps?": [(float, float)],
        **_WARNINGS,
    },
    "speech": {
        "chunks": [{**_SPAN, "regions": [(float, float)]}],
        "method": str,
        "engine?": dict,
    },
    "aligned": {
        "segments": [
            {
                **_SPAN,
                "text": str,
                "language?": str,
                "aligner?": str,
                **_FIGURES,
                "speaker?": str,
                "words?": [{"word": str, "start?": float, "end?": float, "speaker?": str}],
                "chars?": [{"char": str, "start?": float, "end?": float}],
            }
        ],
        "dropped": [{**_SPAN, "reason": str}],
        "retried": list,
        "language": object,
        "language_probability": object,
        "engine": object,
        "aligners": object,
        **_WARNINGS,
    },
    "turns": {
        "turns?": list,
        "exclusive?": [{**_SPAN, "speaker": str}],
        "speakers": object,
        "embeddings": object,
        "known_speakers?": list,
        "engine": object,
        **_WARNINGS,
    },
}


def verify(name: str, found: Any, shape: Shape) -> None:
    """Refuse a document that has not the shape; `name` is its input's, for messages.

    Raises:
        InvalidRequest: the first place where it has not, and what belongs there.
    """
    problem = _problem(found, shape)
    if problem is not None:
        place, what = problem
        raise InvalidRequest(f"{name}{place} {what}; send what the model before it answers")


def _problem(found: Any, shape: Shape) -> tuple[str, str] | None:
    """Where below `found` and what is wrong; None if nothing is."""
    if isinstance(shape, dict):
        return _in_object(found, shape)
    if isinstance(shape, (list, tuple)):
        return _in_list(found, shape)
    if shape is object or _is_a(found, shape):
        return None
    return "", f"is {shown(found)}, must be {_TYPES[shape]}"


def _is_a(found: Any, kind: type) -> bool:
    if kind in (float, int):
        is_number = isinstance(found, (int, float) if kind is float else int)
        is_number = is_number and not isinstance(found, bool)
        return is_number and -MAX_NUMBER <= found <= MAX_NUMBER
    return isinstance(found, kind)


def _in_object(found: Any, shape: Mapping[str, Shape]) -> tuple[str, str] | None:
    if not isinstance(found, dict):
        return "", f"is {documents.kind(found)}, must be an object"
    for key, inner in shape.items():
        name = key.removesuffix("?")
        if name not in found and name == key:
            return "", f"has no {named(name)}"
        value = found.get(name)
        if value is None and name != key:
            continue
        problem = _problem(value, inner)
        if problem is not None:
            return f".{name}{problem[0]}", problem[1]
    return None


def _in_list(found: Any, shape: list[Shape] | tuple[Shape, ...]) -> tuple[str, str] | None:
    if not isinstance(found, list):
        return "", f"is {documents.kind(found)}, must be a list"
    if isinstance(shape, tuple) and len(found) != len(shape):
        return "", f"has {len(found)} items, must have {len(shape)}"
    inner = shape if isinstance(shape, tuple) else shape * len(found)
    for index, (item, wanted) in enumerate(zip(found, inner, strict=True)):
        problem = _problem(item, wanted)
        if problem is not None:
            return f"[{index}]{problem[0]}", problem[1]
    return None
