"""HTML of emails as text: what their readers see.

The parser is imported when the first HTML is read, because it comes with the extra `mail`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from onecard_client._mailbox.html.declared_charset import declared_charset
from onecard_client._mailbox.html.recognition import is_html_document, looks_like_html

if TYPE_CHECKING:
    from onecard_client._mailbox.html.markup import MAX_HTML_CHARACTERS
    from onecard_client._mailbox.html.text import HtmlText, html_to_text

__all__ = [
    "MAX_HTML_CHARACTERS",
    "HtmlText",
    "declared_charset",
    "html_to_text",
    "is_html_document",
    "looks_like_html",
]
_HOMES = {"MAX_HTML_CHARACTERS": "markup", "HtmlText": "text", "html_to_text": "text"}


def __getattr__(name: str) -> Any:
    """Imports what needs the parser."""
    if name not in _HOMES:
        raise AttributeError(f"module `{__name__}` has no attribute `{name}`")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
