"""The charset that an HTML document declares within itself."""

from __future__ import annotations

import re

# How far browsers look (https://html.spec.whatwg.org/#prescan-a-byte-stream-to-determine-its-encoding).
# Mails have long comments of Outlook before it, hence more.
MAX_PRESCANNED_BYTES = 4096
_MARKS = {b"\xef\xbb\xbf": "utf-8", b"\xfe\xff": "utf-16be", b"\xff\xfe": "utf-16le"}
_COMMENT = re.compile(rb"<!--(?:-?>|.*?--!?>|.*\Z)", re.DOTALL)
_TAG = re.compile(rb"<(/?[a-z!?][^\s/>]*)((?:[^>\"']|\"[^\"]*\"|'[^']*')*)>", re.I)
_ATTRIBUTE = re.compile(
    rb"""([^\s/>=][^\s/>=]*)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>"'][^\s>]*)))?"""
)
_CHARSET = re.compile(r"charset\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s;\"']+))", re.I)
_XML = re.compile(rb"\s*<\?xml\s[^>]*?encoding\s*=\s*[\"']([A-Za-z0-9._-]+)[\"']")


def declared_charset(content: bytes) -> str | None:
    """The label of a byte order mark, a `<meta>` or an XML declaration, as it is written."""
    for mark, label in _MARKS.items():
        if content.startswith(mark):
            return label
    head = _COMMENT.sub(b"", content[:MAX_PRESCANNED_BYTES])
    for tag in _TAG.finditer(head):
        if tag[1].lower() == b"meta":
            label = _of_meta(tag[2])
            if label:
                return label
    xml = _XML.match(head)
    return xml[1].decode("ascii") if xml else None


def _of_meta(source: bytes) -> str | None:
    attributes: dict[str, str] = {}
    for name, *values in _ATTRIBUTE.findall(source):
        value = next((value for value in values if value), b"")
        attributes.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))
    label = attributes.get("charset", "").strip()
    if not label and attributes.get("http-equiv", "").strip().lower() == "content-type":
        match = _CHARSET.search(attributes.get("content", ""))
        label = next((group for group in match.groups() if group), "").strip() if match else ""
    return label or None
