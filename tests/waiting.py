"""Waiting for what a test expects, with a bound that only a hang reaches."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import pytest

# Much longer than anything takes on a slow machine with other work beside it.
PATIENCE_S = 600.0
PAUSE_S = 0.05

Value = TypeVar("Value")


def until(look: Callable[[], Value], otherwise: str | Callable[[], object] = "it hangs") -> Value:
    """What `look` returns once that is true of it; fails with `otherwise` if it never is."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not (found := look()):
        if time.monotonic() > deadline_s:
            said = otherwise if isinstance(otherwise, str) else str(otherwise())
            pytest.fail(f"nothing within {PATIENCE_S:.0f} s: {said}")
        time.sleep(PAUSE_S)
    return found
