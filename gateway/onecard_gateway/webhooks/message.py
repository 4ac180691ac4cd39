"""A signed message, as Standard Webhooks (standardwebhooks.com) and OpenAI's clients read it."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import ssl
from collections.abc import Mapping
from functools import cache
from typing import Any

import h11

from onecard_gateway.webhooks.hosts import Hosts, Target

TIMEOUT_S = 10.0  # for everything, from the name to the status
MIN_SECRET_LETTERS = 24
_PREFIX = "whsec_"
_PIECE_BYTES = 2**14


class SecretError(ValueError):
    """A secret to sign with is none."""


def key(secret: str) -> bytes:
    """The key in a secret: base64 behind `whsec_`, else the text itself.

    Raises SecretError for one that is too short to be a secret, or no base64.
    """
    if len(secret) < MIN_SECRET_LETTERS:
        raise SecretError(
            f"the secret of webhooks has {len(secret)} letters, must have {MIN_SECRET_LETTERS} or "
            "more; make one with `openssl rand -base64 32`"
        )
    if not secret.startswith(_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error as error:
        raise SecretError(
            f"the secret of webhooks begins with `{_PREFIX}` and goes on without base64; correct "
            "it, or leave the beginning out"
        ) from error


def headers(secret_key: bytes, message_id: str, time_s: int, body: bytes) -> Mapping[str, str]:
    """What a receiver verifies a body by."""
    signed = f"{message_id}.{time_s}.".encode() + body
    signature = base64.b64encode(hmac.new(secret_key, signed, hashlib.sha256).digest()).decode()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(time_s),
        "webhook-signature": f"v1,{signature}",
    }


async def send(hosts: Hosts, target: Target, told: Mapping[str, str], body: bytes) -> int:
    """The status of the answer to a POST; redirections are not followed.

    Raises:
        NotAllowed: see `Hosts.resolved`.
        TimeoutError: it took more than `TIMEOUT_S`.
        OSError: it cannot be reached, or its certificate is not its own.
        h11.RemoteProtocolError: what it answers is not HTTP.
    """
    return await asyncio.wait_for(_sent(hosts, target, told, body), TIMEOUT_S)


async def _sent(hosts: Hosts, target: Target, told: Mapping[str, str], body: bytes) -> int:
    address = await hosts.resolved(target)
    tls: dict[str, Any] = {}
    if target.is_secure:
        tls = {"ssl": _context(), "server_hostname": target.host}
    reader, writer = await asyncio.open_connection(address, target.port, **tls)
    try:
        connection = h11.Connection(h11.CLIENT)
        for event in _request(target, told, body):
            writer.write(connection.send(event) or b"")
        await writer.drain()
        while True:
            answer = connection.next_event()
            if isinstance(answer, h11.Response):
                return answer.status_code
            if isinstance(answer, h11.ConnectionClosed):
                raise ConnectionResetError("it was closed without an answer")
            if answer is h11.NEED_DATA:
                connection.receive_data(await reader.read(_PIECE_BYTES))
    finally:
        writer.close()


@cache
def _context() -> ssl.SSLContext:
    """Made once: it reads every root certificate of the machine."""
    return ssl.create_default_context()


def _request(target: Target, told: Mapping[str, str], body: bytes) -> list[h11.Event]:
    host = f"[{target.host}]" if ":" in target.host else target.host
    fields = {
        "host": f"{host}:{target.port}",
        "content-type": "application/json",
        "content-length": str(len(body)),
        "user-agent": "onecard-gateway",
        "connection": "close",
        **told,
    }
    request = h11.Request(method="POST", target=target.path, headers=list(fields.items()))
    return [request, h11.Data(data=body), h11.EndOfMessage()]
