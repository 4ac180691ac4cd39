"""The labelled mails: made up, with the category and the priority that a person would give them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from onecard_client import Email

FILE = Path(__file__).parent / "triage" / "mails.jsonl"


@dataclass(frozen=True)
class Labelled:
    email: Email
    category: str
    priority: str


def labelled() -> list[Labelled]:
    """All of them, in the file's order."""
    found = []
    for line in FILE.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        email = Email(
            row["id"], row["subject"], row["body"], row.get("from", ""), row.get("to", ""),
            row.get("date", ""),
        )  # fmt: skip
        found.append(Labelled(email, row["category"], row["priority"]))
    return found
