"""`onecard triage --watch` against the fake server: each mail once, and a mailbox that stays."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from commands import ids_of, mail, spawn
from fake_server import PATIENCE_S, content, decides, events, fails, verdict

from onecard_client.__main__ import main


def wait_until(is_so: Callable[[], object], process: subprocess.Popen[str]) -> None:
    while not is_so():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


class Maildir:
    """A mailbox and whoever delivers into it, as the format's makers say: by way of `tmp`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("tmp", "new", "cur"):
            (folder / name).mkdir(parents=True)

    def deliver(self, number: int, raw: bytes | None = None) -> Path:
        temporary = self.folder / "tmp" / f"17513600{number:02d}.M{number}P1.host"
        temporary.write_bytes(mail(number) if raw is None else raw)
        return temporary.rename(self.folder / "new" / temporary.name)

    def see(self, path: Path, flags: str = "S") -> Path:
        """What a mail program does with a mail that was read."""
        name = path.name.partition(":")[0]
        return path.rename(self.folder / "cur" / f"{name}:2,{flags}")

    def snapshot(self) -> dict[str, tuple[bytes, int]]:
        return {
            str(path): (path.read_bytes() if path.is_file() else b"", path.stat().st_mtime_ns)
            for path in self.folder.rglob("*")
        }


@pytest.fixture
def maildir(tmp_path: Path) -> Maildir:
    return Maildir(tmp_path / "Maildir")


def test_watch_judges_each_mail_once_and_changes_nothing(
    fake: Any, maildir: Maildir, tmp_path: Path
) -> None:
    maildir.see(maildir.deliver(1))  # somebody has seen it
    second = maildir.deliver(2)
    server = fake(decides)
    out = tmp_path / "verdicts.jsonl"
    out.write_text(json.dumps(verdict("before")["verdict"]) + "\n")
    process = spawn(
        server.url, "triage", "--watch", maildir.folder, "--interval", "0.05", "-o", out
    )

    def judged() -> list[str]:
        return ids_of(out.read_text())

    wait_until(lambda: judged() == ["before", "2@b.c"], process)
    before = maildir.snapshot()
    maildir.deliver(8, raw=b"no mail").unlink()  # gone before it was looked at, or reported
    third = maildir.deliver(3)
    third = maildir.see(third)
    maildir.see(maildir.see(second), "FS")
    wait_until(lambda: len(judged()) == 3, process)
    during = maildir.snapshot()
    num_requests = len(server.requests)
    time.sleep(0.3)  # several looks, at what is known by now
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert "2 verdicts" in said
    assert judged() == ["before", "2@b.c", "3@b.c"]
    assert len(server.requests) == num_requests
    assert maildir.snapshot() == during
    assert len(before) == len(during) - 1


def test_watch_begins_with_what_was_there_where_asked(fake: Any, maildir: Maildir) -> None:
    maildir.see(maildir.deliver(1))
    maildir.deliver(2)
    server = fake(decides)
    process = spawn(
        server.url, "triage", maildir.folder, "--watch", maildir.folder, "--interval", "0.05"
    )
    assert process.stdout is not None
    assert {*ids_of(process.stdout.readline()), *ids_of(process.stdout.readline())} == {
        "1@b.c",
        "2@b.c",
    }
    maildir.deliver(3)
    assert ids_of(process.stdout.readline()) == ["3@b.c"]
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, rest) == (130, "")


def test_watch_survives_mails_and_servers_that_fail(fake: Any, maildir: Maildir) -> None:
    maildir.deliver(1, raw=b"no mail")
    first = events(verdict("2@b.c"), then=fails(grpc.StatusCode.DEADLINE_EXCEEDED, "late"))
    refuses = fails(grpc.StatusCode.INVALID_ARGUMENT, "not this")
    server = fake(first, decides, refuses, decides)
    maildir.deliver(2)
    maildir.deliver(3)
    process = spawn(server.url, "triage", "--watch", maildir.folder, "--interval", "0.05")
    assert process.stdout is not None
    assert ids_of(process.stdout.readline()) == ["2@b.c"]
    assert ids_of(process.stdout.readline()) == ["3@b.c"]
    assert [one["id"] for one in server.document(1)] == ["3@b.c"]
    maildir.deliver(4)
    wait_until(lambda: len(server.requests) == 3, process)
    time.sleep(0.3)
    maildir.deliver(5)
    assert ids_of(process.stdout.readline()) == ["5@b.c"]
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=PATIENCE_S)
    assert said.count("has no header of a mail") == 1
    assert "1 mail will be tried again" in said
    assert "not this; 1 mail will not be tried again" in said
    assert [one["id"] for one in json.loads(content(server.requests[-1]))] == ["5@b.c"]


def test_watch_goes_on_after_a_restart(fake: Any, maildir: Maildir, tmp_path: Path) -> None:
    """What is in the file is not judged again, however its mail was moved or numbered."""
    server = fake(decides)
    out = tmp_path / "verdicts.jsonl"
    copy = mail(1).replace(b"text", b"the copy that came over the list")

    def asked() -> list[str]:
        return [
            one["id"] for index in range(len(server.requests)) for one in server.document(index)
        ]

    def watch_until(num_lines: int) -> str:
        process = spawn(
            server.url, "triage", "--watch", maildir.folder, "--interval", "0.05", "-o", out
        )
        wait_until(lambda: out.exists() and out.read_text().count("\n") == num_lines, process)
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 143, said
        return said

    for number in (1, 2):
        maildir.deliver(number)
    first = maildir.folder / "new" / "1751360001.M1P1.host"
    assert f"2 verdicts came, and are in `{out}`" in watch_until(2)
    maildir.deliver(3)
    maildir.deliver(4, raw=copy)
    said = watch_until(4)
    assert "2 verdicts were there already" in said
    assert asked() == ["1@b.c", "2@b.c", "3@b.c", "1@b.c"]
    maildir.see(first)
    with out.open("a") as file:
        file.write('{"id": "5@b.c", "cat')
    maildir.deliver(5)
    assert "3 verdicts were there already" in watch_until(5)  # the copy among them
    maildir.deliver(2, raw=mail(2).replace(b"text", b"another text"))
    watch_until(6)
    assert asked()[4:] == ["5@b.c", "2@b.c"]
    assert ids_of(out.read_text()) == asked()


def test_mail_without_an_id_keeps_the_one_it_is_given(
    fake: Any, maildir: Maildir, tmp_path: Path
) -> None:
    """It arrives while somebody watches, is then seen and flagged, and is read as a PATH."""
    server = fake(decides)
    out = tmp_path / "verdicts.jsonl"
    nameless = maildir.deliver(1, raw=b"From: a@b.c\nSubject: hello\n\ntext\n")
    process = spawn(
        server.url, "triage", "--watch", maildir.folder, "--interval", "0.05", "-o", out
    )
    wait_until(lambda: out.exists() and out.read_text().count("\n") == 1, process)
    process.kill()
    process.communicate(timeout=PATIENCE_S)
    for flags in ("S", "FRS"):
        nameless = maildir.see(nameless, flags)
        assert main(["triage", str(maildir.folder), "-o", str(out), "--url", server.url]) == 0
    assert ids_of(out.read_text()) == [str(maildir.folder / "1751360001.M1P1.host")]
    assert len(server.requests) == 1


def test_watch_takes_over_what_another_run_left(
    fake: Any, maildir: Maildir, tmp_path: Path
) -> None:
    server = fake(decides)
    out = tmp_path / "verdicts.jsonl"
    maildir.deliver(1)
    assert main(["triage", str(maildir.folder), "-o", str(out), "--url", server.url]) == 0
    partial = out.rename(tmp_path / "verdicts.jsonl.partial")
    maildir.deliver(2)
    process = spawn(
        server.url, "triage", "--watch", maildir.folder, "--interval", "0.05", "-o", out
    )
    wait_until(lambda: out.exists() and out.read_text().count("\n") == 2, process)
    assert not partial.exists()
    refused = spawn(server.url, "triage", maildir.folder, "-o", out)
    _, said = refused.communicate(timeout=PATIENCE_S)
    assert refused.returncode == 1
    assert "another onecard" in said
    process.kill()
    process.communicate(timeout=PATIENCE_S)
    assert ids_of(out.read_text()) == ["1@b.c", "2@b.c"]
    assert len(server.requests) == 2


def test_watch_without_a_server(maildir: Maildir, capsys: Any) -> None:
    line = ["triage", "--watch", str(maildir.folder), "--url", "no-such-host.invalid"]
    assert main(line) == 3
