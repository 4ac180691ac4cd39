"""The command: scores of a system that says what it is told to, the table, the exit status."""

from __future__ import annotations

import contextlib
import json

import numpy as np
import pytest

from evaluation import __main__ as command
from evaluation import recordings, report, systems
from evaluation.metrics import Turn
from evaluation.systems import Hypothesis, Word
from onecard_client import ServerError


@pytest.fixture
def folder(tmp_path):
    """Two clips of two seconds; of one everything is known."""
    for name in ("one", "two"):
        recordings.write(tmp_path / f"{name}.wav", np.zeros(2 * recordings.RATE, np.int16))
    segments = [
        {"start": 0, "end": 1, "speaker": "a", "text": "Good day"},
        {"start": 1, "end": 2, "speaker": "b", "text": "hello there"},
    ]
    words = [{"word": "Good", "start": 0.0}, {"word": "day", "start": 0.5}]
    lines = [
        {"audio": "one.wav", "language": "en", "segments": segments, "words": words},
        {"audio": "two.wav", "language": "en", "text": "yes"},
    ]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return tmp_path


@pytest.fixture
def answers(monkeypatch):
    """A system whose words are right but for the last one and whose second speaker is late."""
    words = (Word("Good", 0.02, "1"), Word("day,", 0.7, "1"), Word("hello", 1, "0"),
             Word("where", 1.5, "0"))  # fmt: skip
    turns = (Turn(0.0, 1.0, "1"), Turn(1.5, 2.0, "0"))

    def transcribe(path, language):
        if path.stem == "one":
            return Hypothesis("Good day, hello where", words, turns, "en", 0.5)
        return Hypothesis("Yes.", (Word("Yes."),), (), "en", 0.5, has_times=False)

    @contextlib.contextmanager
    def served(url, beam_size):
        yield transcribe

    monkeypatch.setattr(systems, "served", served)


def test_scores_are_counted_over_all(folder, answers, capsys):
    assert command.main([str(folder / "m.jsonl"), "--json", str(folder / "found.json")]) == 0
    found = json.loads((folder / "found.json").read_text())
    one, two = found["recordings"]
    assert (one["wer"], one["der"], one["cpwer"]) == (0.25, 0.25, 0.25)
    assert (one["start_median_ms"], one["start_within_100_ms"]) == (pytest.approx(110), 0.5)
    assert (two["wer"], two["der"], two["cpwer"], two["start_median_ms"]) == (0, None, None, None)
    assert found["all"]["wer"] == 0.2
    assert found["all"]["counts"]["speakers"] == {"errors": 0.5, "total": 2.0}
    said = capsys.readouterr()
    assert "[2/2] two: 2.0 s in 0.5 s" in said.err
    rows = [line.split() for line in said.out.splitlines()]
    assert rows[0] == ["onecard"]
    assert rows[2] == ["one", "2.0", "4.0x", "0.250", "110", "50%", "0.250", "0.250"]
    assert rows[3] == ["two", "2.0", "4.0x", "0.000", "-", "-", "-", "-"]
    assert rows[4][:4] == ["all", "4.0", "4.0x", "0.200"]


def test_recordings_are_chosen_by_name(folder, answers, capsys):
    assert command.main([str(folder / "m.jsonl"), "--only", "t*"]) == 0
    assert "one" not in capsys.readouterr().out.split()
    assert command.main([str(folder / "m.jsonl"), "--only", "three"]) == 2
    assert "no recording is called `three`; there are: one, two" in capsys.readouterr().err


def test_a_wrong_manifest_is_said_before_a_server_starts(folder, monkeypatch, capsys):
    monkeypatch.setattr(systems, "served", None)
    assert command.main([str(folder / "none.jsonl")]) == 2
    assert "none.jsonl` is not there" in capsys.readouterr().err


def test_a_system_that_fails_is_said(folder, capsys):
    assert command.main([str(folder / "m.jsonl"), "--url", "127.0.0.1:1"]) == 1
    assert "error: " in capsys.readouterr().err


def system(monkeypatch, transcribe):
    monkeypatch.setattr(
        systems, "served", lambda url, beam_size: contextlib.nullcontext(transcribe)
    )


def test_a_recording_that_fails_is_a_row_and_loses_no_other(folder, monkeypatch, capsys):
    def transcribe(path, language):
        if path.stem == "one":
            raise ServerError("no room")
        return Hypothesis("No.", (Word("No."),), (), "en", 0.5, has_times=False)

    system(monkeypatch, transcribe)
    assert command.main([str(folder / "m.jsonl"), "--json", str(folder / "found.json")]) == 1
    found = json.loads((folder / "found.json").read_text())
    one, two = found["recordings"]
    assert (one["error"], one["wer"]) == ("ServerError: no room", None)
    assert "error" not in two
    assert (found["all"]["wer"], found["all"]["duration_s"]) == (1.0, 2.0)  # of what was done
    rows = capsys.readouterr().out.splitlines()
    assert rows[2].split() == ["one", "2.0", "failed", "-", "-", "-", "-", "-"]
    assert rows[5] == "one failed: ServerError: no room"


def test_an_interrupt_keeps_what_was_done(folder, monkeypatch, capsys):
    def transcribe(path, language):
        if path.stem == "two":
            raise KeyboardInterrupt
        return Hypothesis("Good day", (), (), "en", 0.5, has_times=False)

    system(monkeypatch, transcribe)
    arguments = [str(folder / "m.jsonl"), "--json", str(folder / "found.json")]
    assert command.main(arguments) == command.INTERRUPTED
    found = json.loads((folder / "found.json").read_text())
    assert [one["name"] for one in found["recordings"]] == ["one"]
    assert found["not_done"] == ["two"]
    said = capsys.readouterr()
    assert "interrupted after 1 of 2" in said.err
    assert said.out.splitlines()[2].startswith("one ")


def test_where_no_json_can_be_written_is_said_before_a_server_starts(folder, monkeypatch, capsys):
    monkeypatch.setattr(systems, "served", None)
    for path, reason in ((folder / "none" / "a.json", "none` is not there"), (folder, "a folder")):
        with pytest.raises(SystemExit) as ended:
            command.main([str(folder / "m.jsonl"), "--json", str(path)])
        assert ended.value.code == 2
        assert reason in capsys.readouterr().err


def test_words_that_a_peer_could_not_time_have_their_segments_speaker():
    from evaluation.peers.whisperx import Answer

    segments = [
        {"start": 0.0, "end": 1.0, "text": " Good day", "speaker": "A", "words": []},
        {"start": 1.0, "end": 2.0, "text": " so", "speaker": "B",
         "words": [{"word": "so", "start": 1.1, "end": 1.2}]},
    ]  # fmt: skip
    found = systems.of_answer(Answer(segments, {"total": 1.0}, "en", "Good day so", []))
    assert found.words == (Word("Good", None, "A"), Word("day", None, "A"), Word("so", 1.1, "B"))
    assert found.has_times


def test_a_table_of_one_has_no_sum():
    one = report.Score("a", 1.0, 0.0)
    assert [line.split()[0] for line in report.table([one]).splitlines()] == ["recording", "a"]


def test_the_beams_that_are_asked_for_are_sent(folder, monkeypatch):
    asked = []

    class Asked:
        def transcribe(self, path, **options):
            asked.append(options)
            raise ServerError("enough")

    @contextlib.contextmanager
    def served(url, beam_size):
        yield systems.onecard(Asked(), beam_size)

    monkeypatch.setattr(systems, "served", served)
    assert command.main([str(folder / "m.jsonl"), "--only", "one", "--beam-size", "2"]) == 1
    assert [options["beam_size"] for options in asked] == [2]
