"""Seeds that are texts: mails as they are sent, EMAILS, options, schemas."""

# ruff: noqa: E501 (they stand here as they are sent)

from __future__ import annotations

from typing import Any

_HTML = """<html><head><style>.x{display:none}p{color:#fff;background:white}</style></head><body>
<table><tr><td>Hello <b>there</b></td><td><a href="https://example.org/a?b=1">link</a></td></tr></table>
<div class="x" style="font-size:0">hidden</div><!-- note --><![if !mso]><p>text &amp; more</p><![endif]>
<ul><li>one<li>two</ul><pre> a\n  b</pre><blockquote>said<br>before</blockquote><img src="cid:1" alt="x">
</body></html>"""

MAILS = [
    b"From: A <a@example.org>\r\nTo: b@example.org\r\nSubject: =?utf-8?B?SMOkbGxv?=\r\nDate: Mon, 2 Mar "
    b"2026 10:00:00 +0100\r\nMessage-ID: <1@example.org>\r\n\r\nHello,\r\n\r\n> said before\r\n-- \r\nA\r\n",
    b"From: =?iso-8859-1?Q?J=F6rg?= <j@example.org>\nSubject: Two parts\nMIME-Version: 1.0\n"
    b'Content-Type: multipart/alternative; boundary="b1"\n\n--b1\nContent-Type: text/plain; '
    b"charset=windows-1252\nContent-Transfer-Encoding: quoted-printable\n\nGr=FC=DFe =E2=82=AC\n--b1\n"
    b"Content-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n"
    + _HTML.encode() + b"\n--b1--\n",
    b"From: c@example.org\nSubject: Nested\nMIME-Version: 1.0\nContent-Type: multipart/mixed; "
    b"boundary=out\n\n--out\nContent-Type: message/rfc822\n\nFrom: d@example.org\nSubject: Inner\n"
    b"Content-Type: multipart/signed; boundary=in\n\n--in\n\ntext\n--in\nContent-Type: application/"
    b"pgp-signature\n\n-----BEGIN PGP SIGNATURE-----\nAAAA\n-----END PGP SIGNATURE-----\n--in--\n--out\n"
    b'Content-Type: application/pdf; name*=utf-8\'\'r%C3%A9sum%C3%A9.pdf\nContent-Disposition: attachment\n'
    b"Content-Transfer-Encoding: base64\n\nJVBERi0xLjcK\n--out--\n",
    b"From: e@example.org\nSubject: Meeting\nContent-Type: text/calendar; method=REQUEST\n\n"
    b"BEGIN:VCALENDAR\nVERSION:2.0\nBEGIN:VEVENT\nDTSTART;TZID=Europe/Berlin:20260302T100000\n"
    b"RRULE:FREQ=WEEKLY;COUNT=5\nSUMMARY:Talk\nATTENDEE;CN=X:mailto:x@example.org\nEND:VEVENT\n"
    b"END:VCALENDAR\n",
    b"From: mailer-daemon@example.org\nSubject: Undelivered\nContent-Type: multipart/report; report-type="
    b"delivery-status; boundary=r\n\n--r\n\nIt failed\n--r\nContent-Type: message/delivery-status\n\n"
    b"Reporting-MTA: dns; x\n\nFinal-Recipient: rfc822; y@example.org\nAction: failed\nStatus: 5.1.1\n\n"
    b"--r--\n",
    b"From a@example.org Mon Mar  2 10:00:00 2026\nFrom: a@example.org\nSubject: In a mailbox\n\nOne\n\n"
    b"From b@example.org Mon Mar  2 11:00:00 2026\nFrom: b@example.org\nX-Gmail-Labels: Inbox,Important\n"
    b"Content-Length: 4\nSubject: Second\n\n>From\n",
    b"From: f@example.org\nSubject: HTML alone\nContent-Type: text/html\n\n" + _HTML.encode(),
    b'{"emails": [{"id": "1", "subject": "Hello", "body": "text"}, {"id": "2", "from": ["a", "b"]}]}',
]  # fmt: skip

EMAILS: list[Any] = [
    [{"id": "1", "subject": "Hello", "body": "Lunch on Friday? " * 20}],
    {"emails": [{"id": str(n), "from": ["A", "B"], "to": "c", "body": "a\n\n> b\n" * 9} for n in range(5)]},
    {
        "id": "x", "from": "a@example.org", "reply_to": "b", "to": ["c"], "cc": [], "date": "2026-03-02",
        "subject": "s", "authentication": "spf=pass", "labels": ["Inbox"], "hidden_text": True,
        "body": "One line without an end " * 900,
    },
]  # fmt: skip

OPTIONS: list[Any] = [
    {
        "max_tokens": 5, "min_tokens": 0, "temperature": 0.7, "top_p": 0.9, "top_k": 40, "seed": 1,
        "stop": ["\n", "END"], "stop_token_ids": [1, 2], "logit_bias": {"5": -100}, "n": 1,
        "presence_penalty": 0.1, "frequency_penalty": 0.2, "repetition_penalty": 1.1,
        "response_format": {"type": "json_object"}, "priority": "high", "stream": True,
        "stream_options": {"include_usage": True}, "logprobs": False, "tools": None, "user": "x",
    },
    {
        "language": "en", "task": "transcribe", "beam_size": 5, "temperature": [0, 0.2], "diarize": True,
        "min_speakers": 1, "max_speakers": 4, "initial_prompt": "Names: Ada.", "hotwords": "Ada",
        "vad_method": "pyannote", "vad_onset": 0.5, "chunk_size": 30, "suppress_tokens": [-1],
        "encoding": "pcm_s16le", "sample_rate": 16000, "channels": 1, "audio_track": 0, "strict": False,
    },
    {"categories": ["work", "home"], "fields": {"a": {"type": "string"}}, "instructions": "Be short."},
    [{"role": "system", "content": "Be kind."}, {"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
    {"messages": [{"role": "user", "content": "Hi", "name": "x"}, {"role": "assistant", "content": ""}]},
]  # fmt: skip

SCHEMAS: list[Any] = [
    {
        "type": "object", "required": ["a"], "additionalProperties": False,
        "properties": {
            "a": {"type": "integer", "minimum": 0, "exclusiveMaximum": 10, "multipleOf": 2},
            "b": {"type": "string", "pattern": "^[a-z]+(x|y){2,5}$", "minLength": 2, "maxLength": 9},
            "c": {"type": "array", "items": {"enum": [1, "a", None]}, "minItems": 1, "maxItems": 4},
            "d": {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]},
            "e": {"$ref": "#/$defs/node"}, "f": {"const": {"x": [1, 2]}},
        },
        "$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}},
    },
    {"allOf": [{"type": "object", "properties": {"a": {"type": "number"}}}, {"required": ["a"]}]},
    {"oneOf": [{"type": "string", "format": "uuid"}, {"type": "array", "prefixItems": [{"type": "boolean"}],
                                                      "items": False}]},
    {"type": ["string", "null"], "pattern": "(a|b|\\d{3,})*[^x-z]\\p{L}?$"},
    {"if": {"type": "string"}, "then": {"minLength": 1}, "else": {"not": {"type": "object"}}},
    {"type": "object", "patternProperties": {"^x-": {"type": "string"}}, "minProperties": 1,
     "propertyNames": {"maxLength": 5}, "dependentRequired": {"a": ["b"]}},
    True,
]  # fmt: skip
