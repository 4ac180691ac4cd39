"""Minutes and answers as Markdown, HTML and JSON. What the model wrote is shown as text alone."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from onecard_client.minutes import ActionItem, Answer, Item, Minutes, Quote

# What Markdown would take for markup, or for HTML.
_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|~])")
# Headings of what there is, in order.
_PLACES = {
    "decisions": "Decisions",
    "action_items": "Action items",
    "topics": "Topics",
    "open_questions": "Open questions",
    "quotes": "Quotes",
}
_STYLE = "body{font:16px/1.5 sans-serif;max-width:46em;margin:2em auto;padding:0 1em}"


def markdown(minutes: Minutes) -> str:
    """Headings and lists; each item ends with from when to when it was said."""
    parts = [f"# {_escaped(minutes.title or 'Minutes')}", _escaped(minutes.summary)]
    for place, heading in _PLACES.items():
        items = getattr(minutes, place)
        if items:
            lines = [f"- {_escaped(_said(item))} ({_when(item)})" for item in items]
            parts.append("\n".join([f"## {heading}", "", *lines]))
    if minutes.document is not None:
        text = json.dumps(minutes.document, ensure_ascii=False, indent=2)
        fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
        parts.append(f"## Document\n\n{fence}json\n{text}\n{fence}")
    return "\n\n".join(part for part in parts if part) + "\n"


def page(minutes: Minutes) -> str:
    """One HTML page without scripts; times have `data-start` and `data-segments`."""
    parts = [f"<h1>{html.escape(minutes.title or 'Minutes')}</h1>"]
    parts.append(f"<p>{html.escape(minutes.summary)}</p>")
    for place, heading in _PLACES.items():
        items = getattr(minutes, place)
        if items:
            parts += [f"<h2>{heading}</h2>", "<ul>", *map(_listed, items), "</ul>"]
    if minutes.document is not None:
        text = json.dumps(minutes.document, ensure_ascii=False, indent=2)
        parts += ["<h2>Document</h2>", f"<pre>{html.escape(text)}</pre>"]
    title = html.escape(minutes.title or "Minutes")
    language = html.escape(minutes.language or "en", quote=True)
    head = f'<meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
    body = "\n".join(parts)
    lines = ("<!doctype html>", f'<html lang="{language}">', f"<head>{head}</head>", "<body>")
    return "\n".join([*lines, body, "</body>", "</html>", ""])


def document(minutes: Minutes) -> str:
    """The minutes as the server sent them, with the account."""
    return json.dumps(minutes.to_dict(), ensure_ascii=False, indent=2) + "\n"


FORMATS: Mapping[str, Callable[[Minutes], str]] = {"md": markdown, "html": page, "json": document}


def answer_text(answer: Answer) -> str:
    """The answer and when it was said, for a terminal."""
    if answer.answer is None or answer.start is None or answer.end is None:
        return "The recording does not say.\n"
    cited = _cited(answer.start, answer.end, answer.segments)
    return f"{answer.answer} ({cited})\n"


def _said(item: Item | ActionItem | Quote) -> str:
    if isinstance(item, ActionItem):
        who = f"{item.who}: " if item.who else ""
        due = f", by {item.due}" if item.due else ""
        urgent = "" if item.priority == "normal" else f" [{item.priority}]"
        return f"{who}{item.what}{due}{urgent}"
    if isinstance(item, Quote):
        return f"“{item.text}”" + (f" — {item.speaker}" if item.speaker else "")
    return item.text


def _listed(item: Any) -> str:
    segments = ",".join(map(str, item.segments))
    when = f'<time data-start="{item.start}" data-segments="{segments}">{_when(item)}</time>'
    return f"<li>{html.escape(_said(item))} ({when})</li>"


def _when(item: Any) -> str:
    return _cited(item.start, item.end, item.segments)


def _cited(start: float, end: float, segments: Sequence[int]) -> str:
    numbers = ", ".join(map(str, segments[:8])) + (", …" if len(segments) > 8 else "")
    return f"{_clock(start)}-{_clock(end)}, segment {numbers}"


def _clock(seconds: float) -> str:
    whole = int(seconds)
    hours, rest = divmod(whole, 3600)
    minutes = f"{rest // 60:02}:{rest % 60:02}"
    return f"{hours}:{minutes}" if hours else minutes


def _escaped(text: str) -> str:
    return _MARKUP.sub(r"\\\1", text)
