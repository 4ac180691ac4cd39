"""Delivery reports: the address of a sent email, what became of the email, and why."""

from __future__ import annotations

import re
from typing import NamedTuple

MAX_REPORT_BYTES = 500_000
MAX_TEXT_BYTES = 5_000  # of a report without fields
MAX_RECIPIENTS = 10
MAX_FIELD_CHARACTERS = 1_000

# The second figure of a status code (RFC 3463, section 3).
_SUBJECTS = {
    "1": "the address", "2": "the mailbox", "3": "the mail system", "4": "the network or routing",
    "5": "the mail protocol", "6": "the content", "7": "security or policy",
}  # fmt: skip
_CLASSES = {"4": "temporary", "5": "permanent"}
_CODE = re.compile(r"([245])\.(\d{1,3})\.\d{1,3}")
_FIELD = re.compile(r"([A-Za-z][A-Za-z0-9-]*)[ \t]*:(.*)", re.DOTALL)
_LINE_END = re.compile(r"\r*\n|\r")
_SPACES = re.compile(r"\s+")
# Of utf-8-addr-xtext (RFC 6533, section 3).
_EMBEDDED = re.compile(r"\\x\{([0-9A-Fa-f]{2,6})\}")
# The types before a `;`: of an address, a server's name, a reason.
_TYPE = re.compile(r"[A-Za-z][A-Za-z0-9-]*[ \t]*;")
_RECIPIENTS = {"final-recipient", "original-recipient"}
_OF_DELIVERIES = {"reporting-mta", "status", "action", "diagnostic-code", "arrival-date"}
_COMPLAINT = {
    "original-mail-from": "Sent by", "original-rcpt-to": "Sent to",
    "source-ip": "From the server", "reported-domain": "Domain", "reported-uri": "Link",
    "auth-failure": "Failed", "authentication-results": "Authentication",
    "delivery-result": "Delivery", "reporting-mta": "Reported by",
}  # fmt: skip

_Fields = dict[str, str]


class _Report(NamedTuple):
    whole: _Fields  # of the mail
    recipients: list[_Fields]


def delivery_text(content: bytes) -> str:
    """Tells a delivery status, a read receipt or a complaint in a few lines; never raises.

    Args:
        content: of a message/delivery-status (RFC 3464) or message/global-delivery-status, a
            message/disposition-notification (RFC 8098) or a message/feedback-report (RFC 5965):
            the whole part below its own headers, transfer encoding undone. Python's email package
            makes messages out of the first kind; their bytes, joined, are what is wanted.
    """
    report = _report(content[:MAX_REPORT_BYTES])
    if "feedback-type" in report.whole:
        lines = _complaint(report)
    elif any("disposition" in fields for fields in (report.whole, *report.recipients)):
        lines = _receipts(report)
    else:
        lines = _deliveries(report)
        if not report.recipients and not report.whole.keys() & _OF_DELIVERIES:
            lines += [_decoded(content[:MAX_TEXT_BYTES]).strip()]  # a text that is called a report
    return "\n".join(lines).strip()


def _report(content: bytes) -> _Report:
    """Its groups of fields; not every program leaves a line empty between them."""
    groups: list[_Fields] = [{}]
    was_empty = False
    for name, value in _fields(content):
        group = groups[-1]
        is_first = len(groups) == 1 and not group.keys() & _RECIPIENTS
        is_next = name in _RECIPIENTS and (name in group or is_first)
        if name and group and (was_empty or is_next):
            groups.append(group := {})
        if name:
            group.setdefault(name, value)
        was_empty = not name
    whole: _Fields = {}
    recipients: list[_Fields] = []
    for group in groups:
        if group.keys() & _RECIPIENTS:
            recipients.append(group)
            continue
        about = recipients[-1] if recipients else whole
        about.update(group | about)
    return _Report(whole, recipients)


def _fields(content: bytes) -> list[tuple[str, str]]:
    """Names in small letters with values unfolded; an empty name for an empty line."""
    fields: list[tuple[str, str]] = []
    values: list[str] = []
    lines = _LINE_END.split(_decoded(content))
    if len(lines) > 4 and not any(line.strip() for line in lines[1::2]):
        lines = lines[::2]  # each line end was doubled on the way
    for line in lines:
        match = None if line[:1] in (" ", "\t") else _FIELD.match(line)
        if match:
            values = [match[2]]
            fields.append((match[1].lower(), ""))
        elif not line.strip():
            fields.append(("", ""))
            values = []
        elif values:  # folded, or broken where it should have been folded
            values.append(line)
        if fields and fields[-1][0] and len(values) < 100:
            fields[-1] = (fields[-1][0], _tidy(" ".join(values)))
    return fields


def _decoded(content: bytes) -> str:
    try:
        text = content.removeprefix(b"\xef\xbb\xbf").decode()
    except UnicodeDecodeError:
        text = content.decode("cp1252", "replace")
    return text.replace("\0", "")


def _tidy(value: str) -> str:
    value = _SPACES.sub(" ", value[: 2 * MAX_FIELD_CHARACTERS]).strip()
    return value if len(value) <= MAX_FIELD_CHARACTERS else f"{value[:MAX_FIELD_CHARACTERS]} [...]"


def _deliveries(report: _Report) -> list[str]:
    lines = ["[delivery report]"]
    lines += [_delivery(fields) for fields in report.recipients[:MAX_RECIPIENTS]]
    if not report.recipients:
        lines.append(_delivery(report.whole) if "status" in report.whole else "names no address")
    num_left_out = len(report.recipients) - MAX_RECIPIENTS
    if num_left_out > 0:
        lines.append(f"[{num_left_out} more addresses left out]")
    server = _untyped(report.whole.get("reporting-mta", ""))
    lines += [f"Reported by: {server}"] if server else []
    arrived = report.whole.get("arrival-date", "")
    lines += [f"Mail of: {arrived}"] if arrived else []
    return lines


def _delivery(fields: _Fields) -> str:
    said = " ".join(filter(None, (fields.get("action", "").lower(), _meaning(fields))))
    parts = [f"{_address(fields)}: {said or 'no word of what became of it'}"]
    reason = _untyped(fields.get("diagnostic-code", ""))
    parts += [f"reason: {reason}"] if reason else []
    server = _untyped(fields.get("remote-mta", ""))
    parts += [f"said by {server}"] if server else []
    until = fields.get("will-retry-until", "")
    parts += [f"tried until {until}"] if until else []
    return "; ".join(parts)


def _meaning(fields: _Fields) -> str:
    status = fields.get("status", "")
    code = _CODE.search(status)
    if not code:
        return f"({status})" if status else ""
    if code[1] == "2":
        return f"({status})"
    about = f", about {_SUBJECTS[code[2]]}" if code[2] in _SUBJECTS else ""
    return f"({status}: {_CLASSES[code[1]]} failure{about})"


def _address(fields: _Fields) -> str:
    final = _untyped(fields.get("final-recipient", ""))
    original = _untyped(fields.get("original-recipient", ""))
    if final and original and final.lower() != original.lower():
        return f"{final} (written to {original})"
    return final or original or "an address that is not named"


def _untyped(value: str) -> str:
    """Without `rfc822;` and the like, and with the characters that `\\x{...}` stands for."""
    match = _TYPE.match(value)
    return _EMBEDDED.sub(_character, value[match.end() :] if match else value).strip()


def _character(match: re.Match[str]) -> str:
    number = int(match[1], 16)
    is_one = 0x20 <= number < 0x110000 and not 0xD800 <= number < 0xE000
    return chr(number) if is_one else match[0]


def _receipts(report: _Report) -> list[str]:
    lines = ["[receipt]"]
    for fields in (report.recipients or [report.whole])[:MAX_RECIPIENTS]:
        disposition = fields.get("disposition", report.whole.get("disposition", ""))
        how, _, what = disposition.partition(";")
        by = " by a program" if "automatic" in how.lower() else ""
        lines.append(f"{_address(fields)}: {what.strip() or disposition or 'nothing said'}{by}")
    for name in ("error", "failure", "warning"):
        texts = {fields[name] for fields in (report.whole, *report.recipients) if name in fields}
        lines += [f"{name.capitalize()}: {text}" for text in sorted(texts)[:MAX_RECIPIENTS]]
    return lines


def _complaint(report: _Report) -> list[str]:
    fields = report.whole | (report.recipients[0] if report.recipients else {})
    rows = ((label, _untyped(fields.get(name, ""))) for name, label in _COMPLAINT.items())
    lines = [f"[report about a mail: {fields['feedback-type'] or 'of no kind'}]"]
    return lines + [f"{label}: {text}" for label, text in rows if text]
