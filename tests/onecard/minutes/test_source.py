"""Minutes of audio: what is refused, and what of the transcription is told."""

from __future__ import annotations

import pytest

from onecard.errors import InvalidRequest
from onecard.minutes import source
from onecard.minutes.options import MinutesOptions


@pytest.mark.parametrize(
    ("has_transcript", "has_audio", "takes_audio", "message"),
    [
        (True, True, True, "has both"),
        (False, False, True, "neither"),
        (False, True, False, "in another server"),
    ],
)
def test_one_source_is_wanted_that_this_server_can_read(
    has_transcript, has_audio, takes_audio, message
):
    with pytest.raises(InvalidRequest, match=message):
        source.verify(has_transcript, has_audio, takes_audio)


def test_every_event_is_passed_on_and_closing_ends_the_transcription():
    ended = []

    def heard():
        try:
            yield {"event": "progress"}
            yield {"event": "result", "result": "{}"}
        finally:
            ended.append(True)

    def listening():
        assert (yield from source.transcribed(heard())) == "{}"

    assert [event["event"] for event in listening()] == ["progress", "result"]
    assert ended == [True]
    left = source.transcribed(heard())
    next(left)
    left.close()
    assert ended == [True, True]


def test_options_of_the_transcription_are_refused_by_name():
    assert MinutesOptions(transcription={"language": "English"}).pipeline().language == "en"
    with pytest.raises(InvalidRequest, match=r"option `transcription`: .*langage"):
        MinutesOptions(transcription={"langage": "en"}).pipeline()
    with pytest.raises(InvalidRequest, match="for AUDIO"):
        MinutesOptions(transcription={}).verify_for_transcript()
