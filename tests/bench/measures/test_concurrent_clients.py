"""What a cancelled hour is credited with; what becomes of clips when a leg is interrupted."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from bench.measures import concurrent_clients
from onecard_client import Progress

COSTS = {"detect_speech": 1.0, "recognize": 5.0, "align": 1.0, "diarize": 3.0, "whisper": 4.0}
TIMES = {
    name: {"requests": 3, "queue_s": 9.0, "compute_s": seconds} for name, seconds in COSTS.items()
}


def test_work_is_credited_by_what_a_stage_costs():
    done = concurrent_clients.Finished()
    done.advance(Progress("decode_audio", 0, 1))
    done.advance(Progress("detect_speech", 0, 1))
    assert concurrent_clients._credit(TIMES, done) == 0.0
    done.advance(Progress("recognize", 30, 120))
    # All of the detection, a quarter of recognition and alignment, none of the diarization.
    assert concurrent_clients._credit(TIMES, done) == pytest.approx((1.0 + 6.0 / 4) / 10.0)


def test_clips_that_wait_are_dropped_when_a_leg_is_interrupted(monkeypatch):
    left = []

    def work(url, waiting, deadline_s):
        left.append(waiting)
        raise KeyboardInterrupt

    monkeypatch.setattr(concurrent_clients, "_work", work)
    server = SimpleNamespace(grpc_url="nowhere", times=dict)
    clips = [concurrent_clients.Clip(10, b"") for _ in range(3)]
    with pytest.raises(KeyboardInterrupt):
        concurrent_clients._leg(server, clips, 1)
    assert left[0].empty()
