"""How a peer in a process of its own is talked to: a line of JSON each way for each call.

A call is `{"verb": ..., "arguments": {...}}`; the answer `{"result": ...}` or `{"error": "..."}`.
The first line comes unasked, when the peer is loaded.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from build_scripts import child_process

CLOSE_S = 10.0
NUM_LAST_LINES = 8


class PeerError(Exception):
    """A call that a peer did not answer, or answered with an error; says which and why."""


class Peer:
    """A peer that was started, loads once and stays warm; a context manager that ends it.

    Raises:
        PeerError: it ended, or said something else than JSON, before it was ready.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        cwd: Path | None = None,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  (closed by `close`)
        self._process = subprocess.Popen(
            command,
            cwd=cwd,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            preexec_fn=child_process.end_with_parent,
        )
        try:
            self.about: dict[str, Any] = self._read("start")
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """Of its process."""
        return self._process.pid

    def call(self, verb: str, **arguments: Any) -> dict[str, Any]:
        """What the peer answers. Raises PeerError; the peer can be called again unless it ended."""
        line = json.dumps({"verb": verb, "arguments": arguments}) + "\n"
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()
        except (BrokenPipeError, ValueError):
            raise PeerError(self._ended(verb)) from None
        return self._read(verb)

    def close(self) -> None:
        """Let it end by itself, or end it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(CLOSE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._stderr.close()

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self, verb: str) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise PeerError(self._ended(verb))
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        if not isinstance(answer, dict) or not {"result", "error"} & set(answer):
            shown = line.decode(errors="replace").strip()[:200]
            raise PeerError(f"the peer answered `{verb}` with `{shown}`, wanted a result as JSON")
        if "error" in answer:
            raise PeerError(f"the peer could not {verb}: {answer['error']}")
        found: dict[str, Any] = answer["result"]
        return found

    def _ended(self, verb: str) -> str:
        status = self._process.wait()
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").strip().splitlines()
        said = "\n  ".join(lines[-NUM_LAST_LINES:]) or "it said nothing"
        return f"the peer ended with status {status} at `{verb}`:\n  {said}"


Verb = Callable[..., Mapping[str, Any]]


def serve(
    about: Mapping[str, Any], verbs: Mapping[str, Verb], source: IO[str], sink: IO[str]
) -> None:
    """The peer's side: say that it is ready, then answer every line of `source` until it ends."""
    _write(sink, {"result": about})
    for line in source:
        _write(sink, _answer(line, verbs))


def _answer(line: str, verbs: Mapping[str, Verb]) -> dict[str, Any]:
    try:
        call = json.loads(line)
        verb, arguments = call["verb"], call["arguments"]
    except (ValueError, KeyError, TypeError):
        return {"error": f"`{line.strip()[:200]}` is no call, wanted a `verb` and its `arguments`"}
    if verb not in verbs:
        return {"error": f"there is no verb `{verb}`, there are: {', '.join(verbs)}"}
    try:
        return {"result": verbs[verb](**arguments)}
    except Exception as error:  # the next call may do better
        traceback.print_exc()
        return {"error": f"{type(error).__name__}: {error}"}


def _write(sink: IO[str], document: Mapping[str, Any]) -> None:
    sink.write(json.dumps(document) + "\n")
    sink.flush()
