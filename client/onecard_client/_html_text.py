"""The text of an HTML email; what reads it moved to `_html`."""

from __future__ import annotations

from onecard_client import _html
from onecard_client._html import MAX_HTML_CHARACTERS

__all__ = ["MAX_HTML_CHARACTERS", "html_to_text"]


def html_to_text(html: str) -> str:
    """Lines of text; blockquotes begin with `> `, list items with `- `. Never raises."""
    return _html.html_to_text(html).text
