"""Emails from files and folders: every kind, every mail once, nothing changed."""

from __future__ import annotations

import hashlib
import io
import json
import mailbox
import os
import sys
from email.message import EmailMessage
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onecard.triage import mail as servers_mail
from onecard_client import Email
from onecard_client._mailbox.sources import read
from onecard_client.mail import emails_to_json


def mail(number: int, body: str = "text") -> bytes:
    return f"From: a@b.c\nSubject: mail {number}\nMessage-Id: <{number}@b.c>\n\n{body}\n".encode()


def read_all(*paths: Path | str) -> tuple[list[Email], list[str]]:
    problems: list[str] = []
    return list(read([str(path) for path in paths], problems.append)), problems


def snapshot(folder: Path) -> dict[str, tuple[object, ...]]:
    """Every name below, with what changes if it is touched (not when it was last read)."""
    found = {}
    for path in sorted(folder.rglob("*")):
        facts = path.lstat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
        found[str(path)] = (content, facts.st_mtime_ns, facts.st_mode, facts.st_ino)
    return found


@pytest.fixture
def maildir(tmp_path: Path) -> Path:
    folder = tmp_path / "Maildir"
    for name in ("new", "cur", "tmp"):
        (folder / name).mkdir(parents=True)
    (folder / "new" / "1751360000.M1P1.host").write_bytes(mail(1))
    (folder / "cur" / "1751360001.M2P1.host:2,S").write_bytes(mail(2))
    (folder / "tmp" / "1751360002.M3P1.host").write_bytes(mail(3))
    (folder / "cur" / ".hidden").write_bytes(mail(4))
    return folder


def subjects(mails: list[Email]) -> list[str]:
    return [one.subject for one in mails]


# one kind after another


def test_eml(tmp_path: Path) -> None:
    (tmp_path / "one.eml").write_bytes(mail(1))
    (tmp_path / "two").write_bytes(b"\xef\xbb\xbf\r\n\r\n" + mail(2).replace(b"\n", b"\r\n"))
    mails, problems = read_all(tmp_path / "one.eml", tmp_path / "two")
    assert [(one.id, one.subject, one.body) for one in mails] == [
        ("1@b.c", "mail 1", "text"),
        ("2@b.c", "mail 2", "text"),
    ]
    assert problems == []


def test_folder_of_eml_files(tmp_path: Path) -> None:
    (tmp_path / "deeper").mkdir()
    (tmp_path / "b.eml").write_bytes(mail(2))
    (tmp_path / "a.EML").write_bytes(mail(1))
    (tmp_path / "deeper" / "c.eml").write_bytes(mail(3))
    (tmp_path / "notes.txt").write_text("no mail")
    mails, problems = read_all(tmp_path)
    assert (subjects(mails), problems) == (["mail 1", "mail 2", "mail 3"], [])


def test_maildir(maildir: Path) -> None:
    mails, problems = read_all(maildir)
    assert (subjects(mails), problems) == (["mail 1", "mail 2"], [])


MBOX = b"""\
From a@b.c Tue Jul  1 10:00:00 2025
Subject: mail 1

From here on, a sentence that nobody quoted.
>From the start, one that somebody did.
>>From twice.

From me to you: no header follows this.
So it is text.

From - Tue, 01 Jul 2025 10:00:00
X-Mozilla-Status: 0001
Subject: mail 2

text
From MAILER-DAEMON Tue Jul  1 10:00:00 2025
Subject: mail 3

no empty line above it

From someone
Subject: mail 4

no date
"""


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_mbox(line_end: bytes, tmp_path: Path) -> None:
    content = MBOX.replace(b"\n", line_end)
    (tmp_path / "inbox").write_bytes(content)
    mails, problems = read_all(tmp_path / "inbox")
    assert (subjects(mails), problems) == ([f"mail {one}" for one in (1, 2, 3, 4)], [])
    assert mails[0].body.split("\n")[1:3] == [
        "From the start, one that somebody did.",
        ">From twice.",
    ]
    assert mails[0].body.endswith("So it is text.")
    assert mails[2].body == "no empty line above it"
    starts = [content.index(line_end + b"From " + one) + len(line_end) for one in (b"- ", b"MAIL")]
    ids = [one.id for one in mails]
    assert ids[:3] == [f"{tmp_path / 'inbox'}@{start}" for start in (0, *starts)]


def test_json_and_jsonl(tmp_path: Path) -> None:
    items = [
        {"id": "m1", "from": "a@b.c", "to": ["d@e.f", "g@h.i"], "subject": "One", "labels": []},
        {"body": "Two", "date": None},
        {"id": 0, "body": "Three \ud800"},
    ]
    (tmp_path / "a.json").write_text(json.dumps(items, indent=1))
    (tmp_path / "b").write_text("\n" + "\n\n".join(json.dumps(item) for item in items))
    (tmp_path / "c.json").write_text(json.dumps(items[0], indent=1))
    for name in ("a.json", "b"):
        mails, problems = read_all(tmp_path / name)
        assert problems == []
        assert mails == [
            Email("m1", subject="One", sender="a@b.c", to="d@e.f, g@h.i"),
            Email(f"{tmp_path / name}@2", body="Two"),
            Email("0", body="Three ?"),
        ]
    assert [one.id for one in read_all(tmp_path / "c.json")[0]] == ["m1"]


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(MBOX)))
    mails, problems = read_all("-")
    assert (len(mails), problems) == (4, [])
    assert mails[0].id == "stdin@0"


# what is none


def test_what_is_no_mail_is_told_and_the_others_follow(tmp_path: Path) -> None:
    contents = {
        "a.eml": mail(1),
        "b.eml": b"\x89PNG\r\n",
        "c.eml": b"",
        "d.json": b'[{"id": "x"}, 7, {"id": "y", "body": "kept"}]',
        "e.json": b'[{"id": ',
        "f.jsonl": b'{"body": "kept"}\n{"body": \n{"body": "kept as well"}\n',
        "g.jsonl": b'{"body": \n "never"\n',
        "h": b"From x Tue Jul  1 10:00:00 2025\n\x89PNG\n\nFrom y 10:00\nSubject: kept\n\ntext",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    missing = tmp_path / "missing"
    pictures = tmp_path / "folder"
    pictures.mkdir()
    (pictures / "a.png").write_bytes(b"\x89PNG\r\n")
    mails, problems = read_all(*(tmp_path / name for name in contents), missing, pictures)
    assert [one.subject or one.body for one in mails] == [
        "mail 1", "kept", "kept", "kept as well", "kept",
    ]  # fmt: skip
    wanted = ["b.eml: ", "c.eml: is empty", "mail 1 has neither", "mail 2 is of type `int`"]
    wanted += ["e.json: is not JSON", "f.jsonl: line 2 is not JSON", "g.jsonl: is not JSON"]
    wanted += ["h: at byte 0: has no header", "missing: No such file", "folder: has files (a.png)"]
    assert len(problems) == len(wanted)
    for problem, part in zip(problems, wanted, strict=True):
        assert part in problem
        assert "\n" not in problem


def test_copies_have_ids_of_their_own(tmp_path: Path) -> None:
    for name in ("a.eml", "b.eml", "c.eml"):
        (tmp_path / name).write_bytes(mail(1))
    (tmp_path / "d.eml").write_bytes(mail(1).replace(b"<1@b.c>", b"<1@b.c#2>"))
    mails, _ = read_all(tmp_path, tmp_path / "a.eml")
    assert [one.id for one in mails] == ["1@b.c", "1@b.c#2", "1@b.c#3", "1@b.c#2#2", "1@b.c#4"]


def test_the_server_takes_every_mail(tmp_path: Path) -> None:
    """One that it refused would take the others of its request along."""
    box = [mail(1), mail(1).replace(b"<1@b.c>", b"<" + b"x" * 1500 + b">"), b"From: a@b.c\n\n"]
    for number, raw in enumerate([*box, box[1]]):
        (tmp_path / f"{number}.eml").write_bytes(raw)
    (tmp_path / "a.json").write_text('[{"body": 7, "from": null, "extra": []}, {"subject": "x"}]')
    mails, problems = read_all(tmp_path)
    assert problems == []
    parsed = servers_mail.parse(emails_to_json(mails).decode())
    assert [one.id for one in parsed] == [one.id for one in mails]
    assert len(parsed) == 6


# what other programs write


def test_mailboxes_that_python_writes(tmp_path: Path) -> None:
    folder = mailbox.Maildir(tmp_path / "Maildir")
    box = mailbox.mbox(tmp_path / "mbox")
    for number in range(5):
        folder.add(mail(number))
        box.add(mail(number, body="From the beginning\n\nFrom: x\n"))
    box.close()
    for path in (tmp_path / "Maildir", tmp_path / "mbox"):
        mails, problems = read_all(path)
        assert problems == []
        assert sorted(subjects(mails)) == [f"mail {number}" for number in range(5)]


LINES = st.sampled_from(["From ", ">From ", "From: x", "text", " ", ""])
BODY = st.lists(LINES | st.text("ab >:\n", max_size=9), max_size=8).map("\n".join)


@settings(max_examples=100, deadline=None)
@given(st.lists(BODY, min_size=1, max_size=6))
def test_every_mail_of_an_mbox_comes_out_once(
    tmp_path_factory: pytest.TempPathFactory, bodies: list[str]
) -> None:
    """As `mailbox` writes it: `From ` in a body becomes `>From `."""
    path = tmp_path_factory.mktemp("box") / "mbox"
    box = mailbox.mbox(path)
    for number, body in enumerate(bodies):
        message = EmailMessage()
        message["Subject"] = f"mail {number}"
        message.set_content(body)
        box.add(message)
    box.close()
    mails, problems = read_all(path)
    assert problems == []
    assert subjects(mails) == [f"mail {number}" for number in range(len(bodies))]
    for one, body in zip(mails, bodies, strict=True):
        if ">" not in body:
            assert one.body.split() == body.split()


# nothing is changed


def test_nothing_is_changed(maildir: Path, tmp_path: Path) -> None:
    (tmp_path / "mbox").write_bytes(MBOX)
    (tmp_path / "a.eml").write_bytes(mail(1))
    (tmp_path / "b.json").write_text("[]")
    for path in tmp_path.rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    before = snapshot(tmp_path)
    mails, _ = read_all(*(tmp_path / name for name in ("Maildir", "mbox", "a.eml", "b.json")))
    assert len(mails) == 7
    assert snapshot(tmp_path) == before


def test_files_are_only_opened_for_reading(maildir: Path) -> None:
    """Write permission is not needed anywhere, and would be by a program that writes."""
    modes: list[str] = []

    def audit(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and str(maildir) in str(arguments[0]) and watching:
            flags = arguments[2]
            assert isinstance(flags, int)
            modes.append("r" if flags & os.O_ACCMODE == os.O_RDONLY else "w")

    watching = True
    sys.addaudithook(audit)  # stays for the process, hence the switch
    try:
        read_all(maildir)
    finally:
        watching = False
    assert modes == ["r", "r"]
