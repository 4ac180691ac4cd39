"""What Triton is handed when something goes wrong: the end of every answer, whatever fails.

Triton's side is a stand-in here that refuses what the real one refuses;
tests/model_repository/test_hostile.py has the real one.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import types
from typing import ClassVar

import pytest

from onecard.errors import MAX_MESSAGE_LETTERS, InvalidRequest, Unavailable

FINAL = 1


class TritonError:
    """Takes valid UTF-8 alone, as the real one."""

    INVALID_ARG, UNAVAILABLE, INTERNAL = "INVALID_ARG", "UNAVAILABLE", "INTERNAL"

    def __init__(self, message: str, code: str) -> None:
        message.encode()
        self.message, self.code = message, code


class InferenceResponse:
    def __init__(self, output_tensors=(), error=None) -> None:
        self.error = error


class Logger:
    lines: ClassVar[list[str]] = []

    @classmethod
    def log_error(cls, line: str) -> None:
        line.encode()
        cls.lines.append(line)


class Sender:
    """Of one request; `broken` sends fail first."""

    def __init__(self, broken: int) -> None:
        self.broken = broken
        self.sent: list[tuple] = []

    def is_cancelled(self) -> bool:
        return False

    def send(self, *responses, flags=0) -> None:
        if self.broken:
            self.broken -= 1
            raise RuntimeError("cannot send")
        self.sent.append((*responses, flags))


class Request:
    def __init__(self, broken: int = 0, parameters: str = "", request_id: str = "a") -> None:
        self.sender = Sender(broken)
        self._parameters, self._id = parameters, request_id

    def get_response_sender(self) -> Sender:
        return self.sender

    def request_id(self) -> str:
        return self._id

    def parameters(self) -> str:
        if self._parameters == "bytes":
            b"\xff".decode()
        return self._parameters

    def timeout(self) -> int:
        return 0


@pytest.fixture
def backend(monkeypatch):
    triton = types.ModuleType("triton_python_backend_utils")
    vars(triton).update(
        TritonError=TritonError,
        InferenceResponse=InferenceResponse,
        Logger=Logger,
        Tensor=type("Tensor", (), {}),
        TRITONSERVER_RESPONSE_COMPLETE_FINAL=FINAL,
    )
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", triton)
    monkeypatch.delitem(sys.modules, "onecard.python_backend.backend", raising=False)
    yield importlib.import_module("onecard.python_backend.backend")
    sys.modules.pop("onecard.python_backend.backend", None)


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (InvalidRequest("role `\ud83d`\x00\n"), "INVALID_ARG", "role `\ufffd` "),
        (Unavailable("later"), "UNAVAILABLE", "later"),
        (ValueError("\ud83d"), "INTERNAL", "internal error (request a); the server log has the"),
    ],
)
def test_an_error_ends_the_answer_in_text_that_can_be_sent(backend, error, code, message):
    request = Request()
    backend.Caller(request).end(error)
    [(response, flags)] = request.sender.sent
    assert flags == FINAL
    assert response.error.code == code
    assert response.error.message.startswith(message)


def test_what_a_caller_sent_comes_back_cut_in_the_middle(backend):
    request = Request()
    backend.Caller(request).end(InvalidRequest("has " + "x" * 10**6 + "; send less"))
    [(response, _)] = request.sender.sent
    assert len(response.error.message) == MAX_MESSAGE_LETTERS
    assert response.error.message.startswith("has xx")
    assert response.error.message.endswith("xx; send less")


@pytest.mark.parametrize(("broken", "says"), [(1, "the server log has the reason"), (2, None)])
def test_an_error_that_cannot_be_sent_ends_the_answer_all_the_same(backend, broken, says):
    request = Request(broken)
    backend.Caller(request).end(InvalidRequest("no"))
    [(*responses, flags)] = request.sender.sent
    assert flags == FINAL
    assert [says in response.error.message for response in responses] == ([True] if says else [])
    assert "cannot send" in Logger.lines[-1]


def test_nothing_escapes_where_nothing_can_be_sent(backend):
    backend.Caller(Request(99)).end(InvalidRequest("no"))
    backend.Caller(Request(99)).end(None)


def test_a_request_that_cannot_be_taken_harms_no_neighbour(backend):
    good, bad = Request(), Request(parameters="bytes")
    gone = types.SimpleNamespace()  # not even a sender
    taken = []

    def take(request, caller):
        backend.request_parameters(request)
        taken.append(request)
        caller.end(None)

    turned_away = []
    traffic = types.SimpleNamespace(turn_away=lambda error, origin: turned_away.append(error))
    backend.stream([gone, bad, good], take, types.SimpleNamespace(traffic=traffic))
    assert [type(error) for error in turned_away] == [InvalidRequest]
    assert taken == [good]
    [(response, flags)] = bad.sender.sent
    assert (flags, response.error.code) == (FINAL, "INVALID_ARG")
    assert "are not UTF-8" in response.error.message


def test_calls_to_other_models_have_the_id_of_their_request(backend, monkeypatch):
    sent = []

    class InferenceRequest:
        def __init__(self, **request) -> None:
            sent.append((request["model_name"], request["request_id"]))

        def exec(self) -> types.SimpleNamespace:
            return types.SimpleNamespace(has_error=lambda: False, output_tensors=list)

    monkeypatch.setattr(backend.pb_utils, "InferenceRequest", InferenceRequest, raising=False)
    caller = backend.Caller(Request(request_id="of the caller"))
    calls = backend.Calls(lambda: None, contextlib.nullcontext, caller.request_id)
    assert calls("align") == {}
    assert sent == [("align", "of the caller")]


@pytest.mark.parametrize(
    ("said", "error", "words"),
    [
        ("INVALID_ARG: `x` is 3", InvalidRequest, "^`x` is 3$"),
        ("UNAVAILABLE: 8 wait", Unavailable, "^8 wait$"),
        ("Stub process 'align_0_0' is not healthy.", Unavailable, "`align` is being loaded again"),
        (
            "Failed to process the request(s) for model 'align_0_0', message: Failed to increase "
            "the shared memory pool size for key 'onecard_1' to 1048576 bytes.",
            Unavailable,
            "`/dev/shm` has no room for the request",
        ),
        ("a tensor of 3 dimensions", RuntimeError, "^`align`: a tensor of 3 dimensions$"),
    ],
)
def test_what_a_called_model_says_is_its_caller_s_error(backend, said, error, words):
    response = types.SimpleNamespace(
        has_error=lambda: True, error=lambda: types.SimpleNamespace(message=lambda: said)
    )
    with pytest.raises(error, match=words):
        backend.outputs_of("align", response)


def test_each_request_of_a_batch_has_an_answer(backend):
    def respond(request):
        raise InvalidRequest("half \ud83d")

    found = backend.answer([Request(), Request(parameters="bytes")], respond)
    assert [response.error.message for response in found] == ["half \ufffd"] * 2
