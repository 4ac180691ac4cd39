"""Which of the two processes of `make test` runs what: hooks of pytest and pytest-xdist.

One has the server of all. The other starts servers of its own, then runs file after file of the
rest. Who starts a server cleans up after every dead one of the checkout, so those who do stay
together; a file of tests is never divided.
"""

from __future__ import annotations

import os

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

# Whoever uses the fixture `server`.
SHARED = (
    "tests/test_chat.py",
    "tests/test_faults.py",
    "tests/test_hostile.py",
    "tests/test_parameters.py",
    "tests/test_quality.py",
    "tests/test_readme_python.py",
    "tests/test_security.py",
    "tests/test_triage.py",
    "tests/test_uploads.py",
    "tests/backends/test_llm_server.py",
    "tests/backends/test_whisper_server.py",
    "tests/client/test_docs.py",
    "tests/client/test_live.py",
    "tests/client/test_live_llm.py",
    "tests/docker/test_proxy.py",
)
# The last one leaves a dead server and looks what becomes of it: not while that of all starts.
OWN = (
    "tests/test_readme.py",
    "tests/test_rehearsal.py",
    "tests/test_restarts.py",
    "tests/build_scripts/server/test_lifecycle.py",
)
ORDER = {file: index for index, file in enumerate((*SHARED, *OWN))}
# Of all but the server of all, which has to answer in time; as that of its LLM.
NICE = 10


class Halves(LoadScopeScheduling):
    """Hands out SHARED, OWN and then single files, in the order of the tests."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "shared" if file in SHARED else "own" if file in OWN else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Halves:
    config.option.loadscopereorder = False
    return Halves(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """First what takes longest."""
    for item in items:
        if "server" in getattr(item, "fixturenames", ()) and _file(item) not in SHARED:
            raise pytest.UsageError(f"{item.nodeid} uses `server`: add its file to halves.SHARED")
    items.sort(key=lambda item: ORDER.get(_file(item), len(ORDER)))


def pytest_runtest_setup(item: pytest.Item) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ and _file(item) not in SHARED and os.nice(0) < NICE:
        os.nice(NICE)


def _file(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]
