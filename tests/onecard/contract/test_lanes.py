"""Times of one long recording as times in the channels that it is made of."""

from __future__ import annotations

import pytest

from onecard.contract.lanes import GAP_S, Lanes
from onecard.contract.whisper import CHUNK_S

LANES = Lanes(2, 10.0)
SECOND_S = 10.0 + GAP_S  # where the second channel begins


def test_no_chunk_holds_two_channels() -> None:
    assert GAP_S > CHUNK_S


@pytest.mark.parametrize(
    ("time_s", "channel"), [(0, 0), (9.99, 0), (12, 0), (SECOND_S, 1), (60, 1), (-1, 0), (1e6, 1)]
)
def test_channel(time_s: float, channel: int) -> None:
    assert LANES.channel(time_s) == channel


def test_segments_get_the_times_and_the_speaker_of_their_channel() -> None:
    words = [{"word": "Hi", "start": SECOND_S + 1.0, "end": SECOND_S + 1.5}, {"word": "there"}]
    chars = [{"char": "H", "start": SECOND_S + 1.0, "end": SECOND_S + 1.1}]
    segment = {"start": SECOND_S + 1.0, "end": SECOND_S + 12.0, "text": "Hi there", "words": words}
    (found,) = LANES.spoken([{**segment, "chars": chars}])
    assert (found["start"], found["end"], found["speaker"]) == (1.0, 10.0, "SPEAKER_01")
    assert found["words"] == [
        {"word": "Hi", "start": 1.0, "end": 1.5, "speaker": "SPEAKER_01"},
        {"word": "there", "speaker": "SPEAKER_01"},
    ]
    assert found["chars"] == [{"char": "H", "start": 1.0, "end": 1.1}]


def test_turns_are_in_order_of_time_and_reasons_name_the_channel() -> None:
    turns = LANES.turns([(2.0, 3.0), (SECOND_S + 1.0, SECOND_S + 2.0)])
    assert [(turn["start"], turn["speaker"]) for turn in turns] == [
        (1.0, "SPEAKER_01"), (2.0, "SPEAKER_00"),
    ]  # fmt: skip
    (entry,) = LANES.reported([{"start": SECOND_S, "end": SECOND_S + 1, "reason": "no text"}])
    assert entry == {"start": 0.0, "end": 1.0, "reason": "channel 1: no text"}


def test_mixed_channels_have_no_lanes() -> None:
    assert Lanes.of({"duration_s": 10.0, "num_separate": 0}) is None
    assert Lanes.of({"duration_s": 10.0}) is None
    assert Lanes.of({"duration_s": 10.0, "num_separate": 2}) == LANES
    assert (LANES.end_s, LANES.total_s) == (20.0 + GAP_S, 20.0)
