"""The one dial from outside of a plan: VRAM_GIB=, and --vram of the verbs that have it."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from build_scripts.errors import PlanError

VARIABLE = "VRAM_GIB"


def add_argument(parser: argparse.ArgumentParser) -> None:
    """The flag `--vram`."""
    parser.add_argument(
        "--vram", type=_gib, default=None, metavar="GIB",
        help=f"turn the one dial: the same plan on a card with so much; or {VARIABLE}=",
    )  # fmt: skip


def read(flag: float | None, environment: Mapping[str, str]) -> float | None:
    """GiB, or None where it is not turned; the flag wins. Raises PlanError."""
    text = environment.get(VARIABLE)
    if flag is not None or not text:
        return flag
    try:
        return _gib(text)
    except argparse.ArgumentTypeError as error:
        raise PlanError(f"{VARIABLE}: {error}") from None


def refuse(verb: str, why: str, environment: Mapping[str, str]) -> None:
    """Of a verb that it does not turn: nobody is to think so. Raises PlanError."""
    text = environment.get(VARIABLE)
    if text:
        raise PlanError(f"{VARIABLE} is `{text}`, which `{verb}` does not read: {why}")


def shown(vram_gib: float | None) -> str:
    """What to add to a command so that it means the same plan."""
    return "" if vram_gib is None else f" {VARIABLE}={vram_gib:g}"


def _gib(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"`{text}` must be a number of GiB") from None
    if not 1 <= value < 10_000:
        raise argparse.ArgumentTypeError(f"`{text}` must be a number of GiB, at least 1")
    return value
