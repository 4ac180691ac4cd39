"""What P9 says of the sides that it measured."""

from __future__ import annotations

from typing import Any

import pytest

from bench.measures import gateway


def test_ratios_and_differences_are_of_rounds(capsys: Any) -> None:
    speech = {"grpc_s": [10.0, 20.0, 10.0], "http_s": [10.1, 20.4, 9.9]}
    chat = {"grpc_s": [0.1, 0.2], "http_s": [0.104, 0.208]}
    found = gateway.summary(speech, chat)
    assert found["speech_ratio"]["median"] == pytest.approx(1.01)
    assert found["speech_ratio"]["high"] == pytest.approx(1.02)
    assert found["first_token_later_ms"]["median"] == pytest.approx(6.0)
    assert "1.010 times its time over gRPC (0.990 to 1.020)" in capsys.readouterr().out
