"""Emails in JSON: wrappers are removed, and each email is read by its own fields."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from onecard_client._mailbox.mime import NotAMail
from onecard_client._mailbox.sources.files import Tell
from onecard_client._mailbox.sources.json.fields import BARE, email_from_json, is_bare, is_mail
from onecard_client._mailbox.sources.json.text import Documents
from onecard_client._mailbox.sources.window import Window
from onecard_client.mail import Email

MAX_WRAPPERS = 4
# Of Microsoft Graph, Gmail, JMAP, and of APIs in general.
_LISTS = ("value", "messages", "emails", "mails", "list", "items", "data", "results")


def emails_in_json(window: Window, name: str, tell: Tell) -> Iterator[Email]:
    """The emails, each as soon as its document is read; what is none costs itself alone.

    Args:
        name: of the file, for ids (`name@number`) and reports.

    Raises:
        NotAMail: nothing in it is JSON.
    """
    number = 0
    for document in Documents(window, name, tell):
        found = list(_unwrapped(document, 0))
        if len(found) > 1 and all(is_bare(each) for each in found):
            tell.report(f"{name}: has {len(found)} mails, each of which {BARE}")
            number += len(found)
            continue
        for each in found:
            number += 1
            try:
                yield email_from_json(each, f"{name}@{number}")
            except NotAMail as error:
                tell.report(f"{name}: mail {number} {error}")
            except RecursionError:
                tell.report(f"{name}: mail {number} is nested too deeply, must be an object")


def _unwrapped(document: Any, depth: int) -> Iterator[Any]:
    """The elements of a list, of a page of results, or the document itself."""
    inner = _inner(document) if depth < MAX_WRAPPERS else None
    if inner is None:
        yield document
    else:
        for each in inner:
            yield from _unwrapped(each, depth + 1)


def _inner(document: Any) -> list[Any] | None:
    """The items inside a document that wraps emails; None for an email and anything else."""
    if isinstance(document, list):
        # JMAP: ["Email/get", {...}, "call"]
        is_call = len(document) == 3 and isinstance(document[0], str)
        return [document[1]] if is_call and isinstance(document[1], dict) else document
    if not isinstance(document, dict) or is_mail(document):
        return None
    if isinstance(document.get("methodResponses"), list):
        return list(document["methodResponses"])
    for name in _LISTS:
        if isinstance(document.get(name), list):
            return list(document[name])
    containers = [value for value in document.values() if isinstance(value, list | dict)]
    if len(containers) == 1 and _has_mails(containers[0]):
        return [containers[0]]
    values = list(document.values())
    return values if values and all(map(is_mail, values)) else None


def _has_mails(document: Any, depth: int = 0) -> bool:
    """Some container within is a mail, or a list that APIs name so."""
    if is_mail(document):
        return True
    if depth > MAX_WRAPPERS or not isinstance(document, list | dict):
        return False
    if isinstance(document, dict) and any(isinstance(document.get(name), list) for name in _LISTS):
        return True
    inner = document[:1] if isinstance(document, list) else list(document.values())[:20]
    return any(_has_mails(each, depth + 1) for each in inner)
