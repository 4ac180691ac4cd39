"""What Triton's counters say of the time between two looks."""

from __future__ import annotations

from bench import serving


def test_spent_is_the_difference_of_two_looks_without_the_idle():
    before = {
        "align": {"requests": 3, "queue_s": 9.0, "compute_s": 1.0},
        "diarize": {"requests": 3, "queue_s": 9.0, "compute_s": 3.0},
    }
    later = {**before, "align": {"requests": 5, "queue_s": 10.0, "compute_s": 3.5}}
    found = serving.spent(before, later)
    assert found == {"align": {"requests": 2, "queue_s": 1.0, "compute_s": 2.5}}
