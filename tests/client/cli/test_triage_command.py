"""`onecard triage` against the fake server: tables, JSONL, requests, a Maildir that is watched."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from commands import Terminal, ids_of, mail, spawn
from fake_server import (
    PATIENCE_S,
    TRIAGE_PROGRESS,
    decides,
    events,
    fails,
    hangs,
    summary,
    verdict,
)

from onecard_client.__main__ import main
from onecard_client._verdicts import judge

BUSY = fails(grpc.StatusCode.UNAVAILABLE, "Exceeds maximum queue size")


@pytest.fixture
def mails(tmp_path: Path) -> Path:
    """A folder with three mails."""
    folder = tmp_path / "mails"
    folder.mkdir()
    for number in (1, 2, 3):
        (folder / f"{number}.eml").write_bytes(mail(number))
    return folder


def triage(server: Any, *arguments: object) -> int:
    return main(["triage", *map(str, arguments), "--url", server.url])


# The file of an earlier run, of a mail that is gone.
OLD = json.dumps(verdict("0@b.c")["verdict"]) + "\n"
ALL = ["1@b.c", "2@b.c", "3@b.c"]


# where verdicts go


def test_jsonl_where_there_is_no_terminal(fake: Any, mails: Path, capsys: Any) -> None:
    server = fake(decides)
    assert triage(server, mails) == 0
    shown, said = capsys.readouterr()
    assert ids_of(shown) == ALL
    assert set(json.loads(shown.splitlines()[0])) == set(verdict("x")["verdict"])
    assert "3 verdicts, 0 for review; 1 call, 100 tokens in, 20 out; 0.5 s" in said
    assert [one["subject"] for one in server.document()] == ["mail 1", "mail 2", "mail 3"]


def test_table_on_a_terminal(fake: Any, mails: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", "110")
    nothing = {"priority": None, "action": None, "due": None, "category": "needs_review"}
    unsure = verdict("3@b.c", needs_review=True, review_reason="the model said nothing", **nothing)
    hostile = verdict("2@b.c", action="\x1b[2J\x1b]0;owned\x07 call\n\tback", due="日本")
    server = fake(events(verdict("1@b.c"), hostile, unsure, summary(*ALL)))
    assert triage(server, mails) == 0
    lines = terminal.getvalue().splitlines()
    assert len(lines) == 4
    assert lines[0].split() == ["id", "subject", "category", "priority", "action", "due"]
    assert lines[1].split() == ["1@b.c", "mail", "1", "invoice", "high", "pay", "it", "2025-07-14"]
    assert "call back" in lines[2]
    assert "日本" in lines[2]
    assert "the model said nothing" in lines[3]
    assert not set(map(ord, terminal.getvalue())) & ({*range(32), 127} - {10})
    assert max(map(len, lines)) < 110


def test_file_and_table(
    fake: Any, mails: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    out = tmp_path / "verdicts.jsonl"
    out.write_text(OLD)
    assert triage(fake(decides), mails, "--output", out) == 0
    assert ids_of(out.read_text()) == ALL
    assert len(terminal.getvalue().splitlines()) == 4
    assert triage(fake(decides), mails, "--output", "-") == 0
    assert ids_of("".join(terminal.getvalue().splitlines(keepends=True)[4:])) == ALL


def test_file_without_a_terminal_is_all(
    fake: Any, mails: Path, tmp_path: Path, capsys: Any
) -> None:
    out = tmp_path / "verdicts.jsonl"
    assert triage(fake(decides), mails, "-o", out, "--verbose", "False") == 0
    assert ids_of(out.read_text()) == ALL
    assert capsys.readouterr() == ("", "")


def test_file_appears_when_it_is_whole(fake: Any, mails: Path, tmp_path: Path, capsys: Any) -> None:
    out = tmp_path / "verdicts.jsonl"
    out.write_text(OLD)
    seen: list[str] = []

    def step(request: Any, context: Any) -> Iterator[Any]:
        yield from events(verdict("1@b.c"))(request, context)
        seen.append(out.read_text())
        context.abort(grpc.StatusCode.INTERNAL, "internal error")

    assert triage(fake(step), mails, "--output", out) == 1
    assert (seen, out.read_text()) == ([OLD], OLD)
    partial = tmp_path / "verdicts.jsonl.partial"
    assert ids_of(partial.read_text()) == ["1@b.c"]
    assert f"1 verdict had come before, and are in `{partial}`" in capsys.readouterr().err


def test_failure_before_the_first_verdict_leaves_no_rubbish(
    fake: Any, mails: Path, tmp_path: Path
) -> None:
    server = fake(fails(grpc.StatusCode.INTERNAL, "internal error"))
    assert triage(server, mails, "--output", tmp_path / "out.jsonl") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["mails"]


def test_pipes_and_links_stay_what_they_are(fake: Any, mails: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "target")
    (tmp_path / "target").write_text(OLD)
    assert triage(fake(decides), mails, "-o", link) == 0
    assert link.is_symlink()
    assert ids_of((tmp_path / "target").read_text()) == ALL
    assert triage(fake(decides), mails, "-o", "/dev/null") == 0
    assert Path("/dev/null").is_char_device()


def test_mailboxes_are_never_written_over(tmp_path: Path, mails: Path, capsys: Any) -> None:
    (tmp_path / "Maildir" / "new").mkdir(parents=True)
    box = mails / "1.eml"
    for output, paths in [(box, [box]), (tmp_path / "Maildir" / "new" / "out", [mails])]:
        with pytest.raises(SystemExit) as ended:
            main(["triage", *map(str, paths), "--output", str(output)])
        assert ended.value.code == 2
    assert "read and would be written" in capsys.readouterr().err
    assert box.read_bytes() == mail(1)


# what is asked


def test_options_reach_the_server(fake: Any, mails: Path) -> None:
    server = fake(decides)
    line = ["--categories", "bill,spam", "--no_drafts", "--seed", "3", "--temperature", "0"]
    assert triage(server, mails, *line) == 0
    assert server.options() == {
        "categories": ["bill", "spam"],
        "drafts": False,
        "seed": 3,
        "temperature": 0.0,
    }
    assert triage(server, mails) == 0
    assert server.options() == {}


def test_many_mails_are_several_requests(
    fake: Any, mails: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(judge, "MAILS_PER_REQUEST", 2)
    server = fake(decides)
    assert triage(server, mails) == 0
    assert [len(server.document(index)) for index in (0, 1)] == [2, 1]
    shown, said = capsys.readouterr()
    assert ids_of(shown) == ALL
    assert "3 verdicts, 0 for review; 2 calls, 200 tokens in, 40 out; 1.0 s" in said


def test_mails_without_a_verdict_are_asked_about_again(fake: Any, mails: Path, capsys: Any) -> None:
    server = fake(events(verdict("2@b.c"), then=BUSY), decides)
    assert triage(server, mails) == 0
    assert ids_of(capsys.readouterr().out) == ["2@b.c", "1@b.c", "3@b.c"]
    assert [one["id"] for one in server.document()] == ["1@b.c", "3@b.c"]


def test_verdict_that_never_came(fake: Any, mails: Path, capsys: Any) -> None:
    server = fake(events(verdict("1@b.c"), verdict("3@b.c"), summary(*ALL)))
    assert triage(server, mails) == 1
    assert "2@b.c: the server gave no verdict" in capsys.readouterr().err


def test_verdict_for_review_is_a_verdict(fake: Any, mails: Path, capsys: Any) -> None:
    unsure = verdict("1@b.c", needs_review=True)
    server = fake(events(unsure, summary("1@b.c")))
    assert triage(server, mails / "1.eml") == 0
    assert "1 verdict, 1 for review" in capsys.readouterr().err


def test_waiting_for_speech_is_told(fake: Any, mails: Path, capsys: Any) -> None:
    account = summary("1@b.c")
    account["summary"]["waited_s"] = 0.25
    deciding = {**TRIAGE_PROGRESS, "waiting_for": None}
    server = fake(events(TRIAGE_PROGRESS, deciding, verdict("1@b.c"), account))
    assert triage(server, mails / "1.eml") == 0
    said = capsys.readouterr().err.splitlines()
    stages = ["reading", "waiting for transcriptions", "deciding"]
    assert said[:3] == [f"triage: {stage}" for stage in stages]
    assert "of which 0.2 s waiting for transcriptions" in said[3]


# what goes wrong


def test_what_cannot_be_read_fails_alone(fake: Any, mails: Path, capsys: Any) -> None:
    (mails / "2.eml").write_bytes(b"\x89PNG")
    assert triage(fake(decides), mails, mails / "missing") == 1
    shown, said = capsys.readouterr()
    assert ids_of(shown) == ["1@b.c", "3@b.c"]
    assert f"onecard: {mails / '2.eml'}: has no header of a mail" in said
    assert f"onecard: {mails / 'missing'}: No such file" in said
    assert "2 items could not be read" in said


def test_nothing_to_judge_asks_nothing(fake: Any, tmp_path: Path) -> None:
    for name in ("new", "cur"):
        (tmp_path / name).mkdir()
    server = fake(decides)
    assert triage(server, tmp_path) == 0
    assert server.requests == []


def test_no_server(mails: Path, capsys: Any) -> None:
    assert main(["triage", str(mails), "--url", "no-such-host.invalid"]) == 3
    assert "no-such-host.invalid" in capsys.readouterr().err


def test_server_that_stays_busy_after_a_verdict_is_not_asked_for_ever(
    fake: Any, mails: Path
) -> None:
    server = fake(events(verdict("1@b.c"), then=BUSY), BUSY)
    assert triage(server, mails, "--timeout_s", "1") == 1
    assert len(server.requests) > 1


# in a process of its own


def test_interrupt_cancels_the_request(fake: Any, mails: Path) -> None:
    server = fake(events(verdict("1@b.c"), then=hangs))
    process = spawn(server.url, "triage", mails)
    assert process.stdout is not None
    assert ids_of(process.stdout.readline()) == ["1@b.c"]
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert "interrupted" in said
    assert "Traceback" not in said
    assert server.cancelled.wait(PATIENCE_S)
