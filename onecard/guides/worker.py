"""The process that compiles guides: one at a time, from standard input to standard output.

A request is a line of JSON; the answer is another, with as many bytes behind it as its `length`
says. Run by `onecard.guides.workshop`.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from typing import Any, BinaryIO

from onecard.guides import heap

GRAMMAR_OF_SCHEMA = "grammar of a json_schema"  # a kind of request that compiles nothing
NO_MEMORY = "std::bad_alloc"  # the text of a RuntimeError where xgrammar's C++ had caught it
STACK_BYTES = 64 * 2**20  # of each thread; a server may allow a gigabyte


def _limit(max_bytes: int) -> None:
    """Limits of this process; what threads take for stacks is read when a program starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    if soft != STACK_BYTES and (hard == resource.RLIM_INFINITY or hard >= STACK_BYTES):
        resource.setrlimit(resource.RLIMIT_STACK, (STACK_BYTES, hard))
        os.execv(sys.executable, [sys.executable, "-m", "onecard.guides.worker", *sys.argv[1:]])
    resource.setrlimit(resource.RLIMIT_AS, (max_bytes, max_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _answer(library: Any, request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    if request["kind"] == GRAMMAR_OF_SCHEMA:
        data = library.grammar(request["text"]).encode()
        return {"bytes": len(data)}, data
    before = heap.in_use()
    compiled = library.compile(request["kind"], request["text"])
    size, data = _size(compiled, before), b""
    if request["serialized"] and size <= request["max_bytes"]:
        data = compiled.serialize_json().encode()
        size = max(size, len(data))  # automata that are shared here are copies where it is read
    return {"bytes": size}, data if size <= request["max_bytes"] else b""


def _size(compiled: Any, before: int | None) -> int:
    """The bytes that a guide takes, where the heap had `before` in use ahead of it.

    xgrammar's own figure leaves automata out, or counts shared ones several times: from 3/4 to ten
    times as much, depending on version and guide.
    """
    after = heap.in_use()
    if before is None or after is None:
        return int(compiled.memory_size_bytes)
    return max(0, after - before)


def _refusal(reason: str) -> dict[str, Any]:
    """What is answered for an error of xgrammar that is no MemoryError, but may be of memory."""
    if NO_MEMORY in reason:
        return {"memory": True}
    return {"refused": reason.splitlines()[0]}


def _serve(library: Any, incoming: BinaryIO, outgoing: BinaryIO) -> None:
    for line in incoming:
        request = json.loads(line)
        signal.alarm(request["max_s"])  # ends this process, should nobody be left who would
        try:
            answer, data = _answer(library, request)
        except MemoryError:
            answer, data = {"memory": True}, b""
        except Exception as error:  # xgrammar raises RuntimeError, ValueError and its own kinds
            answer, data = _refusal(str(error).strip() or repr(error)), b""
        signal.alarm(0)
        outgoing.write(json.dumps({**answer, "length": len(data)}).encode() + b"\n" + data)
        outgoing.flush()


def main() -> None:
    settings = json.loads(sys.argv[1])
    _limit(settings["max_bytes"])
    from onecard.guides.library import Library

    outgoing = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints goes elsewhere
    library = Library(
        settings["facts"], settings["vocab_size"], settings["threads"], settings["own_schemas"]
    )
    outgoing.write(b"ready\n")
    outgoing.flush()
    _serve(library, sys.stdin.buffer, outgoing)


if __name__ == "__main__":
    main()
