"""Which perf_analyzer a C library gets."""

from __future__ import annotations

import pytest

from bench.perf import binary
from build_scripts.errors import MachineError
from build_scripts.fetch import pip


@pytest.mark.parametrize(
    ("glibc", "machine", "package"),
    [
        ((2, 39), "x86_64", binary.CURRENT),  # Ubuntu 24.04
        ((2, 39), "aarch64", binary.CURRENT),
        ((2, 38), "x86_64", binary.CURRENT),
        ((2, 36), "x86_64", binary.OLDER),  # Debian 12
        ((2, 35), "x86_64", binary.OLDER),  # Ubuntu 22.04
        ((3, 0), "x86_64", binary.CURRENT),
    ],
)
def test_the_newest_that_runs_is_chosen(
    glibc: binary.Glibc, machine: str, package: pip.Package
) -> None:
    choice = binary.choose(glibc, machine)
    assert choice.package is package
    assert f"glibc {glibc[0]}.{glibc[1]} on {machine}" in choice.why


@pytest.mark.parametrize(
    ("glibc", "machine"), [((2, 34), "x86_64"), ((2, 36), "aarch64"), ((2, 39), "riscv64")]
)
def test_a_machine_without_one_is_told_what_to_do(glibc: binary.Glibc, machine: str) -> None:
    with pytest.raises(MachineError, match=r"wanted glibc 2.38 .*--url HOST:PORT"):
        binary.choose(glibc, machine)


def test_libraries_lie_beside_the_binary(monkeypatch: pytest.MonkeyPatch) -> None:
    choice = binary.choose((2, 36), "x86_64")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/elsewhere")
    assert choice.environment()["LD_LIBRARY_PATH"] == f"{choice.directory}:/elsewhere"
    assert choice.path.parent == choice.directory
    assert {"perf_analyzer", "libcudart.so.12"} <= set(choice.pinned)
