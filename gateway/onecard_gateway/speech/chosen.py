"""The Whisper that a caller names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onecard_client import AsyncClient


async def with_model(client: AsyncClient, options: Mapping[str, Any]) -> Mapping[str, Any]:
    """The options with `model` only where the server has one of that name.

    Applications name models of other services, and mean the one that there is.
    """
    if "model" not in options or options["model"] in await client.speech_models():
        return options
    return {name: value for name, value in options.items() if name != "model"}
