"""How the plan of the server shares out the memory of its card."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from onecard_gateway.guards.access import needs
from onecard_gateway.keys.key import ADMIN, SPEECH, TEXT
from onecard_gateway.servers import servers

router = APIRouter(tags=["health"], dependencies=[needs(SPEECH, TEXT, ADMIN)])


@router.get("/v1/card")
async def card(request: Request) -> dict[str, Any]:
    """The plan, the card, and its parts in bytes, as they were computed before the start.

    `plan` is null where the server does not tell, `card` where its plan has none.
    """
    with servers(request).turn() as client:
        found = await client.ledger()
    if found is None:
        return {"object": "card", "plan": None, "card": None, "parts": []}
    return {
        "object": "card",
        "plan": found.plan,
        "card": found.card,
        "vram_bytes": found.vram_bytes,
        "headroom_bytes": found.headroom_bytes,
        "parts": [
            {"name": part.name, "kind": part.kind, "bytes": part.bytes} for part in found.parts
        ],
    }
