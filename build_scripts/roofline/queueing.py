"""How long a request waits where others came first: one server, arrivals that know nothing of each
other, the same time for each (M/D/1).
"""

from __future__ import annotations

import math


def mean_wait(load: float) -> float:
    """Before a request begins, in units of the time that one takes.

    Pollaczek and Khinchine's formula for a service time without variance: `load / (2 (1 - load))`
    (Cooper, "Introduction to Queueing Theory", 1981, chapter 5).

    Args:
        load: share of the time in which the server is busy, 0 to below 1.

    Raises:
        ValueError: the load is outside; from 1 on the queue grows without end.
    """
    if not 0 <= load < 1:
        raise ValueError(f"the load is `{load}`, must be 0 to below 1")
    return load / (2 * (1 - load))


def p95_wait(load: float) -> float:
    """What one request in twenty waits at least, in the same units, about.

    A request waits at all with probability `load`; then the wait is taken as exponential, with the
    mean that `mean_wait` implies (Kingman, "The single server queue in heavy traffic", 1961).
    Raises ValueError as `mean_wait` does.
    """
    mean = mean_wait(load)
    return mean / load * math.log(load / 0.05) if load > 0.05 else 0.0
