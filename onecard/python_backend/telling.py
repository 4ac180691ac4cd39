"""Who is told of every request of a model at its end: a log of JSON lines, a collector of traces.

Nobody, unless the environment of the server asks for it (`LOG_FORMAT`,
`OTEL_EXPORTER_OTLP_ENDPOINT`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping

from onecard.metrics.record import Record
from onecard.metrics.traffic import Tell
from onecard.python_backend import traces

LOG_FORMAT = "LOG_FORMAT"
STDERR = 2


def tell(warn: Callable[[str], None], environment: Mapping[str, str] = os.environ) -> Tell | None:
    """What tells all who want to know; None where nobody does.

    Args:
        warn: told in words why traces that are asked for cannot be had.
    """
    tells: list[Tell] = []
    if environment.get(LOG_FORMAT) == "json":
        tells.append(write)
    if traces.endpoint(environment) and (exporter := traces.exporter(warn)) is not None:
        tells.append(exporter)
    if not tells:
        return None

    def all_of_them(record: Record) -> None:
        for one in tells:
            try:
                one(record)
            except Exception as error:  # the request's own end must not fail of it
                warn(f"a request could not be told of: {type(error).__name__}: {error}")

    return all_of_them


def write(record: Record) -> None:
    """One line, in one piece, where Triton's own log goes: others write there too."""
    os.write(STDERR, (json.dumps(record.line()) + "\n").encode())
