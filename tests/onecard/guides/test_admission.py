"""What NVIDIA's executor is given: nothing that was not compiled before, and not without end."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path

import pytest

from onecard.errors import Cancelled, InvalidRequest
from onecard.guides import admission
from onecard.guides.guide import Guide
from onecard.guides.workshop import Limits

ENGINE = Path(__file__).parents[3] / "engines" / "cpu" / "llm"
SLOW = '{"anyOf":[' * 900 + '{"type":"string"}' + "]}" * 900


def nobody_left() -> None:
    raise Cancelled("the caller cancelled the request")


@pytest.fixture
def admitted(monkeypatch):
    monkeypatch.setattr(admission, "LIMITS", Limits(max_s=3.0, max_bytes=2**30))
    made = admission.Admission(str(ENGINE / admission.FACTS), 49152, "")
    yield made
    made.close()


def test_a_schema_becomes_a_grammar_and_a_grammar_stays(admitted):
    guide = admitted.ready(Guide("json_schema", '{"type": "integer"}'), lambda: None)
    assert guide.kind == "ebnf_grammar"
    assert "root ::=" in guide.text
    own = Guide("ebnf_grammar", 'root ::= "a"')
    assert admitted.ready(own, lambda: None) == own


@pytest.mark.parametrize(
    ("guide", "says"),
    [
        (Guide("json_schema", "{"), "mend it"),
        (Guide("ebnf_grammar", "root ::= x"), "mend it"),
        (Guide("json_schema", SLOW), "more than 3 s"),
    ],
)
def test_what_the_executor_would_fail_on_never_reaches_it(admitted, guide, says):
    for _ in range(2):  # the second time it is known
        with pytest.raises(InvalidRequest, match=says):
            admitted.ready(guide, lambda: None)
    assert not admitted._kept


def test_work_ends_when_the_caller_has_left(admitted):
    admitted.ready(Guide("json_schema", '{"type": "null"}'), lambda: None)
    admitted.ready(Guide("ebnf_grammar", 'root ::= "a"'), lambda: None)
    with pytest.raises(Cancelled):
        admitted.ready(Guide("json_schema", SLOW), nobody_left)
    assert admitted._writing._process is None
    assert admitted.ready(Guide("ebnf_grammar", 'root ::= "a"'), nobody_left)


def test_a_guide_is_not_refused_for_what_others_do_to_the_machine(admitted):
    """Its process gets no time for longer than a guide may take."""
    admitted.ready(Guide("ebnf_grammar", 'root ::= "a"'), lambda: None)
    process = admitted._reading._process
    process.send_signal(signal.SIGSTOP)
    threading.Timer(1.2 * admission.LIMITS.max_s, process.send_signal, [signal.SIGCONT]).start()
    guide = Guide("ebnf_grammar", 'root ::= "b"')
    assert admitted.ready(guide, lambda: None) == guide
    assert admitted._reading._process is process


def test_the_executor_is_given_so_many_guides_and_no_more(admitted, monkeypatch):
    monkeypatch.setattr(admission, "MAX_GUIDES", 2)
    guides = [Guide("ebnf_grammar", f'root ::= "{n}"') for n in range(3)]
    for guide in guides[:2]:
        admitted.ready(guide, lambda: None)
    with pytest.raises(InvalidRequest, match="keeps 2 different forms"):
        admitted.ready(guides[2], lambda: None)
    assert admitted.ready(guides[0], lambda: None) == guides[0]  # what it has, it may go on using


def test_an_engine_that_limits_its_guides_itself_needs_none():
    assert admission.Admission.for_engine(str(ENGINE)) is None


def test_an_engine_of_tensorrt_llm_has_one(tmp_path):
    document = json.loads((ENGINE / "manifest.json").read_text())
    text = json.dumps({**document, "backend": "tensorrtllm"})
    (tmp_path / "manifest.json").write_text(text)
    (tmp_path / admission.FACTS).write_text((ENGINE / admission.FACTS).read_text())
    made = admission.Admission.for_engine(str(tmp_path))
    assert made is not None
    made.close()
