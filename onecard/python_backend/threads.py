"""Each model's share of the processor: the one place where thread counts come from.

Shares are stated in the plan (`cpu_share`); OpenMP pools that each take every core fight over them
and slow LSTM-based models 30 to 40 times.
"""

import os


def num_cores() -> int:
    """Cores this process may run on (its affinity mask, which containers and `taskset` narrow)."""
    return len(os.sched_getaffinity(0))


def num_threads(cpu_share: float) -> int:
    """Threads for a model that may use `cpu_share` (0 < share <= 1) of the cores; at least one.

    Raises:
        ValueError: the share is outside (0, 1].
    """
    if not 0 < cpu_share <= 1:
        raise ValueError(f"`cpu_share` is `{cpu_share}`, must be in (0, 1]; change it in the plan")
    return max(1, int(num_cores() * cpu_share))
