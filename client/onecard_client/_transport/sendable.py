"""Checks what a request can carry: options in JSON, ids in UTF-8, sizes that gRPC takes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from onecard_client._errors import InvalidRequest

# protobuf and gRPC count a message's bytes in a signed 32-bit integer, on both sides.
MAX_MESSAGE_BYTES = 2**31 - 1
# Names, shapes, ids and length prefixes around content and OPTIONS; about 200 bytes in fact.
ENVELOPE_BYTES = 4096
MAX_CONTENT_BYTES = MAX_MESSAGE_BYTES - ENVELOPE_BYTES
# Of what is wrong a message shows so much.
MAX_SHOWN_CHARS = 200


def options_to_json(options: Mapping[str, Any]) -> bytes:
    """OPTIONS. Names and values are the server's to judge; here they only have to be JSON."""
    for name, value in options.items():
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidRequest(
                f"option `{name}` is `{_shown(value)}`, must be something that JSON has ({error}); "
                "give a text, a number, True, False or None"
            ) from error
    return json.dumps(dict(options)).encode()


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except Exception:  # whatever a foreign class raises, and what is nested too deeply
        return f"of type {type(value).__name__}"
    return text if len(text) <= MAX_SHOWN_CHARS else text[:MAX_SHOWN_CHARS] + "..."


def verify_size(num_bytes: int) -> None:
    """Raises InvalidRequest if a request with `num_bytes` of content cannot be sent."""
    if num_bytes > MAX_CONTENT_BYTES:
        raise InvalidRequest(
            f"the request has {num_bytes} bytes, must have at most {MAX_CONTENT_BYTES} (a gRPC "
            "message ends at 2 GiB); compress audio, such as to FLAC or Opus, or split it"
        )


def verify_id(request_id: str) -> None:
    """Raises InvalidRequest if protobuf could not carry the id."""
    try:
        request_id.encode()
    except UnicodeEncodeError as error:
        raise InvalidRequest(
            f"the request id is `{_shown(request_id)}`, must be a text that UTF-8 has ({error}); "
            "leave it out, or give letters and digits"
        ) from error
