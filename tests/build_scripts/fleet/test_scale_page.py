"""The tables of docs/running/scale.md are what the formulas say."""

from __future__ import annotations

import pytest

from build_scripts import paths
from build_scripts.fleet import helm
from build_scripts.fleet.replicas import for_users
from build_scripts.plans import plan
from build_scripts.roofline import bounds, capacity

PAGE = (paths.ROOT / "docs" / "running" / "scale.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["rtx3090", "rtx4090", "rtx5090", "a10", "a40"])
def test_a_day_and_the_cards_for_users(name: str) -> None:
    chosen = plan.load(name)
    held = capacity.holdings(chosen, bounds.bounds(chosen))
    audio, mails, answers = (one.most for one in held)
    tokens = answers * 24 * chosen.chat.max_tokens / 1e6
    day = (f"{audio / 60 * 24:,.0f}", f"{mails * 24:,.0f}", f"{answers * 24:,.0f}")
    assert f"| {name} | {' | '.join(day)} | {tokens:.1f} million |" in PAGE
    by_a_user = [one.by_a_user for one in held]
    cards = [for_users(users, by_a_user, (audio, mails, answers)) for users in (10, 1000, 100_000)]
    assert f"| {name} | {' | '.join(f'{one:,}' for one in cards)} |" in PAGE


def test_the_threshold() -> None:
    threshold = helm.server(plan.load("rtx3090"), {})["scaling"]["audioSecondsPerReplica"]
    assert f"{threshold:,} s on a 3090" in PAGE
