"""OpenAI's list of models, in front of a fake server with a context of 64 tokens."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from fake_server import FINISHED, events

from tests.waiting import PATIENCE_S


def test_models_by_the_sdk(gateway: Any, fake: Any) -> None:
    url = gateway(fake(events(FINISHED)).url).url
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", timeout=PATIENCE_S) as client:
        found = {model.id: model for model in client.models.list()}
        assert set(found) == {"onecard-chat", "whisper-1", "gpt-4o-transcribe-diarize"}
        assert client.models.retrieve("whisper-1").owned_by == "onecard"
        chat: Any = client.models.retrieve("onecard-chat")
        assert (chat.context_length, chat.max_model_len, chat.max_output_tokens) == (64, 64, 16)
        with pytest.raises(openai.NotFoundError) as caught:
            client.models.retrieve("none/such")
    assert caught.value.code == "model_not_found"
    assert caught.value.request_id


def test_no_server(gateway: Any) -> None:
    with gateway().client() as client:
        found = client.get("/v1/models")
    assert found.status_code == 503
    assert found.headers["retry-after"] == "2"
    assert found.json()["error"]["code"] == "unavailable"
