"""`onecard-gateway keys`: adds, lists and removes keys. A key is shown once, when it is made."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path

from onecard_gateway.keys import file
from onecard_gateway.keys.key import DEFAULT_SCOPES, SCOPES, Key, KeysError, Limits, digest, made


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Exit codes: 0 done, 2 it cannot be; a flag that does not exist ends the program."""
    found = _parser(environment).parse_args(arguments)
    path = Path(found.keys_file)
    try:
        if found.verb == "add":
            _add(path, found)
        elif found.verb == "remove":
            _remove(path, found.name)
        else:
            _list(path)
    except KeysError as error:
        print(f"onecard-gateway keys: {error}", file=sys.stderr)
        return 2
    return 0


def _add(path: Path, options: argparse.Namespace) -> None:
    limits = Limits(options.requests_a_minute, options.streams, options.audio_seconds_a_day)
    secret = made()
    scopes = tuple(name.strip() for name in options.scopes.split(",") if name.strip())
    created = datetime.now(timezone.utc).date().isoformat()
    file.add(path, Key(options.name, digest(secret), scopes, limits, created))
    print(f"the key `{options.name}`, which is shown this once ({path}):", file=sys.stderr)
    print(secret)


def _remove(path: Path, name: str) -> None:
    if file.remove(path, name) == 0:
        print(
            "no key is left: gateways that run refuse everybody until there is one again, or "
            "they are started anew",
            file=sys.stderr,
        )


def _list(path: Path) -> None:
    keys = file.read(path)
    for key in keys:
        limits = " ".join(f"{name}={value:g}" for name, value in key.limits.given().items())
        print(f"{key.name:24} {key.created:10} {','.join(key.scopes):18} {limits}".rstrip())
    if not keys:
        print(f"there are no keys in `{path}`", file=sys.stderr)


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="onecard-gateway keys",
        description="Keys of those who may come in. Gateways that run read them again by "
        "themselves.",
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="add|list|remove")
    adding = verbs.add_parser("add", help="make a key, and show it once")
    adding.add_argument("name", metavar="NAME", help="who has it; the log says so")
    adding.add_argument(
        "--scopes",
        default=",".join(DEFAULT_SCOPES),
        help=f"some of {', '.join(SCOPES)}, with commas (default: %(default)s)",
    )
    adding.add_argument("--requests-a-minute", type=int, metavar="N", help="at most")
    adding.add_argument("--streams", type=int, metavar="N", help="at most, at a time")
    adding.add_argument("--audio-seconds-a-day", type=float, metavar="N", help="at most")
    removing = verbs.add_parser("remove", help="take a key away")
    removing.add_argument("name", metavar="NAME")
    listing = verbs.add_parser("list", help="show them, as far as they are kept")
    given = environment.get("GATEWAY_KEYS_FILE") or str(file.default_path(environment))
    for one in (adding, removing, listing):
        one.add_argument(
            "--keys-file", default=given, help="or GATEWAY_KEYS_FILE (default: %(default)s)"
        )
    return parser
