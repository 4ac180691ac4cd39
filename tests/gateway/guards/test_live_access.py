"""Keys, scopes, limits and TLS in front of the real server, as OpenAI's SDK meets them."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.waiting import PATIENCE_S

SPEECH = Path(__file__).parents[3] / ".samples" / "jfk" / "jfk.wav"
QUESTION = [{"role": "user", "content": "Name a river."}]


def test_a_caller_from_the_first_request_to_the_limit(
    server: Any, gateway: Any, keys: Any, certificates: Path
) -> None:
    """One story, since a transcript costs seconds."""
    key = keys.add("notes", "speech", audio_seconds_a_day=10)
    writer = keys.add("writer", "text", requests_a_minute=1)
    one = gateway(
        server.grpc_url,
        keys_file=keys.path,
        tls_certificate=certificates / "cert.pem",
        tls_key=certificates / "key.pem",
    )
    trusted = ssl.create_default_context(cafile=str(certificates / "cert.pem"))

    @contextmanager
    def sdk(key: str) -> Iterator[openai.OpenAI]:
        with ExitStack() as held:
            http = held.enter_context(httpx.Client(verify=trusted, timeout=PATIENCE_S))
            arguments: Any = {"base_url": f"{one.url}/v1", "http_client": http, "max_retries": 0}
            yield held.enter_context(openai.OpenAI(api_key=key, **arguments))

    with sdk("sk-onecard-of-nobody") as stranger:
        with pytest.raises(openai.AuthenticationError, match="none that this gateway") as wrong:
            transcript(stranger)
        assert wrong.value.code == "invalid_api_key"
    with sdk(key) as notes:
        assert "country" in transcript(notes).lower()
        with pytest.raises(openai.RateLimitError, match="had 11 s of audio") as over:
            transcript(notes)
        assert int(over.value.response.headers["retry-after"]) > 86_000
        with pytest.raises(openai.PermissionDeniedError, match="must have `text` for this"):
            chat(notes)
        assert "onecard-chat" in [model.id for model in notes.models.list()]
    with sdk(writer) as other:
        assert chat(other)
        with pytest.raises(openai.RateLimitError, match="`requests_a_minute`"):
            chat(other)


def transcript(sdk: openai.OpenAI) -> str:
    with SPEECH.open("rb") as file:
        return sdk.audio.transcriptions.create(model="whisper-1", file=file, language="en").text


def chat(sdk: openai.OpenAI) -> str | None:
    messages: Any = QUESTION
    answer = sdk.chat.completions.create(model="any", messages=messages, max_tokens=4)
    return answer.choices[0].message.content
