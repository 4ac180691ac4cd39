"""A peer's lines of JSON: what is answered, and what is said of a peer that does not answer."""

from __future__ import annotations

import io
import json
import sys
import textwrap

import pytest

from evaluation.peers import protocol
from evaluation.peers.protocol import Peer, PeerError


def peer(script: str) -> Peer:
    """A process that runs `script`, in the place of a real peer."""
    return Peer([sys.executable, "-c", textwrap.dedent(script)])


def answers(*lines: str) -> list[dict]:
    """What `serve` answers to each line; the first is that it is ready."""

    def add(first: int, second: int) -> dict:
        return {"sum": first + second}

    sink = io.StringIO()
    protocol.serve({"name": "adder"}, {"add": add}, io.StringIO("".join(lines)), sink)
    return [json.loads(line) for line in sink.getvalue().splitlines()]


SERVING = """
    import sys
    from evaluation.peers import protocol
    def fail():
        raise ValueError("no such file")
    def double(number):
        return {"twice": 2 * number}
    verbs = {"double": double, "fail": fail, "leave": lambda: sys.exit(3)}
    protocol.serve({"name": "adder"}, verbs, sys.stdin, sys.stdout)
"""


def test_calls_are_answered_by_a_process_that_stays():
    with peer(SERVING) as adder:
        assert adder.about == {"name": "adder"}
        assert [adder.call("double", number=n)["twice"] for n in (2, 4)] == [4, 8]
        with pytest.raises(PeerError, match="could not fail: ValueError: no such file"):
            adder.call("fail")
        assert adder.call("double", number=3) == {"twice": 6}


def test_a_peer_that_ends_says_how():
    with peer(SERVING) as adder:
        with pytest.raises(PeerError, match="ended with status 3 at `leave`"):
            adder.call("leave")
        with pytest.raises(PeerError, match="ended with status 3 at `double`"):
            adder.call("double", number=1)


def test_a_peer_that_does_not_start_says_why():
    with pytest.raises(PeerError, match=r"(?s)status 1 at `start`.*no such weights"):
        peer("raise SystemExit('no such weights')")
    with pytest.raises(PeerError, match="answered `start` with `Hello`"):
        peer("print('Hello')")


def test_a_line_that_is_no_call_is_refused_and_the_next_one_answered():
    call = json.dumps({"verb": "add", "arguments": {"first": 1, "second": 2}})
    ready, *found = answers("Hello\n", '{"verb": "add"}\n', "[]\n", call + "\n")
    assert ready == {"result": {"name": "adder"}}
    assert ["is no call" in one.get("error", "") for one in found] == [True, True, True, False]
    assert found[-1] == {"result": {"sum": 3}}


def test_unknown_verbs_and_arguments_are_errors():
    lines = [json.dumps({"verb": "divide", "arguments": {}}),
             json.dumps({"verb": "add", "arguments": {"third": 1}})]  # fmt: skip
    _, unknown, odd = answers(*(line + "\n" for line in lines))
    assert "no verb `divide`, there are: add" in unknown["error"]
    assert odd["error"].startswith("TypeError")
