"""What the process that compiles guides answers for errors of xgrammar."""

from __future__ import annotations

import io
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from onecard.guides import heap, worker
from onecard.guides.library import Library

FACTS = Path(__file__).parents[3] / "engines" / "cpu" / "llm" / "xgrammar_tokenizer_info.json"


def answered(error: Exception) -> dict[str, object]:
    def fail(kind: str, text: str) -> None:
        raise error

    request = {"kind": "regex", "text": "x", "max_s": 60, "max_bytes": 1, "serialized": False}
    outgoing = io.BytesIO()
    incoming = io.BytesIO(json.dumps(request).encode() + b"\n")
    worker._serve(SimpleNamespace(compile=fail), incoming, outgoing)
    found: dict[str, object] = json.loads(outgoing.getvalue())
    return found


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("std::bad_alloc")])
def test_no_memory_is_no_fault_of_the_guides_spelling(error: Exception) -> None:
    """Depending on where it runs out, C++ says so as the one or as the other."""
    assert answered(error) == {"memory": True, "length": 0}


@pytest.mark.parametrize(
    ("error", "reason"),
    [(ValueError("no such rule\nat 1:5"), "no such rule"), (RuntimeError(), "RuntimeError()")],
)
def test_a_refusal_is_the_first_line_of_the_reason(error: Exception, reason: str) -> None:
    assert answered(error) == {"refused": reason, "length": 0}


@pytest.fixture(scope="module")
def library() -> Library:
    return Library(FACTS, 49152, 1, own_schemas=True)


def schema(num_properties: int) -> str:
    """Of optional properties: each may follow each, which their automata share."""
    names = (f"property number {number}" for number in range(num_properties))
    return json.dumps(
        {"type": "object", "properties": {name: {"type": "number"} for name in names}}
    )


def compiled(library: Library, text: str, **request: object) -> tuple[dict[str, object], bytes]:
    asked = {"kind": "json_schema", "text": text, "max_bytes": 1 << 30, **request}
    return worker._answer(library, asked)


def test_a_guide_has_the_size_that_the_heap_grows_by(library: Library) -> None:
    values = {"enum": [f"value {number}" for number in range(8)]}
    names = [f"name of field {number}" for number in range(30)]
    text = json.dumps({"type": "object", "properties": dict.fromkeys(names, values)})
    compiled(library, text, serialized=False)  # what xgrammar makes once is there now
    before = heap.in_use()
    assert before is not None
    kept = [library.compile("json_schema", text) for _ in range(3)]
    grown = (heap.in_use() or 0) - before
    answer, data = compiled(library, text, serialized=False)
    assert data == b""
    assert answer["bytes"] == pytest.approx(grown / 3, rel=0.05)
    assert grown / 3 > 1.15 * kept[0].memory_size_bytes


def test_a_guide_that_is_copied_counts_with_what_is_shared_here(library: Library) -> None:
    alone, _ = compiled(library, schema(20), serialized=False)
    answer, data = compiled(library, schema(20), serialized=True)
    assert answer["bytes"] == len(data) > 3 * int(str(alone["bytes"]))
    again, nothing = compiled(library, schema(20), serialized=True, max_bytes=len(data) - 1)
    assert (again["bytes"], nothing) == (len(data), b"")


def test_where_the_heap_is_not_known_xgrammars_own_figure_counts(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heap, "in_use", lambda: None)
    answer, _ = compiled(library, schema(5), serialized=False)
    assert answer["bytes"] == library.compile("json_schema", schema(5)).memory_size_bytes
