"""TranscribeOptions: defaults, and a precise refusal of everything else."""

import dataclasses
import json
import math

import pytest

from onecard.errors import InvalidRequest
from onecard.options.transcribe import TranscribeOptions


@pytest.mark.parametrize("text", ["", "{}", b"  {} "])
def test_nothing_means_the_defaults(text):
    assert TranscribeOptions.from_json(text) == TranscribeOptions()


def test_survives_json():
    options = TranscribeOptions(language="fr", min_speakers=2, max_speakers=3, chunk_size=20)
    assert TranscribeOptions.from_json(options.to_json()) == options


@pytest.mark.parametrize(
    ("found", "says"),
    [
        ('{"langauge": "en"}', "did you mean `language`"),
        ('{"min-speakers": 2}', "did you mean `min_speakers`"),
        ('{"zzz": 2}', "known options: language"),
        ("[]", "must be an object"),
        ("{", "not JSON"),
        ('{"task": "transcode"}', "`transcribe`, `translate`"),
        ('{"beam_size": 0}', "between 1 and"),
        ('{"beam_size": true}', "a whole number"),
        ('{"beam_size": 2.5}', "a whole number"),
        ('{"chunk_size": 31}', "between 1.0 and 30.0"),
        ('{"vad_onset": "high"}', "a number"),
        ('{"vad_onset": NaN}', "finite number"),
        ('{"vad_onset": 1e999}', "finite number"),
        ('{"beam_size": 4294967297}', "between 1 and"),
        ('{"initial_prompt": ' + "[" * 100_000, "deep"),
        ('{"language": 3}', "a text or null"),
        ('{"min_speakers": 4, "max_speakers": 2}', "must not exceed"),
        ('{"num_speakers": 2, "max_speakers": 2}', "either"),
        ('{"encoding": "pcm_s16le", "channels": 1}', "`sample_rate` is missing"),
        ('{"sample_rate": 16000}', "`encoding` is `auto`"),
        ('{"patience": 0}', "between 0.1 and"),
        ('{"max_new_tokens": 449}', "between 1 and 448"),
        ('{"prefix": "So", "without_timestamps": false}', "give one of them"),
        ('{"offset": 1, "clip_timestamps": "0,1"}', "give one of them"),
        ('{"duration": 1, "segments": []}', "leave out the segments"),
        ('{"clip_timestamps": "0,5,3"}', "must be times that increase"),
        ('{"clip_timestamps": [0, "x"]}', "must be seconds"),
        ('{"segments": [{"start": 1}]}', r"`segments\[0\]` is .*SECONDS"),
        ('{"segments": [[2, 1]]}', "is from 2 to 1 s, must last"),
        ('{"segments": [[0, true]]}', "must be seconds"),
        ('{"channels": "each"}', "a whole number, or `separate`"),
        ('{"channels": "separate", "num_speakers": 2}', "the channels are separate"),
        ('{"separate_channels": true, "vad_filter": false}', "`vad_filter` is `False` and"),
        ('{"formats": "docx"}', "must be of srt, vtt"),
    ],
)
def test_refuses_with_what_was_found_and_wanted(found, says):
    with pytest.raises(InvalidRequest, match="(?s).*" + says.replace("`", "`")):
        TranscribeOptions.from_json(found)


def test_an_int_is_a_number_where_a_float_is_wanted():
    assert TranscribeOptions.from_json('{"temperature": 0, "chunk_size": 25}').chunk_size == 25


def test_null_is_the_default_where_an_option_cannot_be_null():
    assert TranscribeOptions.from_json('{"task": null, "align": null}') == TranscribeOptions()
    assert TranscribeOptions.from_json('{"logprob_threshold": null}').logprob_threshold is None


def test_every_option_has_a_default_that_is_itself_valid():
    for field in dataclasses.fields(TranscribeOptions):
        text = json.dumps({field.name: getattr(TranscribeOptions(), field.name)})
        assert TranscribeOptions.from_json(text) == TranscribeOptions()


@pytest.mark.parametrize(
    ("options", "spans"),
    [
        ({}, ()),
        ({"offset": 2}, ((2, math.inf),)),
        ({"offset": 2, "duration": 0.5}, ((2, 2.5),)),
        ({"clip_timestamps": "1,2, 4"}, ((1, 2), (4, math.inf))),
        ({"clip_timestamps": [1, 2.5]}, ((1, 2.5),)),
        ({"clip_timestamps": ""}, ()),
    ],
)
def test_the_part_to_be_transcribed(options, spans):
    found = TranscribeOptions(**options)
    assert found.spans == spans
    assert TranscribeOptions.from_json(found.to_json()) == found


def test_segments_are_put_in_order_and_lose_what_else_they_say():
    given = [{"start": 3, "end": 4, "text": "b"}, [1, 2]]
    found = TranscribeOptions(segments=given)
    assert found.segments == [{"start": 1, "end": 2}, {"start": 3, "end": 4}]
    assert TranscribeOptions.from_json(found.to_json()) == found


def test_separate_channels_by_either_name():
    found = TranscribeOptions(channels="separate")
    assert (found.channels, found.separate_channels, found.tells_speakers) == (None, True, False)
    raw = TranscribeOptions(
        encoding="pcm_s16le", sample_rate=8000, channels="2", separate_channels=True
    )
    assert raw.channels == 2


def test_formats_are_a_list_once_each():
    assert TranscribeOptions(formats="srt, vtt,srt").formats == ["srt", "vtt"]
    assert TranscribeOptions(formats=[]).formats is None
