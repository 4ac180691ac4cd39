"""The receiving server's findings about an email's sender, in a few words (RFC 8601)."""

from __future__ import annotations

import re

from onecard_client._mailbox.mime.headers.words import header_text
from onecard_client._mailbox.mime.structure import Part

MAX_RESULTS = 12

# Comments, and texts in quotes, which the sender may have written.
_COMMENT = re.compile(r"\([^()]*\)|\"[^\"]*\"")
_METHODS = "spf|dkim|dmarc|arc|compauth|auth|iprev|dkim-adsp|sender-id|bimi"
_RESULT = re.compile(rf"(?:^|[;\s])({_METHODS})\s*(?:/\s*1)?\s*=\s*([a-z_]+)", re.I)
_HEADERS = (
    "authentication-results",
    "arc-authentication-results",
    "x-original-authentication-results",
)


def authentication(part: Part) -> str:
    """Such as `spf=fail dkim=none dmarc=fail`; empty if no server says anything.

    Only the topmost header counts, for each server puts its own above what it was sent, and those
    of the same server below it up to the next hop: some write one for each method.
    """
    for name in _HEADERS:
        results = _results(part, name)
        if results:
            return " ".join(results[:MAX_RESULTS])
    received = re.match(r"[a-z]+", header_text(part.raw("received-spf")).lower())
    return f"spf={received[0]}" if received else ""


def _results(part: Part, wanted: str) -> list[str]:
    results: list[str] = []
    server = None
    for name, value in part.raw_items():
        if name == "received" and server is not None:
            break
        if name != wanted:
            continue
        text = _without_comments(header_text(value))
        said_by = re.sub(r"^\s*i=\d+;", "", text).split(";")[0].strip().lower()
        if server is None:
            server = said_by
        elif said_by != server:
            break
        methods = {result.split("=")[0] for result in results}
        found = [f"{method}={result}".lower() for method, result in _RESULT.findall(text)]
        results += [each for each in found if each.split("=")[0] not in methods]
    return list(dict.fromkeys(results))


def _without_comments(text: str) -> str:
    for _ in range(3):  # comments in comments
        text = _COMMENT.sub(" ", text)
    return text
