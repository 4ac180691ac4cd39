"""Files without a name: what is written comes back in every process that was told of it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from onecard.audio import spool
from onecard.errors import Cancelled, InvalidRequest, Unavailable
from tests.spools import open_spools

DECODES = """
import sys
from onecard.audio import spool
with spool.opened(sys.argv[1]) as source, spool.opened(sys.argv[2]) as target:
    target.write(source.read()[::-1])
"""


def test_another_process_reads_and_writes_what_it_was_told_of() -> None:
    with spool.Spool() as source, spool.Spool() as target:
        source.write(bytes([2, 0, 1]))
        source.write(bytes([0]))
        files = source.reference, target.reference
        subprocess.run([sys.executable, "-c", DECODES, *files], check=True)
        assert source.size == 4
        assert target.num_samples == 2
        assert target.samples(0, 2).tolist() == [256, 512]


def test_samples_end_where_they_end() -> None:
    pcm = np.arange(100, dtype=np.int16)
    with spool.Spool() as held:
        held.write(pcm.tobytes())
        assert held.samples(90, 200).tolist() == list(range(90, 100))
        assert held.samples(100, 200).tolist() == []
        assert held.samples(300, 400).tolist() == []
        assert held.samples(0, 0).tolist() == []


def test_nothing_has_a_name_and_nothing_stays(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    before = open_spools()
    with spool.Spool() as held:
        held.write(b"secret")
        assert list(tmp_path.iterdir()) == []
        assert len(open_spools()) == len(before) + 1
        descriptor = int(held.reference.split("/")[1])
        assert os.fstat(descriptor).st_mode & 0o777 == 0o600
    assert open_spools() == before


def test_a_link_to_the_directory_leads_there_as_well(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "link"))
    with spool.Spool() as held:
        held.write(b"x")
        with spool.opened(held.reference) as file:
            assert file.read() == b"x"


def test_a_closed_spool_touches_no_file_that_has_its_number(tmp_path: Path) -> None:
    other = tmp_path / "other"
    held = spool.Spool()
    held.close()
    held.close()
    with other.open("w+b"):
        for use in (lambda: held.write(b"x"), lambda: held.read(0, 1), lambda: held.samples(0, 1)):
            with pytest.raises(Cancelled, match="the spool is closed"):
                use()
    assert other.read_bytes() == b""


def test_whoever_reads_a_spool_sees_when_it_is_given_up() -> None:
    held = spool.Spool()
    reference = held.reference
    assert spool.is_held(reference)
    held.close()
    assert not spool.is_held(reference)
    with pytest.raises(Unavailable, match="was given up"), spool.opened(reference):
        pass
    with spool.Spool():  # which has its number now
        assert not spool.is_held(reference)
    assert not spool.is_held("/etc/passwd")


def test_who_guesses_gets_nothing(tmp_path: Path) -> None:
    """Numbers can be counted through, so a number alone opens nothing."""
    other = tmp_path / "other"
    other.write_bytes(b"secret")
    with spool.Spool() as held, other.open("rb") as file:
        pid, descriptor, name = held.reference.split("/")
        guesses = [
            f"{pid}/{file.fileno()}/{name}",  # another file's number
            f"{pid}/{descriptor}/onecard-{'0' * 32}",
            f"{pid}/{int(descriptor) + 1000}/{name}",
            f"999999999/{descriptor}/{name}",
        ]
        for guess in guesses:
            # where there is no file at all, it is one that was closed
            with pytest.raises((RuntimeError, Unavailable)), spool.opened(guess):
                pass
        for nonsense in ("", "/etc/passwd", f"{pid}/{descriptor}/../{name}", f"{held.reference}\n"):
            with pytest.raises(InvalidRequest, match="no reference"), spool.opened(nonsense):
                pass
    with pytest.raises(Unavailable, match="was given up"), spool.opened(held.reference):
        pass


def test_an_array_comes_and_goes_in_parts() -> None:
    whole = np.arange(120, dtype=np.float32).reshape(10, 3, 4)
    with spool.Rows() as held:
        for first in range(0, 10, 4):
            held.append(whole[first : first + 4, :, ::1])
        assert len(held) == 10
        assert held.reference.endswith(":10x3x4")
        assert np.array_equal(held.part(3, 7), whole[3:7])
        assert np.array_equal(spool.rows(held.reference), whole)


def test_an_array_without_rows_keeps_its_shape() -> None:
    with spool.Rows() as held:
        held.append(np.zeros((0, 293, 3), np.float32))
        assert spool.rows(held.reference).shape == (0, 293, 3)


@pytest.mark.parametrize("shape", ["", ":", ":9y9", ":9999999999", ":1x1x1x1x1"])
def test_a_reference_of_an_array_has_a_shape(shape: str) -> None:
    with spool.Spool() as held, pytest.raises(InvalidRequest, match="has no shape"):
        spool.rows(held.reference + shape)


def test_a_shape_of_something_else_is_refused() -> None:
    with spool.Spool() as held:
        held.write(bytes(16))
        with pytest.raises(InvalidRequest, match="has 4 numbers, must have 2x3"):
            spool.rows(f"{held.reference}:2x3")


def test_a_full_disk_is_told_as_one(monkeypatch) -> None:
    """`/dev/full` is the kernel's own full disk."""
    with spool.Spool() as held, open("/dev/full", "r+b") as full:
        monkeypatch.setattr(held, "_number", full.fileno())
        with pytest.raises(Unavailable, match=re.escape(str(spool.directory()))):
            held.write(b"x")
