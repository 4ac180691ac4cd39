"""What a manifest may say, what a folder holds, and what is said of those that are wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evaluation import manifest
from evaluation.manifest import ManifestError, Stretch
from evaluation.metrics import Turn
from evaluation.textgrid import WordTime

RTTM = "SPEAKER talk 1 0.500 1.500 <NA> <NA> anna <NA> <NA>\n"
GRID = """File type = "ooTextFile"
Object class = "TextGrid"

0
2
<exists>
1
"IntervalTier"
"words"
0
2
3
0
0.5
""
0.5
0.9
"good"
0.9
1.5
"day"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "talk.wav").touch()
    return tmp_path


def read(folder: Path, *lines: object) -> list[manifest.Entry]:
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    (folder / "m.jsonl").write_text("\n".join(texts), encoding="utf-8")
    return manifest.read(folder / "m.jsonl")


def test_everything_that_may_be_known(folder):
    (folder / "talk.rttm").write_text(RTTM)
    full = {
        "audio": "talk.wav", "id": "first", "language": "en", "text": "Good day.",
        "words": [{"word": "Good", "start": 0.5, "end": 0.9}, {"word": "day.", "start": 0.9}],
        "rttm": "talk.rttm",
    }  # fmt: skip
    one, other = read(folder, full, "", {"audio": "talk.wav"})
    assert (one.id, one.audio, one.language) == ("first", folder / "talk.wav", "en")
    assert one.texts == ("Good day.",)
    assert one.words == (WordTime("Good", 0.5, 0.9), WordTime("day.", 0.9))
    assert one.turns == (Turn(0.5, 2.0, "anna"),)
    assert one.speakers is None
    assert (other.id, other.texts, other.words, other.turns) == ("talk", None, None, None)


def test_segments_say_who_said_what(folder):
    segments = [
        {"start": 0, "end": 1, "speaker": "anna", "text": "Good day."},
        {"start": 1, "end": 2, "speaker": "ben", "text": "Hello."},
        {"start": 2, "end": 3, "speaker": "anna", "text": "Well then."},
    ]
    (entry,) = read(folder, {"audio": "talk.wav", "segments": segments})
    assert entry.texts == ("Good day. Hello. Well then.",)
    assert entry.turns == (Turn(0, 1, "anna"), Turn(1, 2, "ben"), Turn(2, 3, "anna"))
    assert entry.speakers == {"anna": "Good day. Well then.", "ben": "Hello."}


def test_a_segment_without_text_parts_the_texts(folder):
    segments = [
        {"start": 0, "end": 1, "text": "Good day."},
        {"start": 1, "end": 2, "text": None},
        {"start": 2, "end": 3, "text": "Well then."},
    ]
    (entry,) = read(folder, {"audio": "talk.wav", "segments": segments})
    assert entry.texts == ("Good day.", "Well then.")
    assert entry.turns is None
    assert entry.speakers is None
    unknown = [Stretch(0, 1, "anna", None), Stretch(1, 2, "ben", None)]
    assert manifest.of_stretches("x", Path("x"), None, unknown).texts is None


def test_a_folder_s_references_lie_beside_the_audio(folder):
    (folder / "talk.rttm").write_text(RTTM)
    (folder / "talk.txt").write_text("Good day.")
    (folder / "talk.TextGrid").write_text(GRID)
    (folder / "more").mkdir()
    (folder / "more" / "talk.mp3").touch()
    (folder / "notes.md").touch()
    below, talk = manifest.read(folder)
    assert (below.id, below.texts) == ("more/talk", None)
    assert talk.texts == ("Good day.",)
    assert talk.words == (WordTime("good", 0.5, 0.9), WordTime("day", 0.9, 1.5))
    assert talk.turns == (Turn(0.5, 2.0, "anna"),)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 2 is not JSON"),
        ([], "line 2 is a list, wanted a JSON object"),
        ({"text": "x"}, "line 2: `audio` is `null`, wanted a text"),
        ({"audio": "none.wav"}, "none.wav` is not there"),
        ({"audio": "talk.wav", "id": "b", "txt": "x"}, "has `txt`, which means nothing; keys:"),
        ({"audio": "talk.wav", "id": "b", "text": 3}, "`text` is `3`, wanted a text"),
        ({"audio": "talk.wav", "id": "b", "words": "x"}, "`words` is `\"x\"`, wanted a list"),
        (
            {"audio": "talk.wav", "id": "b", "words": [{"word": "x", "start": "1"}]},
            "`words` 1: `start` is `\"1\"`, wanted seconds, 0 or more",
        ),
        (
            {"audio": "talk.wav", "id": "b", "turns": [{"start": 2, "end": 1, "speaker": "a"}]},
            "`turns` 1 ends at 1.0, before it starts at 2.0",
        ),
        (
            {"audio": "talk.wav", "id": "b", "segments": [], "text": "x"},
            "has `segments` and `text`, wanted one of the two",
        ),
        (
            {"audio": "talk.wav", "id": "b", "turns": [], "rttm": "talk.rttm"},
            "has `turns` and `rttm`, wanted one of the two",
        ),
        ({"audio": "talk.wav", "id": "b", "rttm": "no.rttm"}, "no.rttm` is not there"),
        ({"audio": "talk.wav"}, "two recordings are called `talk`"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_line(folder, line, said):
    with pytest.raises(ManifestError) as caught:
        read(folder, {"audio": "talk.wav"}, line)
    assert said in str(caught.value)


def test_a_manifest_without_recordings_is_refused(folder, tmp_path):
    with pytest.raises(ManifestError, match="is empty"):
        read(folder, "")
    with pytest.raises(ManifestError, match="is not there"):
        manifest.read(folder / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ManifestError, match="has no audio in it"):
        manifest.read(tmp_path / "empty")


def test_references_that_are_none_are_refused(folder):
    (folder / "talk.TextGrid").write_text(GRID.replace('"words"', '"phones"'))
    with pytest.raises(ManifestError, match="no tier"):
        manifest.read(folder)
    (folder / "talk.TextGrid").write_text(GRID[:-20])
    with pytest.raises(ManifestError, match="breaks off"):
        manifest.read(folder)
    (folder / "talk.TextGrid").unlink()
    (folder / "talk.rttm").write_text("hello world\n")
    with pytest.raises(ManifestError, match="RTTM"):
        manifest.read(folder)
