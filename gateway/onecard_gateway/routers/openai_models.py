"""OpenAI's list of models, with the context that the server gives them."""

from __future__ import annotations

import time
from typing import Any

from fastapi import APIRouter, Request

from onecard_client import Limits, SpeechModel
from onecard_gateway.errors import Refusal
from onecard_gateway.guards.access import needs
from onecard_gateway.keys import key
from onecard_gateway.models import CHAT, SPEECH
from onecard_gateway.servers import servers

router = APIRouter(prefix="/v1/models", tags=["OpenAI"], dependencies=[needs(key.SPEECH, key.TEXT)])
_STARTED_S = int(time.time())
Document = dict[str, Any]


@router.get("")
async def models(request: Request) -> Document:
    """The models that there are; every other id is taken for one of them."""
    return {"object": "list", "data": [*(await _models(request)).values()]}


@router.get("/{model_id:path}")
async def model(request: Request, model_id: str) -> Document:
    """One of them, by its id."""
    found = await _models(request)
    if model_id not in found:
        raise Refusal(
            404,
            f"the model `{model_id[:80]}` is not listed, must be one of {', '.join(found)}; "
            "requests may name any",
            "model",
            "model_not_found",
        )
    return found[model_id]


async def _models(request: Request) -> dict[str, Document]:
    with servers(request).turn() as client:
        limits, whispers = await client.limits(), (await client.health()).speech_models
    speech = {name: _model(name, "transcribe") for name in SPEECH}
    return {CHAT: _chat(limits), **speech, **{one.name: _whisper(one) for one in whispers}}


def _model(name: str, task: str) -> Document:
    return {
        "id": name,
        "object": "model",
        "created": _STARTED_S,
        "owned_by": "onecard",
        "task": task,
    }


def _whisper(model: SpeechModel) -> Document:
    """With whether a request for it has to wait for its loading."""
    residence = "on_demand" if model.on_demand else "resident"
    return {**_model(model.name, "transcribe"), "residence": residence, "loaded": model.loaded}


def _chat(limits: Limits) -> Document:
    """With the context under the names that applications read."""
    context = limits.context_tokens
    return {
        **_model(CHAT, "chat"),
        "context_length": context,
        "max_model_len": context,  # vLLM's
        "max_output_tokens": limits.default_max_tokens,
    }
