"""HTML of emails as text: what their readers see."""

from __future__ import annotations

from onecard_client._html.declared_charset import declared_charset
from onecard_client._html.markup import MAX_HTML_CHARACTERS
from onecard_client._html.recognition import looks_like_html
from onecard_client._html.text import HtmlText, html_to_text

__all__ = [
    "MAX_HTML_CHARACTERS",
    "HtmlText",
    "declared_charset",
    "html_to_text",
    "looks_like_html",
]
