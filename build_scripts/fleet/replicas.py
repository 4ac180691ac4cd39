"""How many servers a load wants: Kubernetes' formula, on the seconds of audio that are left."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# A horizontal autoscaler leaves a number alone whose ratio is nearer to 1 than this
# (kubernetes, horizontal-pod-autoscaler-tolerance).
TOLERANCE = 0.1


@dataclass(frozen=True)
class Scaling:
    """How one kind of server is scaled.

    Args:
        audio_seconds_per_replica: seconds of audio that one server may have left to do.
        min_replicas, max_replicas: of servers.
        scale_down_after_s: the most that was wanted for so long is what stays.
    """

    audio_seconds_per_replica: float
    min_replicas: int = 1
    max_replicas: int = 4
    scale_down_after_s: float = 900.0

    def __post_init__(self) -> None:
        if self.audio_seconds_per_replica <= 0:
            raise ValueError(
                f"audio_seconds_per_replica is `{self.audio_seconds_per_replica}`, must be above 0"
            )
        if not 1 <= self.min_replicas <= self.max_replicas:
            raise ValueError(
                f"replicas are `{self.min_replicas}` to `{self.max_replicas}`, must be 1 or more "
                "and the least not above the most"
            )


def wanted(audio_seconds_left: float, current: int, scaling: Scaling) -> int:
    """The servers that are wanted now, before what was wanted lately is looked at.

    Raises ValueError for a load that is no number, or below 0.
    """
    if not 0 <= audio_seconds_left < math.inf:
        raise ValueError(f"the audio left is `{audio_seconds_left}` s, must be 0 or more")
    share = audio_seconds_left / scaling.audio_seconds_per_replica
    is_near = current > 0 and abs(share / current - 1) <= TOLERANCE
    number = current if is_near else math.ceil(share)
    return min(max(number, scaling.min_replicas), scaling.max_replicas)


def replayed(scrapes: Iterable[tuple[float, float]], scaling: Scaling) -> list[int]:
    """The number of servers after each scrape.

    Args:
        scrapes: time in seconds, and seconds of audio left in all servers together; in order.
    """
    current, found = scaling.min_replicas, []
    lately: deque[tuple[float, int]] = deque()
    for now_s, left_s in scrapes:
        number = wanted(left_s, current, scaling)
        lately.append((now_s, number))
        while lately[0][0] < now_s - scaling.scale_down_after_s:
            lately.popleft()
        current = max(number, min(current, max(one for _, one in lately)))
        found.append(current)
    return found


def for_users(users: int, by_a_user: Sequence[float], by_a_server: Sequence[float]) -> int:
    """The servers for so many users, each of whom wants some of every kind of work in an hour.

    Args:
        by_a_user: amounts of each kind.
        by_a_server: the most of each kind that a server does in an hour if it does nothing else.
    """
    share = sum(one / most for one, most in zip(by_a_user, by_a_server, strict=True))
    return max(1, math.ceil(users * share))
