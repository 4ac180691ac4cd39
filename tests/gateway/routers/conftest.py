"""A gateway that the tests of a file share, in front of a server that answers a chat."""

from __future__ import annotations

from typing import Any

import pytest
from fake_server import ANSWER, events


@pytest.fixture(scope="module")
def behind(lasting_fake: Any) -> Any:
    """The server; a file of tests that asks for something else has its own."""
    return lasting_fake(events(*ANSWER))


@pytest.fixture(scope="module")
def client(lasting_gateway: Any, behind: Any) -> Any:
    with lasting_gateway(behind.url).client() as client:
        yield client
