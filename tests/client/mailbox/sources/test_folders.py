"""Folders as mail programs leave them, and files that are no mails: each is read, or told of."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from onecard_client import Email
from onecard_client._mailbox.mime import NotAMail
from onecard_client._mailbox.sources import maildir_files, maildir_key, read, read_file
from onecard_client._mailbox.sources.maildir import is_trashed

FROM = b"From a@x.de Tue Jul  1 10:00:00 2025\n"
PLIST = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0">\n'
    b'<plist version="1.0"><dict><key>flags</key><integer>%d</integer></dict></plist>\n'
)


def mail(subject: str) -> bytes:
    return f"From: a@x.de\nSubject: {subject}\n\ntext\n".encode()


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def read_all(*paths: Path) -> tuple[list[Email], list[str], list[str]]:
    problems: list[str] = []
    notes: list[str] = []
    return (
        list(read([str(path) for path in paths], problems.append, notes.append)),
        problems,
        notes,
    )


def subjects(emails: list[Email]) -> list[str]:
    return [email.subject for email in emails]


# folders of mail programs

PROGRAMS: dict[str, tuple[dict[str, bytes], list[str]]] = {
    "Takeout": (
        {
            "Takeout/Mail/All mail.mbox": FROM + mail("1") + b"\n" + FROM + mail("2"),
            "Takeout/Mail/User Settings/Filters.json": b'{"filter": []}',
            "Takeout/archive_browser.html": b"<!DOCTYPE html><html></html>",
        },
        ["1", "2"],
    ),
    "Thunderbird": (
        {
            "prefs.js": b"user_pref('a', 1);",
            "global-messages-db.sqlite": b"SQLite format 3\0",
            "Mail/Local Folders/Inbox": FROM + mail("1"),
            "Mail/Local Folders/Inbox.msf": b"// <!-- <mdb:mork:z v='1.4'/> -->",
            "Mail/Local Folders/Trash": b"",
            "Mail/Local Folders/Trash.msf": b"",
            "Mail/Local Folders/msgFilterRules.dat": b'version="9"\n',
            "Mail/Local Folders/Inbox.sbd/Projects.2025": FROM + mail("2"),
            "Mail/Local Folders/Inbox.sbd/Projects.2025.msf": b"",
        },
        ["1", "2"],
    ),
    "Apple Mail's export": (
        {
            "Inbox.mbox/mbox": FROM + mail("1"),
            "Inbox.mbox/table_of_contents": b"\0\1\2",
            "Empty.mbox/mbox": b"",
        },
        ["1"],
    ),
    "Apple Mail's own": (
        {
            "V10/A/INBOX.mbox/Info.plist": b"bplist00",
            "V10/A/INBOX.mbox/B/Data/Messages/2.emlx": b"%d\n" % len(mail("2"))
            + mail("2")
            + PLIST % 1,
            "V10/A/INBOX.mbox/B/Data/Messages/10.partial.emlx": b"%d\n" % len(mail("10"))
            + mail("10")
            + PLIST % 1,
            "V10/A/INBOX.mbox/B/Data/Messages/11.emlx": b"5   \n" + mail("11") + PLIST % 1,
            "V10/A/INBOX.mbox/B/Data/Messages/12.emlx": b"%d\n" % len(mail("x")) + mail("x"),
            "V10/A/INBOX.mbox/B/Data/Messages/13.emlx": b"%d\n" % len(mail("gone"))
            + mail("gone")
            + PLIST % 3,
            "V10/A/INBOX.mbox/B/Data/Attachments/10/2/forwarded.eml": mail("attached"),
        },
        ["2", "10", "11", "x"],
    ),
    "MH": (
        {
            "inbox/1": mail("1"),
            "inbox/2": b"Subject: 2\n\ntext",
            "inbox/10": mail("10"),
            "inbox/,3": mail("removed"),
            "inbox/.mh_sequences": b"cur: 1",
        },
        ["1", "2", "10"],
    ),
    "Cyrus": (
        {"user/ann/1.": mail("1"), "user/ann/cyrus.header": b"\x01", "user/ann/cyrus.index": b"\0"},
        ["1"],
    ),
    "Maildir++": (
        {
            "new/1.x": mail("1"),
            "cur/2.x:2,S": mail("2"),
            "cur/3.x:2,ST": mail("in the bin"),
            "cur/.nfs0001": mail("no mail"),
            "tmp/4.x": mail("not delivered yet"),
            "dovecot.index": b"\0",
            "dovecot-uidlist": b"3 V1",
            "courierimapuiddb": b"1",
            "maildirsize": b"1",
            ".Sent/cur/5.x:2,S": mail("5"),
            ".Sent/maildirfolder": b"",
            ".Sent/dovecot.index.log": b"\0",
        },
        ["1", "2", "5"],
    ),
    "Windows Maildir": ({"cur/1.x;2,S": mail("1"), "cur/2.x!2,T": mail("in the bin")}, ["1"]),
    "exports": (
        {
            "a.EML": mail("1"),
            "b.mht": b"From: <Saved by Blink>\nSubject: a page\n\n",
            "c.txt": b"Subject: notes\nare no mail",
            "d.txt": mail("2"),
            "e.jsonl": b'{"id": "e", "subject": "3", "from": "a@x"}\n',
            "f.json": b'{"name": "package", "version": "1.0"}',
            "g.patch": b"From 0123456789 Mon Sep 17 00:00:00 2001\n" + mail("4"),
            "h.bin": bytes(range(256)),
        },
        ["1", "2", "3", "4"],
    ),
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_folders_of_mail_programs(tmp_path: Path, program: str) -> None:
    files, wanted = PROGRAMS[program]
    emails, problems, _ = read_all(write(tmp_path, files))
    assert (subjects(emails), problems) == (wanted, [])


def test_what_is_passed_over_is_said_once(tmp_path: Path) -> None:
    files = {f"{number}.png": b"\x89PNG" for number in range(50)}
    write(tmp_path, {**files, "a.eml": mail("1"), "cur/1:2,T": b"", "cur/2:2,FT": b""})
    emails, problems, notes = read_all(tmp_path)
    assert (subjects(emails), problems) == (["1"], [])
    assert [note.partition(": ")[2] for note in notes] == [
        "2 mails in the bin (T flag), passed over",
        "1 files of mails; 50 others are no mails, and passed over "
        "(0.png, 1.png, 2.png and 47 more)",
    ]


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"cur/.keep": b""},
        {"Inbox": b"", "Inbox.msf": b""},
        {"a/b/c.mbox": b""},
        {".DS_Store": b"\0"},
        {"a.json": b"[]", "b.jsonl": b"", "c.mbox": b"\n\n"},
    ],
)
def test_an_empty_mailbox_is_no_failure(tmp_path: Path, files: dict[str, bytes]) -> None:
    emails, problems, _ = read_all(write(tmp_path, files))
    if "a.json" not in files:
        assert problems == []
    assert emails == []
    alone = [tmp_path / name for name in files if not name.endswith((".msf", "Store", ".keep"))]
    assert read_all(*alone)[:2] == ([], [])


def test_a_mail_without_a_byte_is_told(tmp_path: Path) -> None:
    write(tmp_path, {"a.eml": b"", "b.eml": b"\n\n", "Maildir/cur/1": b""})
    _, problems, _ = read_all(tmp_path)
    assert [problem.rpartition("/")[2] for problem in problems] == [
        f"{name}: is empty, must hold a mail" for name in ("a.eml", "b.eml", "1")
    ]


# what cannot be opened, or never ends


def test_pipes_sockets_and_devices_are_not_opened(tmp_path: Path) -> None:
    write(tmp_path, {"z.eml": mail("1"), "cur/1.x": mail("2")})
    os.mkfifo(tmp_path / "a.eml")
    os.mkfifo(tmp_path / "cur" / "2.x")
    os.symlink("/dev/zero", tmp_path / "c.eml")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(tmp_path / "b.eml"))
        emails, problems, _ = read_all(tmp_path, tmp_path / "a.eml")
    assert subjects(emails) == ["2", "1"]
    assert [problem.partition(": is ")[2][:13] for problem in problems] == [
        "a named pipe,", "a named pipe,", "a socket, mus", "a device, mus", "a named pipe,",
    ]  # fmt: skip


def test_a_pipe_of_the_shell_is_read() -> None:
    reader, writer = os.pipe()
    os.write(writer, mail("1"))
    os.close(writer)
    try:
        emails, problems, _ = read_all(Path(f"/dev/fd/{reader}"))
    finally:
        os.close(reader)
    assert (subjects(emails), problems) == (["1"], [])


def test_links(tmp_path: Path) -> None:
    box = write(tmp_path / "box", {"a.eml": mail("1"), "deeper/b.eml": mail("2")})
    elsewhere = write(tmp_path / "elsewhere", {"c.eml": mail("3")})
    os.symlink(box, box / "deeper" / "circle")
    os.symlink(tmp_path, box / "upwards")
    os.symlink(box / "a.eml", box / "again.eml")
    os.symlink(elsewhere, box / "linked")
    os.symlink("nowhere", box / "lost.eml")
    os.symlink("127.0.1.1:+1234", box / "lock")  # Thunderbird's
    os.symlink("itself.eml", box / "itself.eml")
    emails, problems, _ = read_all(box)
    assert sorted(subjects(emails)) == ["1", "2", "3"]
    assert {problem.rpartition("/")[2].split(":")[0] for problem in problems} == {
        "lost.eml",
        "itself.eml",
    }


def test_places_that_cannot_be_read_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, {"a.eml": mail("1"), "shut/b.eml": mail("2"), "c.eml": mail("3")})
    scandir, opener = os.scandir, Path.open

    def no_scandir(path: str) -> object:
        if str(path).endswith("shut"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    def no_open(self: Path, *arguments: str) -> object:
        if self.name == "c.eml":
            raise PermissionError(13, "Permission denied")
        return opener(self, *arguments)

    monkeypatch.setattr(os, "scandir", no_scandir)
    monkeypatch.setattr(Path, "open", no_open)
    emails, problems, _ = read_all(tmp_path)
    assert subjects(emails) == ["1"]
    assert [problem.rpartition("/")[2] for problem in problems] == [
        "c.eml: Permission denied",
        "shut: cannot be read (Permission denied); see to its permissions",
    ]


def test_a_mail_that_is_flagged_while_others_are_read(tmp_path: Path) -> None:
    write(tmp_path, {"new/1.x": mail("1"), "new/2.x": mail("2"), "cur/3.x:2,": mail("3")})
    problems: list[str] = []
    emails = read([str(tmp_path)], problems.append)
    assert next(emails).subject == "1"
    (tmp_path / "new" / "2.x").rename(tmp_path / "cur" / "2.x:2,S")
    (tmp_path / "cur" / "3.x:2,").rename(tmp_path / "cur" / "3.x:2,S")
    assert (subjects(list(emails)), problems) == (["2", "3"], [])


@pytest.mark.parametrize("name", ["a\nb.eml", "a\udcffb.eml", "ä 😀.eml", "-.eml", "a\u202eb.eml"])
def test_names_of_every_kind(tmp_path: Path, name: str) -> None:
    write(tmp_path, {name: b"Subject: 1\nFrom: a@x\n\ntext", f"x{name}": b"no mail"})
    emails, problems, _ = read_all(tmp_path)
    assert subjects(emails) == ["1"]
    for text in (emails[0].id, *problems):
        assert text.encode().decode().splitlines() == [text]


# one reading for a file, wherever it lies

FIRST = {
    "nothing": b"",
    "BOM": b"\xef\xbb\xbf",
    "empty line": b"\r\n",
    "BOM and empty lines": b"\xef\xbb\xbf\r\n \n",
    "quoted From_": b">From - Tue Jul  1 10:00:00 2025\n",
    "From_": FROM,
    "From_ without a date": b"From a@x\n",
    "NULs": b"\0\0\0\0",
}


@pytest.mark.parametrize("first", FIRST.values(), ids=FIRST)
def test_one_reading_wherever_a_file_lies(tmp_path: Path, first: bytes) -> None:
    content = first + mail("1") + b"\nFrom here on\nTo: whom it concerns\n"
    write(tmp_path, {"a.eml": content, "Maildir/cur/a": content, "b": content})
    emails, problems, _ = read_all(tmp_path, tmp_path / "a.eml", tmp_path / "b")
    bodies = {email.body for email in emails}
    assert (len(emails), problems) == (5, [])
    assert bodies == {"text\n\nFrom here on\nTo: whom it concerns"}
    assert read_file(tmp_path / "Maildir" / "cur" / "a", "x").body in bodies


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_wide_letters(tmp_path: Path, encoding: str) -> None:
    content = "From: a@x\nSubject: Grüße\n\ntext 😀".encode(encoding)
    emails, problems, _ = read_all(write(tmp_path, {"a.eml": content, "cur/1": content}))
    assert {(email.subject, email.body) for email in emails} == {("Grüße", "text 😀")}
    assert (len(emails), problems) == (2, [])


def test_a_mail_that_quotes_an_mbox_is_one(tmp_path: Path) -> None:
    content = mail("1") + b"\n" + FROM + mail("2")
    emails, _, _ = read_all(write(tmp_path, {"a.eml": content, "cur/1": content}))
    assert subjects(emails) == ["1", "1"]
    emails, _, _ = read_all(write(tmp_path, {"b.eml": FROM + content}) / "b.eml")
    assert subjects(emails) == ["1", "2"]


# what is not read

REFUSED = {
    "a.pst": (b"!BDN", "Outlook data file"),
    "b.dbx": (b"\xcf\xad\x12\xfe", "Outlook Express"),
    "c.olm": (b"PK\x03\x04", "zip archive"),
    "d.tgz": (b"x" * 257 + b"ustar", "tar archive"),
    "e.pdf": (b"%PDF-1.4", "PDF"),
    "f.7z": (b"7z\xbc\xaf\x27\x1c", "7-Zip"),
    "g.xz": (b"\xfd7zXZ\0", "packed by xz"),
    "h.rtf": (b"{\\rtf1\\ansi", "RTF"),
    "i.html": (b"<html><body>hi", "web page"),
    "j.csv": (b'"Subject","Body","From: (Name)"\r\n', "table (CSV)"),
    "k.mbx": (b"*mbx*\r\n", "UW-IMAP"),
    "l.rmail": (b"BABYL OPTIONS: -*-", "Emacs"),
    "m.db": (b"SQLite format 3\0", "database"),
    "n.asc": (b"-----BEGIN PGP MESSAGE-----\n", "PGP"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_read_is_refused_by_name(tmp_path: Path, name: str) -> None:
    head, kind = REFUSED[name]
    write(tmp_path, {name: head + b"\0" * 300})
    emails, problems, _ = read_all(tmp_path / name)
    assert emails == []
    assert len(problems) == 1
    assert kind in problems[0]
    assert "; " in problems[0]  # what to do


def test_mailboxes_that_are_not_read_are_told_of_in_folders(tmp_path: Path) -> None:
    write(tmp_path, {**{name: head for name, (head, _) in REFUSED.items()}, "z.eml": mail("1")})
    emails, problems, _ = read_all(tmp_path)
    assert subjects(emails) == ["1"]
    told = [problem.rpartition("/")[2].split(":")[0] for problem in problems]
    assert told == ["a.pst", "b.dbx", "c.olm", "k.mbx", "l.rmail"]


# names in a Maildir


@pytest.mark.parametrize(
    ("name", "key", "is_in_bin"),
    [
        ("1.x", "1.x", False),
        ("1.x:2,", "1.x", False),
        ("1.x:2,ST", "1.x", True),
        ("1.x,S=10:2,S", "1.x,S=10", False),
        ("1.T:2,S", "1.T", False),
        ("1.x;2,T", "1.x", True),
        ("1.x!2,RS", "1.x", False),
        ("1.x:1,T", "1.x", True),
    ],
)
def test_flags_of_a_maildir(name: str, key: str, is_in_bin: bool) -> None:
    assert (maildir_key(name), is_trashed(name)) == (key, is_in_bin)


def test_the_files_of_a_maildir(tmp_path: Path) -> None:
    write(tmp_path, {"cur/2:2,": b"", "cur/1:2,T": b"", "new/3": b"", "cur/.x": b""})
    (tmp_path / "cur" / "folder").mkdir()
    assert [file.name for file in maildir_files(tmp_path)] == ["3", "2:2,"]
    with pytest.raises(NotAMail):
        read_file(tmp_path / "new" / "3", "x")
