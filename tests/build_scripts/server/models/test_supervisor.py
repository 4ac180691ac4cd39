"""One process of several: its model is loaded again once, however the others end meanwhile."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

import pytest

from build_scripts.server.models import supervisor
from build_scripts.server.models.supervisor import Deaths
from tests.build_scripts.serving import ECHO, Serving, add_model, eventually, needs_triton

# Ends long after its model was unloaded, as a process does that gives back much memory.
SLOW_END = f"""{ECHO}
    def finalize(self):
        time.sleep(2)
"""


def test_what_a_reload_ends_did_not_die() -> None:
    deaths = Deaths(decoupled=())
    assert deaths.look({1: "a", 2: "a", 3: "b"}) == []
    assert deaths.look({2: "a", 3: "b"}) == ["a"]
    deaths.begin_reload("a", {2: "a", 3: "b"})
    assert deaths.look({2: "a", 3: "b", 11: "a", 12: "a"}) == []
    deaths.end_reload("a")
    assert deaths.look({3: "b", 11: "a", 12: "a"}) == []  # the old one is gone only now


def test_a_new_process_that_dies_is_news() -> None:
    deaths = Deaths(decoupled=())
    deaths.look({1: "a", 2: "a"})
    assert deaths.look({2: "a"}) == ["a"]
    deaths.begin_reload("a", {2: "a"})
    deaths.look({2: "a", 11: "a"})
    assert deaths.look({2: "a"}) == []  # while it is loaded, that is the reload's own affair
    deaths.end_reload("a")
    assert deaths.look({}) == ["a"]


def test_what_lives_on_of_an_earlier_load_is_told_from_the_new_one() -> None:
    deaths = Deaths(decoupled=())
    deaths.look({1: "a", 2: "a", 3: "b"})
    deaths.look({2: "a", 3: "b"})
    deaths.begin_reload("a", {2: "a", 3: "b"})
    deaths.look({2: "a", 3: "b", 11: "a", 12: "a"})
    deaths.end_reload("a")
    assert deaths.unloaded("a") == [2]
    deaths.look({3: "b", 11: "a", 12: "a"})
    assert deaths.unloaded("a") == []


def test_an_attempt_that_is_made_again_forgets_the_deaths_of_the_last() -> None:
    deaths = Deaths(decoupled=())
    deaths.look({1: "a"})
    assert deaths.look({}) == ["a"]
    deaths.begin_reload("a", {})
    deaths.look({11: "a"})
    deaths.look({})
    deaths.begin_reload("a", {})
    deaths.look({21: "a"})
    deaths.end_reload("a")
    assert deaths.look({21: "a"}) == []


def test_a_number_that_the_kernel_gives_again_can_die_again() -> None:
    deaths = Deaths(decoupled=())
    deaths.look({1: "a", 2: "a"})
    assert deaths.look({2: "a"}) == ["a"]
    deaths.begin_reload("a", {2: "a"})
    deaths.look({11: "a"})
    deaths.end_reload("a")
    deaths.look({11: "a", 2: "b"})
    assert deaths.look({11: "a"}) == ["b"]


@needs_triton
@pytest.mark.parametrize("code", [ECHO, SLOW_END], ids=["quick", "slow to end"])
def test_one_of_four_processes_is_brought_back_once(
    serving: Serving, repository: Path, gate: Path, code: str
) -> None:
    add_model(repository, "many", code, gate)
    config = repository / "many" / "config.pbtxt"
    config.write_text(config.read_text().replace("count: 1", "count: 4"))
    serving.start()
    before = _processes(serving)
    assert len(before) == 4
    os.kill(before[0], signal.SIGKILL)
    eventually(lambda: "`many` is back" in serving.said())
    eventually(lambda: len(_processes(serving)) == 4 and not {*before} & {*_processes(serving)})
    until_s = time.monotonic() + 1.5 * supervisor.LOOK_S  # it would be seen at the next look
    while time.monotonic() < until_s:
        assert serving.is_ready()
        time.sleep(supervisor.POLL_S)
    assert serving.infer("many") == [1.0, 2.5]
    assert len(re.findall("a Python process of `many` ended", serving.said())) == 1
    assert serving.terminate() == 0
    assert serving.left() == []


def _processes(serving: Serving) -> list[int]:
    stubs = supervisor.stubs(serving.triton())
    return [pid for pid, model in stubs.items() if model == "many"]
