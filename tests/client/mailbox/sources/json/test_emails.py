"""Mails in JSON: by the names that mail APIs and exports give their fields, broken or not."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onecard_client import Email
from onecard_client._mailbox.mime import NotAMail
from onecard_client._mailbox.sources import read
from onecard_client._mailbox.sources.json.fields import email_from_json
from onecard_client.mail import emails_to_json


def read_text(folder: Path, text: str | bytes) -> tuple[list[Email], list[str]]:
    path = folder / "mails.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    problems: list[str] = []
    return list(read([str(path)], problems.append)), problems


def encoded(text: str | bytes) -> str:
    raw = text if isinstance(text, bytes) else text.encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


A, B, C = ({"id": name, "subject": f"subject {name}"} for name in "abc")
ALL = ["a", "b", "c"]
LINES = [json.dumps(each) for each in (A, B, C)]
PRETTY = [json.dumps(each, indent=2) for each in (A, B, C)]

# documents in a text

WHOLE = {
    "list": f"[{', '.join(LINES)}]",
    "indented list": json.dumps([A, B, C], indent=1),
    "list with a line each": "[\n" + ",\n".join(LINES) + "\n]",
    "lines": "\n".join(LINES),
    "lines and empty ones": "\n\n" + "\r\n\r\n".join(LINES) + "\n\n",
    "lines with commas": ",\n".join(LINES) + ",",
    "one after another": "".join(LINES),
    "one after another, indented": "".join(PRETTY),
    "indented, on lines": "\n".join(PRETTY),
    "lines, then indented": "\n".join([LINES[0], *PRETTY[1:]]),
    "lists on lines": f"[{LINES[0]}]\n[{LINES[1]}, {LINES[2]}]",
    "sequence (RFC 7464)": "".join(f"\x1e{line}\n" for line in LINES),
    "CR": "\r".join(LINES),
    "Graph": json.dumps({"@odata.context": "x", "value": [A, B, C], "@odata.nextLink": "y"}),
    "Graph, indented": json.dumps({"value": [A, B, C]}, indent=2),
    "Graph, pages": "\n".join(json.dumps({"value": page}) for page in ([A, B], [C])),
    "messages": json.dumps({"messages": [A, B, C], "resultSizeEstimate": 3}),
    "thread": json.dumps({"id": "t", "historyId": "1", "messages": [A, B, C]}),
    "wrapped twice": json.dumps({"status": "ok", "data": {"emails": [A, B, C]}}),
    "n8n": json.dumps([{"json": each, "pairedItem": {"item": 0}} for each in (A, B, C)]),
    "JMAP": json.dumps({"methodResponses": [["Email/get", {"list": [A, B, C]}, "0"]]}),
    "by id": json.dumps({each["id"]: each for each in (A, B, C)}),
}


@pytest.mark.parametrize("text", WHOLE.values(), ids=WHOLE)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
def test_documents(tmp_path: Path, text: str, encoding: str) -> None:
    emails, problems = read_text(tmp_path, text.encode(encoding))
    assert ([email.id for email in emails], problems) == (ALL, [])


CUT = LINES[0][:-1].replace('"a"', '"x"')
BROKEN = {
    "first line": (f"{CUT}\n{LINES[1]}\n{LINES[2]}", "bc", "line 1"),
    "middle line": (f"{LINES[0]}\n{CUT}\n{LINES[2]}", "ac", "line 2"),
    "last line": (f"{LINES[0]}\n{LINES[1]}\n{CUT}", "ab", "line 3"),
    "cut within a text": (f"{LINES[0][:20]}\n{LINES[1]}\n{LINES[2]}", "bc", "line 1"),
    "cut after a colon": (f'{{"id":\n{LINES[1]}\n{LINES[2]}', "bc", "line 1"),
    "cut after a comma": (f'{{"id": "x",\n{LINES[1]}\n{LINES[2]}', "bc", "line 1"),
    "cut within a list": (f'{{"subject": "x", "to": ["d"\n{LINES[1]}', "b", "line 1"),
    "front is cut": (f'subject": "x"}}\n{LINES[1]}', "b", "line 1"),
    "no JSON between": (f"{LINES[0]}\n# a comment\n{LINES[1]}", "ab", "line 2"),
    "Python": (f"{LINES[0]}\n{{'id': 'x'}}\n{LINES[1]}", "ab", "line 2"),
    "in a list": (f"[{LINES[0]}, {CUT}, {LINES[2]}]", "ac", "line 1"),
    "in a list of lines": (f"[\n{LINES[0]},\n{CUT},\n{LINES[2]}\n]", "ac", "line 3"),
    "list is cut": (f"[{LINES[0]}, {LINES[1]}, {CUT}", "ab", "line 1"),
    "list is cut between": (f"[{LINES[0]}, {LINES[1]},", "ab", "line 1"),
    "page is cut": (f'{{"value": [{LINES[0]}, {LINES[1]}, {CUT}', "ab", "line 1"),
    "indented": ("\n".join([PRETTY[0], PRETTY[1][:-2], PRETTY[2]]), "ac", "line 5"),
    "deep": (f"{LINES[0]}\n{'[' * 100_000}\n{LINES[2]}", "ac", "line 2"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_costs_itself(tmp_path: Path, name: str) -> None:
    text, wanted, line = BROKEN[name]
    emails, problems = read_text(tmp_path, text)
    assert "".join(email.id for email in emails) == wanted
    assert len(problems) == 1
    assert f"{line} is not JSON (" in problems[0]


@pytest.mark.parametrize("text", ['{"id": ', "[", "{", "[[" * 100_000, '{"a":' * 100_000, "{bad}"])
def test_what_is_no_json_at_all(tmp_path: Path, text: str) -> None:
    emails, problems = read_text(tmp_path, text)
    assert emails == []
    assert len(problems) == 1
    assert re.search(r"is not JSON \(.+\), must be a list of mails, or one mail on", problems[0])


def test_many_problems_are_told_of_in_few_lines(tmp_path: Path) -> None:
    emails, problems = read_text(tmp_path, f"[{'1, ' * 5_000}{LINES[0]}]")
    assert [email.id for email in emails] == ["a"]
    assert len(problems) == 101
    assert "4900 more problems" in problems[-1]


def test_odd_values(tmp_path: Path) -> None:
    text = (
        '{"id": 1, "subject": "x", "cc": NaN, "labels": Infinity}\n'
        '{"id": 12345678901234567890123, "subject": "half \\ud83d"}\n'
        '{"id": 1.50, "subject": "a\ttab"}\n'
        '{"id": true, "subject": "NUL \\u0000"}\n' + '{"id": "n", "subject": ' + "9" * 100_000 + "}"
    )
    emails, problems = read_text(tmp_path, text)
    assert problems == []
    assert [email.id for email in emails] == ["1", "12345678901234567890123", "1.50", "true", "n"]
    assert [email.subject for email in emails[:4]] == ["x", "half ?", "a\ttab", "NUL "]
    emails_to_json(emails).decode()


def test_windows_letters(tmp_path: Path) -> None:
    text = '{"id": "a", "subject": "Größe"}\n'
    emails, problems = read_text(tmp_path, text.encode("cp1252") + text.encode())
    assert {email.subject for email in emails} == {"Größe"}
    assert (len(emails), problems) == (2, [])


# the fields of a mail

HTML = "<html><style>p{color:red}</style><div style='display:none'>unseen</div><p>Pay</p></html>"
GRAPH: dict[str, Any] = {
    "id": "AAMk",
    "internetMessageId": "<1@x>",
    "subject": "S",
    "bodyPreview": "Pay",
    "body": {"contentType": "html", "content": HTML},
    "from": {"emailAddress": {"name": "Ann", "address": "a@x"}},
    "sender": {"emailAddress": {"name": "Ann", "address": "a@x"}},
    "toRecipients": [{"emailAddress": {"name": "b@x", "address": "b@x"}},
                     {"emailAddress": {"name": "Cy", "address": "c@x"}}],
    "ccRecipients": [],
    "replyTo": [{"emailAddress": {"address": "r@x"}}],
    "receivedDateTime": "2025-07-01T10:00:00Z",
    "categories": ["Red", "Blue"],
    "isRead": False,
    "flag": {"flagStatus": "notFlagged"},
}  # fmt: skip
PARTS = {
    "mimeType": "multipart/alternative",
    "headers": [
        {"name": "From", "value": "Ann <a@x>"},
        {"name": "Subject", "value": "Größe"},
        {"name": "Content-Type", "value": 'multipart/alternative; boundary="b"'},
    ],
    "body": {"size": 0},
    "parts": [
        {"mimeType": "text/plain", "body": {"data": encoded("Größe zahlen")},
         "headers": [{"name": "Content-Type", "value": "text/plain; charset=iso-8859-1"},
                     {"name": "Content-Transfer-Encoding", "value": "quoted-printable"}]},
        {"mimeType": "text/html", "body": {"data": encoded("<p>Größe zahlen</p>")}},
    ],
}  # fmt: skip
GMAIL: dict[str, Any] = {
    "id": "18f",
    "threadId": "18f",
    "labelIds": ["INBOX", "UNREAD"],
    "snippet": "Gr&#246;&#223;e",
    "internalDate": "1751364000000",
    "payload": PARTS,
}
FIELDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "Graph": (
        GRAPH,
        {"id": "AAMk", "subject": "S", "body": "Pay", "sender": "Ann <a@x>", "hidden_text": True,
         "to": "b@x, Cy <c@x>", "cc": "", "reply_to": "r@x", "date": "2025-07-01T10:00:00Z",
         "labels": "Red, Blue"},
    ),
    "Graph, text": ({**GRAPH, "body": {"contentType": "text", "content": "a < b"}},
                    {"body": "a < b", "hidden_text": False}),
    "Graph, selected": ({"subject": "S", "bodyPreview": "Pay", "body": None}, {"body": "Pay"}),
    "Gmail": (
        GMAIL,
        {"id": "18f", "subject": "Größe", "body": "Größe zahlen", "sender": "Ann <a@x>",
         "labels": "INBOX, UNREAD", "date": "2025-07-01T10:00:00+00:00"},
    ),
    "Gmail, metadata": (
        {**GMAIL, "payload": {"headers": PARTS["headers"]}},
        {"subject": "Größe", "body": "Größe", "sender": "Ann <a@x>", "id": "18f"},
    ),
    "Gmail, raw": (
        {"id": "18f", "labelIds": ["INBOX"], "raw": encoded("From: a@x\nSubject: S\n\nhi ~~~?")},
        {"id": "18f", "subject": "S", "body": "hi ~~~?", "sender": "a@x", "labels": "INBOX"},
    ),
    "JMAP": (
        {"id": "M1", "from": [{"name": "Ann", "email": "a@x"}],
         "to": [{"name": None, "email": "b@x"}],
         "subject": "S", "receivedAt": "2025-07-01T10:00:00Z", "preview": "Pay",
         "keywords": {"$seen": True, "$flagged": False}, "textBody": [{"partId": "1"}],
         "htmlBody": [{"partId": "1"}], "bodyValues": {"1": {"value": "Pay it"}}},
        {"sender": "Ann <a@x>", "to": "b@x", "body": "Pay it", "labels": "$seen",
         "date": "2025-07-01T10:00:00Z"},
    ),
    "mailparser": (
        {"messageId": "<1@x>", "subject": "S", "text": "Pay it", "textAsHtml": "<p>Pay it</p>",
         "html": "<p>Pay it</p>", "date": "2025-07-01T10:00:00.000Z",
         "from": {"value": [{"address": "a@x", "name": "Ann"}], "text": "Ann", "html": "<span>"},
         "to": {"value": [{"address": "b@x", "name": ""}], "text": "b@x"}},
        {"id": "1@x", "body": "Pay it", "sender": "Ann <a@x>", "to": "b@x"},
    ),
    "mailparser, HTML alone": ({"textAsHtml": "<p>Pay</p>", "html": False}, {"body": "Pay"}),
    "n8n": (
        {"id": "1", "headers": {"subject": "Subject: S", "from": "From: a@x"},
         "html": "<p>Pay</p>", "text": ""},
        {"subject": "S", "sender": "a@x", "body": "Pay"},
    ),
    "IMAP": (
        {"Message-ID": "<1@x>", "From": "Ann <a@x>", "To": ["b@x", "c@x"], "Subject": "S",
         "Cc": "d@x", "Reply-To": "r@x", "Date": "Tue, 1 Jul 2025", "Body": "Pay"},
        {"id": "1@x", "sender": "Ann <a@x>", "to": "b@x, c@x", "subject": "S", "cc": "d@x",
         "reply_to": "r@x", "date": "Tue, 1 Jul 2025", "body": "Pay"},
    ),
    "Postmark": (
        {"MessageID": "1", "From": "a@x", "FromFull": {"Email": "a@x", "Name": "Ann"},
         "ToFull": [{"Email": "b@x", "Name": ""}], "Subject": "S", "TextBody": "Pay",
         "HtmlBody": "<p>Pay</p>"},
        {"id": "1", "sender": "a@x", "to": "b@x", "body": "Pay"},
    ),
    "Mailgun": (
        {"Message-Id": "<1@x>", "from": "a@x", "recipient": "b@x", "subject": "S",
         "body-plain": "Pay", "body-html": "<p>Pay</p>", "timestamp": 1751364000},
        {"to": "b@x", "body": "Pay", "date": "2025-07-01T10:00:00+00:00"},
    ),
    "envelope": (
        {"subject": "S", "from": [{"name": "Ann", "mailbox": "a", "host": "x"}]},
        {"sender": "Ann <a@x>"},
    ),
    "address to name": ({"subject": "S", "from": {"a@x": "Ann"}}, {"sender": "Ann <a@x>"}),
    "MongoDB": (
        {"_id": {"$oid": "65f"}, "subject": "S", "date": {"$date": "2025-07-01T10:00:00Z"}},
        {"date": "2025-07-01T10:00:00Z"},
    ),
    "Node's bytes": (
        {"uid": 7, "source": {"type": "Buffer", "data": list(b"Subject: S\n\nhi")}},
        {"subject": "S", "body": "hi"},
    ),
    "HTML in body": ({"body": HTML}, {"body": "Pay", "hidden_text": True}),
    "HTML in text": ({"text": "<div>Pay</div><br>now"}, {"body": "Pay\n\nnow"}),
    "no HTML": ({"body": "if a < b and <name> is c > d"}, {"body": "if a < b and <name> is c > d"}),
    "encoded words": ({"subject": "=?utf-8?B?R3LDtsOfZQ==?="}, {"subject": "Größe"}),
    "headers": (
        {"subject": "S", "headers": [{"name": "Reply-To", "value": "r@x"}, {"name": "Cc"}]},
        {"reply_to": "r@x", "cc": ""},
    ),
    "labels": (
        {"subject": "S", "labels": [{"id": "1", "name": "Red"}, {"name": "Blue"}]},
        {"labels": "Red, Blue"},
    ),
    "attachments": (
        {"subject": "S", "attachments": [{"filename": "a.exe", "contentType": "application/x"}]},
        {"body": "[attachment: a.exe, application/x]"},
    ),
    "nulls": (
        {"subject": "S", "body": None, "from": None, "to": [], "cc": "", "labels": {}},
        {"subject": "S", "body": "", "sender": "", "to": "", "labels": ""},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FIELDS)
def test_fields(name: str) -> None:
    found, wanted = FIELDS[name]
    email = email_from_json(json.loads(json.dumps(found)), "made up")
    assert {key: getattr(email, key) for key in wanted} == wanted


def test_what_the_receiving_server_says(tmp_path: Path) -> None:
    header = {"name": "Authentication-Results", "value": "mx.x; spf=fail smtp.mailfrom=a@x"}
    email = email_from_json({**GRAPH, "internetMessageHeaders": [header]}, "made up")
    assert "spf=fail" in email.authentication


REFUSED: dict[str, tuple[Any, str]] = {
    "bare ids": ({"messages": [{"id": "1", "threadId": "2"}] * 3}, "users.messages.get"),
    "a bare id": ({"id": "1", "threadId": "2"}, "users.messages.get"),
    "sender": ({"subject": "S", "from": {"foo": {"bar": 1}}}, "`from` that is an object (`foo`)"),
    "body": ({"subject": "S", "body": {"foo": "x"}}, "`body` that is an object (`foo`)"),
    "subject": ({"subject": {"x": []}, "body": "b"}, "`subject` that is an object (`x`)"),
    "date": ({"subject": "S", "date": {"y": {"z": 1}}}, "`date` that is an object"),
    "deep": ({"subject": json.loads("[" * 50 + "]" * 50)}, "nested too deeply"),
    "no base64": ({"raw": "A"}, "not base64"),
    "another shape": ({"name": "x", "version": 1}, "(it has `name`, `version`)"),
    "a page with an error": ({"error": {"code": 401}}, "neither `subject` nor `body`"),
}


def test_a_bare_id_among_mails_costs_itself(tmp_path: Path) -> None:
    bare = json.dumps({"id": "1", "threadId": "2"})
    emails, problems = read_text(tmp_path, f"{bare}\n{LINES[0]}\n[{bare}, {bare}]\n{LINES[1]}")
    assert ([email.id for email in emails], len(problems)) == (["a", "b"], 2)


@pytest.mark.parametrize("name", REFUSED)
def test_other_shapes_are_refused_by_name(tmp_path: Path, name: str) -> None:
    found, wanted = REFUSED[name]
    emails, problems = read_text(tmp_path, json.dumps(found))
    assert emails == []
    assert len(problems) == 1
    assert wanted in problems[0]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*GRAPH, *GMAIL, "data", "text", "$date", "x"]), inner)
    ),
    max_leaves=9,
)
KEYS = sorted({key for found, _ in FIELDS.values() for key in found})


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=6))
def test_any_object_is_read_or_refused(found: dict[str, Any]) -> None:
    try:
        email = email_from_json(found, "made up")
    except NotAMail:
        return
    assert email.subject or email.body
    assert isinstance(email.id, str)
    shown = json.loads(emails_to_json([email]))[0]
    assert not any("{'" in str(shown[key]) for key in ("from", "to", "date"))


@pytest.mark.parametrize("key", ["headers", "message-headers"])
def test_headers_as_pairs(tmp_path: Path, key: str) -> None:
    pairs = [["From", "a@x"], ["Subject", "S"], ["Received"], "x"]
    found, _ = read_text(tmp_path, json.dumps([{"id": "1", key: pairs, "body": "hi"}]))
    assert [(one.sender, one.subject) for one in found] == [("a@x", "S")]


def test_line_ends_within_a_text_of_a_list(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(
        '[{"id": "a", "body": "one\ntwo\tthree"},\n {"id": "b", "body": "x"}]'
    )
    problems: list[str] = []
    found = list(read([str(tmp_path / "a.json")], problems.append))
    assert ([(one.id, one.body) for one in found], problems) == (
        [("a", "one\ntwo\tthree"), ("b", "x")],
        [],
    )
