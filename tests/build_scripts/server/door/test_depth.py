"""The depth of JSON in pieces, against that of the parsed document."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from build_scripts.server.door.depth import Depth

TEXTS = st.text(st.sampled_from('[]{}"\\/ab\n\u00e9'), max_size=12)
DOCUMENTS = st.recursive(
    st.none() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
)


def depth_of(document: Any) -> int:
    if isinstance(document, dict):
        document = list(document.values())
    return 1 + max(map(depth_of, document), default=0) if isinstance(document, list) else 0


def found(data: bytes, size: int) -> int:
    depth = Depth()
    for start in range(0, len(data), size):
        depth.add(data[start : start + size])
    return depth.most


@settings(deadline=None, max_examples=300)
@given(DOCUMENTS, st.booleans(), st.integers(1, 9))
def test_it_is_that_of_the_document(document: Any, is_ascii: bool, size: int) -> None:
    data = json.dumps(document, ensure_ascii=is_ascii).encode()
    assert found(data, size) == depth_of(document)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_brackets_of_a_text_do_not_count(size: int) -> None:
    assert found(b'{"a": "\\\\", "b": "[[[\\"[[[", "c": [[]]}', size) == 3
    assert found(b"[" * 500, size) == 500  # nor do they have to be closed
