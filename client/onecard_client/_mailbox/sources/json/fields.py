"""An email from a JSON object, by the field names of mail APIs and exports."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from onecard_client._mailbox.html import looks_like_html
from onecard_client._mailbox.mime import NotAMail, email_from_bytes, sound
from onecard_client._mailbox.sources.json.gmail import decoded_base64, mail_of_payload
from onecard_client._mailbox.sources.json.values import (
    addresses_of,
    date_of,
    labels_of,
    plain_key,
    plain_keys,
    refused,
    text_of,
    unescaped,
)
from onecard_client.mail import Email

_IDS = ("id", "internetmessageid", "messageid", "emailid", "uid", "$oid")
_DATES = ("date", "receiveddatetime", "receivedat", "sentdatetime", "sentat", "internaldate",
          "datetime", "timestamp", "received", "createdat")  # fmt: skip
_LABELS = ("labels", "labelids", "categories", "keywords", "tags", "gmaillabels")
_ADDRESSES = {
    "sender": ("from", "fromfull", "sender", "fromaddress", "fromemail"),
    "to": ("to", "torecipients", "tofull", "recipients", "recipient", "toaddress"),
    "cc": ("cc", "ccrecipients", "ccfull", "ccaddress"),
    "reply_to": ("replyto", "replytoaddress"),
}
_TEXTS = ("body", "uniquebody", "text", "textplain", "plain", "plaintext", "bodyplain", "bodytext",
          "textbody", "content", "message")  # fmt: skip
_HTMLS = ("html", "htmlbody", "bodyhtml", "texthtml", "htmlcontent")
_PREVIEWS = ("bodypreview", "snippet", "preview")
_WHOLE = ("raw", "rfc822", "source", "mime", "bodymime", "rawemail", "rawmessage", "eml")
_WRAPPERS = ("json", "message", "email", "mail", "data", "source")
_HEADER_LISTS = ("headers", "internetmessageheaders", "headerlines", "messageheaders")
_MAIL_KEYS = {"subject", "payload", "textashtml", *_TEXTS, *_HTMLS, *_PREVIEWS, *_WHOLE}
_BARE_KEYS = {"id", "threadid", "historyid"}
BARE = (
    "has ids alone (`id`, `threadId`), as Gmail's users.messages.list gives them, must have its "
    "content; fetch it with users.messages.get (`format=full` or `raw`)"
)
_RAW_MAIL = re.compile(r"(?:>?From |[!-9;-~]+[ \t]*:)[^\n]*\n")
_ENCODED_WORD = re.compile(r"=\?[^?\s]+\?[bq]\?", re.IGNORECASE)


def is_mail(document: Any) -> bool:
    """An object that has one of the fields that make a mail."""
    if not isinstance(document, dict):
        return False
    plain = plain_keys(document)
    if not any(_has(plain.get(key)) for key in _MAIL_KEYS & plain.keys()):
        return False
    lists = ("content", "message", "data", "source")  # which may as well hold the mails
    return any(_has(plain.get(key)) for key in _MAIL_KEYS - set(lists)) or any(
        isinstance(plain.get(key), str) or _is_buffer(plain.get(key)) for key in lists
    )


def is_bare(entry: Any) -> bool:
    """An entry of Gmail's list of messages, which has no content."""
    return isinstance(entry, dict) and "threadId" in entry and _plain_names(entry) <= _BARE_KEYS


def email_from_json(document: Any, made_up_id: str) -> Email:
    """The email that an object is, or holds.

    Args:
        document: with the fields of EMAILS, of Microsoft Graph, Gmail, JMAP, mailparser and others;
            keys that are not a mail's are left out.
        made_up_id: its id if it has none.

    Raises:
        NotAMail: it is no object, has nothing to read, or a shape that is not known.
    """
    if isinstance(document, str) and _RAW_MAIL.match(document):
        return email_from_bytes(sound(document).encode(), made_up_id)
    if not isinstance(document, dict):
        raise NotAMail(f"is of type `{type(document).__name__}`, must be an object")
    plain = plain_keys(document)
    if not is_mail(document):
        for key in _WRAPPERS:
            if isinstance(plain.get(key), dict) and plain[key]:
                return email_from_json(plain[key], made_up_id)
    if is_bare(document):
        raise NotAMail(BARE)
    raw = _raw(plain)
    return _overlaid(raw, plain, made_up_id) if raw else _from_fields(document, plain, made_up_id)


def _has(value: Any) -> bool:
    return value is not False and value not in (None, "", [], {})


def _is_buffer(value: Any) -> bool:
    """Bytes as Node writes them."""
    return isinstance(value, dict) and isinstance(value.get("data"), list) and len(value) == 2


def _plain_names(document: dict[str, Any]) -> set[str]:
    return {plain_key(key) for key in document}


def _raw(plain: dict[str, Any]) -> bytes:
    """The mail as it was sent, where the object has it."""
    payload = plain.get("payload")
    if isinstance(payload, dict) and ("body" in payload or "parts" in payload):
        return mail_of_payload(payload)
    for key in _WHOLE:
        value = plain.get(key)
        if isinstance(value, dict) and _is_buffer(value):
            value = _numbers_to_base64(value["data"])
        if isinstance(value, str) and value.strip():
            if _RAW_MAIL.match(value):
                return sound(value).encode()
            return decoded_base64(value)
    return b""


def _numbers_to_base64(numbers: list[Any]) -> str:
    if not all(isinstance(each, int) and 0 <= each < 256 for each in numbers):
        raise NotAMail("has a `data` that are no bytes, must be numbers below 256")
    return base64.b64encode(bytes(numbers)).decode()


def _overlaid(raw: bytes, plain: dict[str, Any], made_up_id: str) -> Email:
    """The mail, with what the mailbox says of it."""
    email = email_from_bytes(raw, made_up_id)
    if not email.subject and not _has_text(email.body):
        email = replace(email, body=_preview(plain) or email.body)
    return replace(
        email,
        id=_first(plain, _IDS[:1]) or email.id,
        date=email.date or date_of(_value(plain, _DATES)),
        labels=labels_of(_value(plain, _LABELS)) or email.labels,
    )


def _has_text(body: str) -> bool:
    return bool(body.strip()) and body != "[empty mail]"


def _from_fields(document: dict[str, Any], plain: dict[str, Any], made_up_id: str) -> Email:
    headers = _headers(plain)
    payload = plain.get("payload")
    if isinstance(payload, dict):
        headers = {**_headers(plain_keys(payload)), **headers}
    addresses = {
        field: _decoded_words(addresses_of(_value(plain, keys) or headers.get(keys[0]), keys[0]))
        for field, keys in _ADDRESSES.items()
    }
    subject = _decoded_words(text_of(plain.get("subject") or headers.get("subject"), "subject"))
    text, markup = _texts(plain)
    authentication = text_of(headers.get("authenticationresults"), "authentication-results")
    shown = _shown(text, markup, authentication) if text or markup or authentication else None
    has_body = shown is not None and bool(text or markup)
    if not subject and not has_body:
        keys = ", ".join(f"`{sound(key)[:40]}`" for key in list(document)[:6])
        raise NotAMail(
            f"has neither `subject` nor `body`, must have one of them (it has {keys or 'nothing'})"
        )
    attached = _attached(plain)
    body = "\n\n".join(piece for piece in (shown.body if shown else "", attached) if piece)
    return Email(
        id=_first(plain, _IDS) or _first(headers, _IDS) or made_up_id,
        subject=subject,
        body=body or ("" if subject else "[empty mail]"),
        date=date_of(_value(plain, _DATES) or headers.get("date")),
        labels=labels_of(_value(plain, _LABELS)),
        authentication=shown.authentication if shown else "",
        hidden_text=shown.hidden_text if shown else False,
        **addresses,
    )


def _value(plain: dict[str, Any], keys: tuple[str, ...]) -> Any:
    return next((plain[key] for key in keys if _has(plain.get(key))), None)


def _first(plain: dict[str, Any], keys: tuple[str, ...]) -> str:
    for key in keys:
        text = text_of(plain.get(key), key)
        if text:
            return text if key == "id" else text.strip("<> ")
    return ""


def _headers(plain: dict[str, Any]) -> dict[str, str]:
    """Headers in addition to the fields, as an object or as a list of names and values."""
    found: dict[str, str] = {}
    for name, value in _header_pairs(_value(plain, _HEADER_LISTS)):
        text = value if isinstance(value, str) else ""
        if isinstance(value, list) and value and isinstance(value[0], str):
            text = value[0]
        # n8n has `Subject: ...` as the value of `subject`
        text = re.sub(rf"\A{re.escape(name)}[ \t]*:[ \t]*", "", text, flags=re.IGNORECASE)
        found.setdefault(plain_key(name), " ".join(sound(text).split()))
    return found


def _header_pairs(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from ((name, each) for name, each in value.items() if name)
    for each in value if isinstance(value, list) else []:
        if isinstance(each, dict):
            plain = plain_keys(each)
            name = plain.get("name") or plain.get("key")
            if isinstance(name, str) and name:
                yield name, plain.get("value") or plain.get("line")
        elif isinstance(each, list) and len(each) == 2 and isinstance(each[0], str):
            yield each[0], each[1]


def _texts(plain: dict[str, Any]) -> tuple[str, str]:
    """The plain text and the HTML of a body; what is called text may be HTML."""
    text = markup = ""
    for key in (*_TEXTS, *_HTMLS):
        value = plain.get(key)
        if not _has(value) or (key in _HTMLS and markup) or (key in _TEXTS and text):
            continue
        one, other = _text_and_markup(value, key, plain)
        text, markup = text or one, markup or other
    if not text and not markup:
        markup = text_of(plain.get("textashtml"), "textAsHtml")
    if not text.strip() and not markup.strip():
        text = _preview(plain)
    return text, markup


def _text_and_markup(value: Any, key: str, plain: dict[str, Any]) -> tuple[str, str]:
    if isinstance(value, dict):
        inner = plain_keys(value)
        if "contenttype" in inner or "content" in inner:  # Microsoft Graph
            content = text_of(inner.get("content"), key)
            is_html = "html" in text_of(inner.get("contenttype"), key).lower()
            return ("", content) if is_html or looks_like_html(content) else (content, "")
        if not any(_has(inner.get(each)) for each in (*_TEXTS, *_HTMLS)):
            raise NotAMail(refused(key, value, "a text"))
        return _texts(inner)
    if isinstance(value, list) and any(isinstance(each, dict) for each in value):
        value = _parts_text(value, key, plain)
    content = text_of(value, key)
    kind = text_of(_value(plain, ("contenttype", "bodytype", "mimetype", "ishtml")), key).lower()
    is_html = key in _HTMLS or (key == "body" and ("html" in kind or kind == "true"))
    return ("", content) if is_html or looks_like_html(content) else (content, "")


def _parts_text(parts: list[Any], key: str, plain: dict[str, Any]) -> str:
    """JMAP's bodies, whose texts stand in `bodyValues`, and lists of parts that have their own."""
    values = plain.get("bodyvalues")
    texts = []
    for part in parts:
        found = values.get(str(part.get("partId"))) if isinstance(values, dict) and isinstance(
            part, dict
        ) else None  # fmt: skip
        texts.append(text_of(found if found is not None else part, key))
    return "\n\n".join(texts)


def _preview(plain: dict[str, Any]) -> str:
    return unescaped(text_of(_value(plain, _PREVIEWS), "snippet"))


def _shown(text: str, markup: str, authentication: str) -> Email:
    """The visible text of a text and its HTML, as in an email that has both."""
    parts = [("plain", text)] if text else []
    parts += [("html", markup)] if markup else []
    lines = ["Subject: -", "MIME-Version: 1.0"]
    if authentication:
        lines.append(f"Authentication-Results: {authentication}")
    if len(parts) != 1:
        lines += ['Content-Type: multipart/alternative; boundary="="', ""]
    for kind, content in parts:
        lines += ["--="] if len(parts) > 1 else []
        lines += [f"Content-Type: text/{kind}; charset=utf-8", "Content-Transfer-Encoding: base64"]
        lines += ["", base64.encodebytes(sound(content).encode()).decode()]
    lines += ["--=--", ""] if len(parts) != 1 else []
    return email_from_bytes("\n".join(lines).encode(), "")


def _decoded_words(text: str) -> str:
    if not _ENCODED_WORD.search(text):
        return text
    line = " ".join(text.split())
    return email_from_bytes(f"Subject: {line}\n\n".encode(), "").subject or text


def _attached(plain: dict[str, Any]) -> str:
    """The names of what is attached, as for other mails."""
    value = plain.get("attachments")
    lines = []
    for each in value if isinstance(value, list) else []:
        if isinstance(each, dict):
            inner = plain_keys(each)
            name = _value(inner, ("filename", "name"))
            kind = _value(inner, ("contenttype", "mimetype", "type"))
            facts = [fact for fact in (name, kind) if isinstance(fact, str)]
            lines.append(f"[attachment: {' '.join(sound(', '.join(facts)).split())}]")
    return "\n".join(lines[:100])
