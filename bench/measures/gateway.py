"""The gateway against the client over gRPC: the same recording, and the same chat's first token.

Both ask one server, in turn; the gateway is a process of its own on the same machine.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx

from bench import recordings
from bench.interleave import differences, interleaved, is_quick, num_rounds, ratios, seconds, spread
from bench.serving import Serving, serving
from build_scripts.console import aside
from build_scripts.server.gateway import Gateway
from build_scripts.server.temporary import free_ports

SPEECH_ROUNDS, CHAT_ROUNDS = 5, 30
SPEECH_S, QUICK_SPEECH_S = 300.0, 60.0
CHAT: dict[str, Any] = {"max_tokens": 2, "temperature": 0}
QUESTION = "Tell me the story of a lighthouse and the people who kept it."
POLL_S = 0.05


def measure() -> dict[str, Any]:
    """Seconds of both sides, and how much longer the gateway's are."""
    with serving() as server, beside(server) as http:
        sides = Sides(server, http)
        speech = interleaved(
            {"grpc_s": sides.transcribe, "http_s": sides.post}, num_rounds(SPEECH_ROUNDS)
        )
        chat = interleaved(
            {"grpc_s": sides.first_piece, "http_s": sides.first_chunk}, num_rounds(CHAT_ROUNDS)
        )
    return summary(speech, chat)


def summary(speech: dict[str, list[float]], chat: dict[str, list[float]]) -> dict[str, Any]:
    """The figures of what each side took, round by round, and a line on each."""
    ratio = spread(ratios(speech["http_s"], speech["grpc_s"]))
    later = differences(chat["http_s"], chat["grpc_s"])
    later_ms = spread([1000 * one for one in later])
    print(
        f"  a recording through the gateway: {ratio['median']:.3f} times its time over gRPC "
        f"({ratio['low']:.3f} to {ratio['high']:.3f}); first token {later_ms['median']:.1f} ms "
        f"later ({later_ms['low']:.1f} to {later_ms['high']:.1f})",
        flush=True,
    )
    return {
        "speech": speech,
        "chat": chat,
        "speech_ratio": ratio,
        "first_token_later_ms": later_ms,
    }


@contextlib.contextmanager
def beside(server: Serving) -> Iterator[httpx.Client]:
    """A client of a gateway in front of `server`."""
    os.environ["GATEWAY_KEYS_FILE"] = ""  # whoever has keys of their own measures all the same
    os.environ["GATEWAY_JOBS_FOLDER"] = ""  # nor are their jobs taken up
    (port,) = free_ports(1)
    wanted = replace(server.settings, gateway_port=port, is_gateway_asked=True)
    gateway = Gateway(wanted, aside)
    try:
        gateway.open()
        while not gateway.is_settled():
            time.sleep(POLL_S)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=None) as http:
            http.get("/readyz").raise_for_status()
            yield http
    finally:
        gateway.close()


class Sides:
    """Each method asks once; those of a side ask for the same as those of the other."""

    def __init__(self, server: Serving, http: httpx.Client) -> None:
        self._client = server.client
        self._http = http
        self._clip = recordings.clip(QUICK_SPEECH_S if is_quick() else SPEECH_S)

    def transcribe(self) -> float:
        """Seconds until the transcript, words and speakers included."""
        audio = self._fresh()
        return seconds(lambda: self._client.transcribe(audio, language="en"))

    def post(self) -> float:
        """The same as `verbose_json`."""
        form = {
            "language": "en",
            "diarize": "true",
            "response_format": "verbose_json",
            "timestamp_granularities": "word",
        }
        files = {"file": ("talk.wav", self._fresh())}
        path = "/v1/audio/transcriptions"
        return seconds(lambda: self._http.post(path, data=form, files=files).raise_for_status())

    def first_piece(self) -> float:
        """Seconds until the first text of an answer."""
        started_s = time.monotonic()
        answer = self._client.chat(QUESTION, **CHAT)
        next(answer)
        elapsed_s = time.monotonic() - started_s
        deque(answer, maxlen=0)
        return elapsed_s

    def first_chunk(self) -> float:
        """The same as a chunk of a chat completion."""
        messages = [{"role": "user", "content": QUESTION}]
        body = {"messages": messages, "stream": True, **CHAT}
        started_s = time.monotonic()
        with self._http.stream("POST", "/v1/chat/completions", json=body) as answer:
            lines = (line for line in answer.iter_lines() if '"content"' in line)
            next(lines)  # says who speaks, before there is anything of it
            next(lines)
            elapsed_s = time.monotonic() - started_s
            deque(lines, maxlen=0)  # to the end, so that none is cancelled into the next
        return elapsed_s

    def _fresh(self) -> bytes:
        return recordings.wav(recordings.fresh(self._clip))
