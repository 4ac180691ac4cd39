"""What becomes of the clips that wait when a leg ends before its time."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from bench import company


def test_clips_that_wait_are_dropped_when_a_leg_is_interrupted(monkeypatch):
    left = []

    def work(url, waiting, deadline_s):
        left.append(waiting)
        raise KeyboardInterrupt

    monkeypatch.setattr(company, "_work", work)
    server = SimpleNamespace(grpc_url="nowhere", times=dict)
    clips = [company.Clip(10, b"") for _ in range(3)]
    with pytest.raises(KeyboardInterrupt):
        company._leg(server, clips, 1)
    assert left[0].empty()
