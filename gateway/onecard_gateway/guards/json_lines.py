"""The log as JSON lines, with the fields that a server's other processes write."""

from __future__ import annotations

import datetime
import json
import logging
from typing import Any


class JsonLines(logging.Formatter):
    """One object for each record; a message that is an object itself is merged into it."""

    def format(self, record: logging.LogRecord) -> str:
        when = datetime.datetime.fromtimestamp(record.created, tz=datetime.timezone.utc)
        found: dict[str, Any] = {
            "time": when.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "source": "gateway",
            **_fields(record.getMessage()),
        }
        if record.exc_info:
            found["traceback"] = self.formatException(record.exc_info)
        return json.dumps(found)


def _fields(message: str) -> dict[str, Any]:
    if message.startswith("{"):
        try:
            found = json.loads(message)
        except ValueError:
            found = None
        if isinstance(found, dict):
            return found
    return {"message": message}
