"""Ports for a server of one's own, whatever range the kernel keeps for itself."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from build_scripts import paths, processes
from build_scripts.server import state, temporary


@pytest.mark.parametrize("first", [1, 1024, 1026])
def test_ports_are_found_where_the_kernel_hands_out_nearly_all(
    first: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "range").write_text(f"{first}\t65535\n")
    monkeypatch.setattr(temporary, "_HANDED_OUT", tmp_path / "range")
    found = temporary.free_ports(3)
    assert len(set(found)) == 3
    assert all(processes.is_free("127.0.0.1", port) for port in found)


def test_ports_lie_below_those_that_the_kernel_hands_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "range").write_text("20000\t60999\n")
    monkeypatch.setattr(temporary, "_HANDED_OUT", tmp_path / "range")
    assert all(1024 <= port < 20000 for port in temporary.free_ports(3))


def test_the_server_at_hand_is_asked_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "RUN", tmp_path)
    monkeypatch.setenv("GRPC_PORT", "8101")
    server = temporary._settings([])
    with state.locked(server):
        state.record(server, 1, "ready")
        monkeypatch.delenv("GRPC_PORT")
        with temporary.at_hand() as found:
            assert (found.plan, found.grpc_port) == (server.plan, 8101)


@pytest.mark.parametrize("before", [None, "another"])
def test_a_variable_is_told_for_a_while(monkeypatch, before):
    monkeypatch.delenv("REPOSITORY", raising=False)
    if before is not None:
        monkeypatch.setenv("REPOSITORY", before)
    with temporary.told("REPOSITORY", "/a/copy"):
        assert os.environ["REPOSITORY"] == "/a/copy"
    assert os.environ.get("REPOSITORY") == before
