"""The gateway tells how the server's plan shares out its card."""

from __future__ import annotations

import json
from typing import Any

from fake_server import FINISHED, events


def test_card(gateway: Any, fake: Any) -> None:
    behind = fake(events(FINISHED))
    ledger = {
        "plan": "rtx3090",
        "card": "RTX 3090",
        "vram_bytes": 24,
        "headroom_bytes": 2,
        "parts": [{"name": "llm", "kind": "weights", "bytes": 14}],
    }
    with gateway(behind.url).client() as client:
        older = client.get("/v1/card").json()
        behind.parameters["ledger"] = json.dumps({"plan": "cpu"})
        without = client.get("/v1/card").json()
        behind.parameters["ledger"] = json.dumps({**ledger, "newer": 1})
        found = client.get("/v1/card").json()
    assert older == {"object": "card", "plan": None, "card": None, "parts": []}
    assert (without["plan"], without["card"], without["parts"]) == ("cpu", None, [])
    assert found == {"object": "card", **ledger}


def test_no_server(gateway: Any) -> None:
    with gateway().client() as client:
        assert client.get("/v1/card").status_code == 503
