"""What the process that compiles guides answers for errors of xgrammar."""

from __future__ import annotations

import io
import json
from types import SimpleNamespace

import pytest

from onecard.guides import worker


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
