"""`onecard triage --output` across ends of every kind: what has its verdict is not asked again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from commands import ids_of, mail, spawn
from fake_server import PATIENCE_S, content, decides, events, fails, hangs, summary, verdict

from onecard_client.__main__ import main


class Desk:
    """A fake server that counts verdicts, and stops in the middle of a request if told to.

    Attributes:
        given: the ids of all verdicts that went out.
        asked: the ids of all mails that came in.
        stop_after: no more verdicts than these; None for no limit.
    """

    def __init__(self, fake: Callable[..., Any], stop_after: int | None = None) -> None:
        self.given: list[str] = []
        self.asked: list[str] = []
        self.stop_after = stop_after
        self.server = fake(self._step)
        self.url = self.server.url

    def _step(self, request: Any, context: Any) -> Iterator[Any]:
        ids = [document["id"] for document in json.loads(content(request))]
        self.asked += ids
        for mail_id in ids:
            if len(self.given) == self.stop_after:
                hangs(request, context)
                return
            self.given.append(
                mail_id
            )  # before it goes: a caller that leaves ends this at its yield
            yield from events(verdict(mail_id))(request, context)
        yield from events(summary(*ids))(request, context)


class Job:
    """Some made-up mails, where their verdicts go, and the command."""

    def __init__(self, folder: Path, num_mails: int) -> None:
        self.mails = folder / "mails.jsonl"
        self.file = folder / "out" / "verdicts.jsonl"
        self.partial = folder / "out" / "verdicts.jsonl.partial"
        self.file.parent.mkdir()
        self.ids = [f"m{number}" for number in range(num_mails)]
        self.write({})

    def write(self, changed: dict[str, str]) -> None:
        self.mails.write_text(
            "".join(
                json.dumps({"id": mail_id, "subject": changed.get(mail_id, "Hello"), "body": "Hi."})
                + "\n"
                for mail_id in self.ids
            )
        )

    def arguments(self, *options: object) -> list[str]:
        return ["triage", str(self.mails), "--output", str(self.file), *map(str, options)]

    def run(self, desk: Desk, *options: object) -> int:
        return main([*self.arguments(*options), "--url", desk.url])

    def start(self, desk: Desk, **streams: Any) -> subprocess.Popen[str]:
        return spawn(desk.url, *self.arguments(), **streams)

    def until(self, num_lines: int, process: subprocess.Popen[str]) -> None:
        """Waits for so many verdicts beside the file."""
        while not self.partial.exists() or self.partial.read_bytes().count(b"\n") < num_lines:
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)

    def names(self) -> list[str]:
        return sorted(path.name for path in self.file.parent.iterdir())


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path, num_mails=6)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


# ends of every kind


def test_killed_amid_many_mails(fake: Any, tmp_path: Path, capsys: Any) -> None:
    job = Job(tmp_path, num_mails=500)
    desk = Desk(fake, stop_after=150)
    process = job.start(desk)
    job.until(150, process)
    process.kill()
    process.communicate(timeout=PATIENCE_S)
    assert not job.file.exists()
    desk.stop_after = None
    desk.asked.clear()
    assert job.run(desk) == 0
    assert sorted(ids_of(job.file.read_text())) == sorted(job.ids)
    assert sorted(desk.given) == sorted(job.ids)
    assert len(desk.asked) == 350
    assert "150 verdicts were there already" in capsys.readouterr().err
    assert job.names() == ["verdicts.jsonl"]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_signal_says_what_came_and_where_it_is(
    number: signal.Signals, code: int, fake: Any, job: Job
) -> None:
    desk = Desk(fake, stop_after=2)
    process = job.start(desk)
    job.until(2, process)
    process.send_signal(number)
    shown, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == code
    assert f"2 verdicts had come before, and are in `{job.partial}`" in said
    assert "Traceback" not in shown + said
    assert desk.server.cancelled.wait(PATIENCE_S)
    assert job.names() == ["verdicts.jsonl.partial"]
    desk.stop_after = None
    assert job.run(desk) == 0
    assert sorted(desk.given) == job.ids


def test_hangup_that_is_ignored_stays_so(fake: Any, job: Job) -> None:
    """As under `nohup`."""
    desk = Desk(fake, stop_after=2)
    process = job.start(desk, behind="trap '' HUP")
    job.until(2, process)
    process.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    assert process.poll() is None
    process.kill()
    process.communicate(timeout=PATIENCE_S)


def test_terminated_while_nothing_comes_on_standard_input(fake: Any, job: Job) -> None:
    desk = Desk(fake)
    process = spawn(desk.url, "triage", "-", "-o", job.file, stdin=subprocess.PIPE)
    while not job.partial.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_S) == 143
    process.communicate()
    assert job.names() == []


def test_server_that_fails_leaves_what_came(fake: Any, job: Job, capsys: Any) -> None:
    broken = fails(grpc.StatusCode.INTERNAL, "internal error")
    server = fake(events(verdict("m0"), verdict("m1"), then=broken))
    assert main([*job.arguments(), "--url", server.url]) == 1
    desk = Desk(fake)
    assert job.run(desk) == 0
    assert desk.asked == ["m2", "m3", "m4", "m5"]
    assert [document["id"] for document in lines(job.file)] == job.ids


# what is asked anew, and what is not


def test_same_command_again_asks_nothing(fake: Any, job: Job, capsys: Any) -> None:
    desk = Desk(fake)
    assert job.run(desk) == 0
    before = job.file.read_bytes()
    capsys.readouterr()
    assert job.run(desk) == 0
    assert len(desk.asked) == 6
    assert "6 verdicts were there already" in capsys.readouterr().err
    assert job.file.read_bytes() == before
    assert job.names() == ["verdicts.jsonl"]


def test_changed_mails_are_asked_anew(fake: Any, job: Job) -> None:
    desk = Desk(fake)
    assert job.run(desk) == 0
    job.write({"m2": "Another subject"})
    assert job.run(desk) == 0
    assert desk.asked[6:] == ["m2"]
    found = lines(job.file)
    assert sorted(document["id"] for document in found) == job.ids
    assert len({document["input"] for document in found}) == 2


def test_changed_options_are_asked_anew_and_a_timeout_is_none(fake: Any, job: Job) -> None:
    desk = Desk(fake)
    assert job.run(desk, "--no-drafts") == 0
    assert job.run(desk, "--no-drafts", "--timeout-s", "50") == 0
    assert len(desk.asked) == 6
    assert job.run(desk) == 0
    assert len(desk.asked) == 12
    assert job.run(desk, "--instructions", "We sell shoes.") == 0
    assert len(desk.asked) == 18
    assert sorted(ids_of(job.file.read_text())) == job.ids


def test_all_anew_where_asked(fake: Any, job: Job, capsys: Any) -> None:
    desk = Desk(fake)
    assert job.run(desk) == 0
    assert job.run(desk, "--again") == 0
    assert len(desk.asked) == 12
    assert sorted(ids_of(job.file.read_text())) == job.ids
    assert "already" not in capsys.readouterr().err


def test_mails_that_are_gone_leave_and_new_ones_come(fake: Any, job: Job) -> None:
    desk = Desk(fake)
    assert job.run(desk) == 0
    job.ids = ["m4", "m5", "m6", "m0"]
    job.write({})
    assert job.run(desk) == 0
    assert desk.asked[6:] == ["m6"]
    assert sorted(ids_of(job.file.read_text())) == ["m0", "m4", "m5", "m6"]


def test_verdict_for_review_is_kept(fake: Any, job: Job) -> None:
    failed = [
        verdict(mail_id, category="needs_review", needs_review=True, review_reason="no answer")
        for mail_id in job.ids
    ]
    server = fake(
        events(*failed[:4], summary(*job.ids[:4])), events(*failed[4:], summary(*job.ids[4:]))
    )
    assert main([*job.arguments(), "--url", server.url]) == 0
    desk = Desk(fake)
    assert job.run(desk) == 0
    assert desk.asked == []


def test_places_and_copies_have_the_same_ids_again(fake: Any, tmp_path: Path) -> None:
    """Mails without an id of their own, and copies of one, in an mbox that grows."""
    box, out = tmp_path / "box", tmp_path / "out.jsonl"
    nameless = b"From a@b.c Tue Jul  1 10:00:00 2025\nFrom: a@b.c\nSubject: hello\n\ntext\n\n"
    copy = b"From a@b.c Tue Jul  1 10:00:00 2025\n" + mail(1) + b"\n"
    box.write_bytes(2 * nameless + 2 * copy)
    desk = Desk(fake)
    for more, num_asked in [(b"", 4), (nameless + copy, 6)]:
        box.write_bytes(box.read_bytes() + more)
        assert main(["triage", str(box), "-o", str(out), "--url", desk.url]) == 0
        assert len(desk.asked) == len(set(desk.asked)) == num_asked
        assert sorted(ids_of(out.read_text())) == sorted(desk.asked)


def test_what_could_not_be_read_this_time_keeps_its_verdicts(fake: Any, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    for name, number in [("a.eml", 1), ("b.eml", 2)]:
        (tmp_path / name).write_bytes(mail(number))
    paths = [str(tmp_path / name) for name in ("a.eml", "b.eml")]
    desk = Desk(fake)
    arguments = ["triage", *paths, "-o", str(out), "--url", desk.url]
    assert main(arguments) == 0
    (tmp_path / "b.eml").rename(tmp_path / "away")
    assert main(arguments) == 1
    assert ids_of(out.read_text()) == ["1@b.c", "2@b.c"]
    (tmp_path / "away").rename(tmp_path / "b.eml")
    assert main(arguments) == 0
    assert len(desk.asked) == 2


def test_empty_mailbox_is_no_failure_and_takes_no_verdict_away(
    fake: Any, job: Job, capsys: Any, tmp_path: Path
) -> None:
    for name in ("new", "cur"):
        (tmp_path / "Maildir" / name).mkdir(parents=True)
    desk = Desk(fake)
    arguments = ["triage", str(tmp_path / "Maildir"), "-o", str(job.file), "--url", desk.url]
    assert main(arguments) == 0
    assert "0 mails" in capsys.readouterr().err
    assert job.file.read_bytes() == b""
    assert job.run(desk) == 0
    assert main(arguments) == 0
    assert "stay as they are" in capsys.readouterr().err
    assert sorted(ids_of(job.file.read_text())) == job.ids


# what is in the files


@pytest.mark.parametrize("torn", ['{"id": "m2", "categ', '{"i', "\0" * 100])
def test_line_that_broke_off_is_dropped_and_said(
    torn: str, fake: Any, job: Job, capsys: Any
) -> None:
    desk = Desk(fake)
    assert job.run(desk) == 0
    kept = job.file.read_text().splitlines(keepends=True)[:2]
    job.file.rename(job.partial)
    job.partial.write_text("".join(kept) + torn)
    capsys.readouterr()
    assert job.run(desk) == 0
    assert f"1 line of `{job.partial}` broke off" in capsys.readouterr().err
    assert sorted(desk.asked[6:]) == ["m2", "m3", "m4", "m5"]
    assert sorted(ids_of(job.file.read_text())) == job.ids


def test_last_line_without_its_line_feed_is_whole(fake: Any, job: Job) -> None:
    desk = Desk(fake, stop_after=2)
    process = job.start(desk)
    job.until(2, process)
    process.kill()
    process.communicate()
    job.partial.write_text(job.partial.read_text().rstrip("\n"))
    desk.stop_after = None
    assert job.run(desk) == 0
    assert sorted(desk.given) == sorted(ids_of(job.file.read_text())) == job.ids


@pytest.mark.parametrize(
    "foreign",
    [
        b"Dear diary\n",
        b"\x89PNG\r\n\x1a\n\0\0\0",
        b'{"id": "1", "subject": "a mail, and no verdict", "body": ""}\n',
        b'[{"id": "1", "category": "invoice"}]',
        b"notes without an end of line",
    ],
)
@pytest.mark.parametrize("name", ["verdicts.jsonl", "verdicts.jsonl.partial"])
def test_file_of_another_kind_is_left_alone(
    name: str, foreign: bytes, fake: Any, job: Job, capsys: Any
) -> None:
    path = job.file.with_name(name)
    path.write_bytes(foreign)
    desk = Desk(fake)
    assert job.run(desk) == 2
    assert "must be a verdict" in capsys.readouterr().err
    assert (desk.asked, path.read_bytes()) == ([], foreign)
    assert job.names() == [name]


def test_verdicts_of_an_older_onecard_are_made_anew(fake: Any, job: Job) -> None:
    """Their lines do not say what they rest on."""
    job.file.write_text("".join(json.dumps(verdict(one)["verdict"]) + "\n" for one in job.ids))
    desk = Desk(fake)
    assert job.run(desk) == 0
    assert sorted(desk.asked) == sorted(ids_of(job.file.read_text())) == job.ids


def test_permissions_of_the_file_stay(fake: Any, job: Job) -> None:
    desk = Desk(fake)
    assert job.run(desk) == 0
    job.file.chmod(0o600)
    assert job.run(desk, "--again") == 0
    assert job.file.stat().st_mode & 0o777 == 0o600


def test_two_runs_at_once_are_refused_until_the_first_has_ended(
    fake: Any, job: Job, capsys: Any
) -> None:
    desk = Desk(fake, stop_after=1)
    process = job.start(desk)
    job.until(1, process)
    other = Desk(fake)
    assert job.run(other) == 1
    assert f"another onecard (process {process.pid}) writes to" in capsys.readouterr().err
    assert other.asked == []
    process.kill()
    process.communicate(timeout=PATIENCE_S)
    assert job.run(other) == 0
    assert len(other.asked) == 5
    assert job.names() == ["verdicts.jsonl"]


# disks


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
