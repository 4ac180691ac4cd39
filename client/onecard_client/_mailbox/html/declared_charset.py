"""The charset that an HTML document declares within itself."""

from __future__ import annotations

import re

from onecard_client._mailbox.html.markup import tag_at

# How far browsers look (https://html.spec.whatwg.org/#prescan-a-byte-stream-to-determine-its-encoding).
# Mails have long comments of Outlook before it, hence more.
MAX_PRESCANNED_BYTES = 4096
_MARKS = {b"\xef\xbb\xbf": "utf-8", b"\xfe\xff": "utf-16be", b"\xff\xfe": "utf-16le"}
_COMMENT = re.compile(r"<!--(?:-?>|.*?--!?>|.*\Z)", re.DOTALL)
_NAME = re.compile("</?[a-z]", re.I)
_CHARSET = re.compile(r"charset\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s;\"']+))", re.I)
_XML = re.compile(r"\s*<\?xml\s[^>]*?encoding\s*=\s*[\"']([A-Za-z0-9._-]+)[\"']")


def declared_charset(content: bytes) -> str | None:
    """The label of a byte order mark, a `<meta>` or an XML declaration, as it is written."""
    for mark, label in _MARKS.items():
        if content.startswith(mark):
            return label
    head = _COMMENT.sub("", content[:MAX_PRESCANNED_BYTES].decode("latin-1"))
    start = 0
    while match := _NAME.search(head, start):
        tag = tag_at(head, match.start() + 1)
        if tag is None:
            break
        declared = _meta_charset(tag.attributes) if tag.name == "meta" and not tag.is_end else None
        if declared:
            return declared
        start = tag.end
    xml = _XML.match(head)
    return xml[1] if xml else None


def _meta_charset(attributes: dict[str, str]) -> str | None:
    label = attributes.get("charset", "").strip()
    if not label and attributes.get("http-equiv", "").strip().lower() == "content-type":
        match = _CHARSET.search(attributes.get("content", ""))
        label = next((group for group in match.groups() if group), "").strip() if match else ""
    return label or None
