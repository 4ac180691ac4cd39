"""`onecard triage` on large mailboxes: they are sent while they are read, and not kept."""

from __future__ import annotations

import base64
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest
from commands import ids_of, spawn
from fake_server import PATIENCE_S, VERDICT, content, decides, events, summary, verdict

from onecard_client import Email, Verdict
from onecard_client.__main__ import main
from onecard_client._output.progress import Silent
from onecard_client._verdicts.judge import CHARACTERS_PER_REQUEST, MAILS_PER_REQUEST, Judge

ATTACHMENT = base64.encodebytes(bytes(range(256)) * 1000)


def with_attachment(number: int) -> bytes:
    """A mail of 350 kB in an mbox, of which 80 bytes are text."""
    head = (
        f"From a@b.c Tue Jul  1 10:00:00 2025\nFrom: a@b.c\nSubject: mail {number}\n"
        f"Message-Id: <{number}@b.c>\nMIME-Version: 1.0\n"
        "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n\ntext\n"
        "--b\nContent-Type: application/zip; name=a.zip\nContent-Transfer-Encoding: base64\n\n"
    )
    return head.encode() + ATTACHMENT + b"--b--\n\n"


def with_long_text(number: int) -> bytes:
    """A mail of 150 kB in an mbox, all of it text."""
    head = f"From a@b.c Tue Jul  1 10:00:00 2025\nSubject: mail {number}\nFrom: a@b.c\n"
    return f"{head}Message-Id: <{number}@b.c>\n\n".encode() + b"a line of a text\n" * 9_000 + b"\n"


def peak_mb(process: subprocess.Popen[str]) -> list[int]:
    """The most memory that a process has had; nothing of one that has ended."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return [int(size) // 1024 for size in re.findall(r"VmHWM:\s+(\d+) kB", status)]


def pipe(process: subprocess.Popen[str]) -> IO[bytes]:
    assert process.stdin is not None
    return process.stdin.buffer  # type: ignore[attr-defined,no-any-return]


@pytest.mark.parametrize(
    ("make", "num_mails"), [(with_attachment, 60), (with_long_text, 140)], ids=["files", "texts"]
)
def test_mailbox_is_sent_while_it_is_read(make: Any, num_mails: int, fake: Any) -> None:
    """20 MB; the first verdict is there before the rest is written, and memory stays."""
    server = fake(decides)
    line = ["triage", "-", "--output", "-"]
    with spawn(server.url, *line, stdin=subprocess.PIPE) as process:
        assert process.stdout is not None
        mailbox = pipe(process)
        for number in range(10):
            mailbox.write(make(number))
        mailbox.flush()
        ids = ids_of(process.stdout.readline())
        assert ids == ["0@b.c"]
        peaks = peak_mb(process)
        for number in range(10, num_mails):
            mailbox.write(make(number))
        mailbox.close()
        for verdict_line in process.stdout:
            ids += ids_of(verdict_line)
            peaks += peak_mb(process)
    assert process.returncode == 0
    assert ids == [f"{number}@b.c" for number in range(num_mails)]
    assert len(peaks) > num_mails // 2
    # what is in a request, as text and as JSON on its way
    assert peaks[-1] - peaks[0] < 30


def test_problems_are_told_as_they_come(fake: Any) -> None:
    process = spawn(fake(decides).url, "triage", "-", "--verbose", "False", stdin=subprocess.PIPE)
    assert process.stderr is not None
    mailbox = pipe(process)
    mailbox.write(b'{"id": "1", "subject": "a", "body": "b"}\nno JSON\n' * 3)
    mailbox.flush()
    assert "not JSON" in process.stderr.readline()
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1


class _Client:
    """A FAKE client that notes what it is asked, and how many mails were read by then."""

    def __init__(self) -> None:
        self.num_read = 0
        self.requests: list[tuple[int, int, int]] = []  # mails, characters, mails read

    def mails(self, number: int, characters: int) -> Iterator[Email]:
        for index in range(number):
            self.num_read += 1
            yield Email(str(index), body="x" * characters)

    def triage(self, emails: list[Email], **options: Any) -> Any:
        num_characters = sum(len(email.body) for email in emails)
        self.requests.append((len(emails), num_characters, self.num_read))
        return _Answer([email.id for email in emails])


class _Answer:
    summary = None

    def __init__(self, ids: list[str]) -> None:
        self._ids = ids

    def __iter__(self) -> Iterator[Any]:
        return iter([_verdict(mail_id) for mail_id in self._ids])

    def __enter__(self) -> _Answer:
        return self

    def __exit__(self, *error: object) -> None:
        pass


def _verdict(mail_id: str) -> Any:
    return Verdict(**{**VERDICT, "id": mail_id})


def test_requests_begin_small_and_are_sent_as_soon_as_they_are_full() -> None:
    client: Any = _Client()
    judge = Judge(client, {}, Silent("triage"))
    decided = list(judge.verdicts(client.mails(500, characters=10)))
    assert [verdict.id for verdict, _ in decided] == [email.id for _, email in decided]
    sizes = [size for size, _, _ in client.requests]
    assert sizes[0] <= 10
    assert sizes == sorted(sizes[:-1]) + sizes[-1:]
    assert max(sizes) == MAILS_PER_REQUEST
    sent = 0
    for size, _, num_read in client.requests:
        sent += size
        assert num_read == sent  # nothing is read ahead
    assert sent == len(decided) == 500


def test_requests_are_bounded_in_characters() -> None:
    client: Any = _Client()
    list(Judge(client, {}, Silent("triage")).verdicts(client.mails(60, characters=200_000)))
    assert sum(size for size, _, _ in client.requests) == 60
    assert max(characters for _, characters, _ in client.requests) <= CHARACTERS_PER_REQUEST


def test_verdict_that_comes_twice_counts_once(fake: Any, tmp_path: Path) -> None:
    def twice(request: Any, context: Any) -> Iterator[Any]:
        ids = [mail["id"] for mail in json.loads(content(request))]
        found = [verdict(mail_id) for mail_id in ids]
        yield from events(*found, *found, verdict("nobody's"), summary(*ids))(request, context)

    mails, out = tmp_path / "mails.jsonl", tmp_path / "out.jsonl"
    mails.write_text("".join(json.dumps({"id": f"{n}", "subject": "a"}) + "\n" for n in range(3)))
    assert main(["triage", str(mails), "-o", str(out), "--url", fake(twice).url]) == 0
    assert ids_of(out.read_text()) == ["0", "1", "2"]
