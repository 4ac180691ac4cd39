"""`onecard triage` where its verdicts cannot be written: full disks, closed and other outputs."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from commands import ids_of, spawn
from fake_server import PATIENCE_S, decides, events, summary, verdict

from onecard_client.__main__ import main
from tests.client.verdicts.jobs import Desk, Job, lines


def test_full_disk_is_one_sentence_and_the_rest_follows(fake: Any, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root may mount a file system")
    try:
        work = tmp_path / "work"
        work.mkdir()
        job = Job(work, num_mails=100)
        job.file, job.partial = disk / "v.jsonl", disk / "v.jsonl.partial"
        desk = Desk(fake)
        process = job.start(desk)
        shown, said = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 1
        assert "Traceback" not in shown + said
        num_kept = len(lines(job.partial))
        assert 5 < num_kept < 100
        told = [line for line in said.splitlines() if "No space left on device" in line]
        assert len(told) == 1
        assert f"{num_kept} verdicts had come before, and are in `{job.partial}`" in told[0]
        assert "make room" in told[0]
        subprocess.run(["mount", "-o", "remount,size=1m", str(disk)], check=True)
        desk.asked.clear()
        assert job.run(desk) == 0
        assert len(desk.asked) == 100 - num_kept
        assert sorted(ids_of(job.file.read_text())) == sorted(job.ids)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_limit_of_a_file_tears_no_line(fake: Any, job: Job) -> None:
    """`ulimit -f` cuts a write in the middle, as a quota can."""
    process = job.start(Desk(fake), behind="ulimit -f 2")
    _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    assert "File too large" in said
    assert "Traceback" not in said
    kept = [document["id"] for document in lines(job.partial)]
    assert 1 <= len(kept) < 6
    desk = Desk(fake)
    assert job.run(desk) == 0
    assert desk.asked == job.ids[len(kept) :]


def test_device_that_takes_nothing(fake: Any, job: Job, capsys: Any) -> None:
    assert main(["triage", str(job.mails), "-o", "/dev/full", "--url", fake(decides).url]) == 1
    assert "`/dev/full` cannot be written (No space left on device)" in capsys.readouterr().err


def test_standard_output_on_a_full_disk(fake: Any, job: Job) -> None:
    with open("/dev/full", "w") as full:
        process = spawn(Desk(fake).url, "triage", job.mails, stdout=full)
    _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    assert "standard output: No space left on device" in said
    assert "Traceback" not in said


def test_reader_that_has_seen_enough(fake: Any, job: Job) -> None:
    """As in `onecard triage ... | head -1`."""
    desk = Desk(fake)
    reader, writer = os.pipe()
    os.close(reader)
    process = spawn(desk.url, "triage", job.mails, "--verbose", "False", stdout=writer)
    os.close(writer)
    _, said = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, said) == (1, "")


def test_standard_output_that_was_closed(fake: Any, job: Job) -> None:
    """As in `onecard triage ... >&-`."""
    desk = Desk(fake)
    process = spawn(desk.url, "triage", job.mails, behind="exec >&-")
    _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    assert said.startswith("onecard: standard output is closed")
    process = job.start(desk, behind="exec >&-")
    _, said = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, len(lines(job.file))) == (0, 6), said


def test_text_that_the_charset_of_standard_output_lacks(
    fake: Any, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "latin-1")
    actions = {mail_id: f"zahle {mail_id} \u20ac \U0001f600 \ud83d" for mail_id in job.ids[:4]}
    found = [verdict(mail_id, action=action) for mail_id, action in actions.items()]
    server = fake(events(*found, summary(*actions)), decides)
    process = spawn(server.url, "triage", job.mails)
    shown, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, said
    documents = [json.loads(line) for line in shown.splitlines()]
    assert [document["action"] for document in documents[:4]] == list(actions.values())


def test_folder_that_cannot_be_written(fake: Any, job: Job, capsys: Any) -> None:
    job.partial.mkdir()
    desk = Desk(fake)
    assert job.run(desk) == 1
    assert f"`{job.partial}` cannot be written" in capsys.readouterr().err
    assert desk.asked == []
