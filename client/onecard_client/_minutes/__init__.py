"""Minutes as text for people: Markdown, HTML, JSON."""

from onecard_client._minutes.formats import FORMATS, answer_text

__all__ = ["FORMATS", "answer_text"]
