"""`onecard triage --output` across ends of every kind: what has its verdict is not asked again."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import grpc
import pytest
from commands import ids_of, mail, spawn
from fake_server import PATIENCE_S, events, fails, summary, verdict

from onecard_client.__main__ import main
from tests.client.verdicts.jobs import Desk, Job, lines

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
