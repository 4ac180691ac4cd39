"""Doors that the tests of a file share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.build_scripts.server.door.doors import Doors, opened


@pytest.fixture(scope="module")
def open_doors() -> Iterator[Doors]:
    with opened() as found:
        yield found


@pytest.fixture
def doors(open_doors: Doors) -> Iterator[Doors]:
    open_doors.begin()
    yield open_doors
    open_doors.end()
