"""What P1 says of the sides that it measured, and the repository that it serves."""

from __future__ import annotations

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from bench.measures import speech
from build_scripts import paths
from evaluation.metrics import Counts
from evaluation.peers import ctc_repository
from evaluation.report import Score


def test_ratios_are_of_rounds_and_errors_of_all(capsys):
    def score(name: str, seconds: float, errors: int) -> Score:
        return Score(name, 60.0, seconds, words=Counts(errors, 100), speakers=Counts(6, 60))

    found = speech.summary({
        "whisperx": [score("a", 30.0, 10), score("b", 20.0, 4)],
        "onecard": [score("a", 10.0, 8), score("b", 10.0, 4)],
    })  # fmt: skip
    assert found["speed_ratio"] == {"median": 2.5, "low": 2.0, "high": 3.0, "rounds": 2}
    assert found["wer_difference"]["median"] == pytest.approx(-0.01)
    assert found["sides"]["whisperx"]["speed"]["median"] == 2.5
    assert found["audio_s"] == 120.0
    assert "2.50 times as fast as WhisperX (2.00 to 3.00); WER 0.0600 against 0.0700" in (
        capsys.readouterr().out
    )


def test_the_repository_is_the_same_but_for_the_acoustic_models(tmp_path):
    ctc_repository.write(tmp_path, {"ctc_models": "elsewhere"})
    names = sorted(p.name for p in paths.MODEL_REPOSITORY.iterdir() if p.is_dir())
    assert sorted(p.name for p in tmp_path.iterdir()) == names
    for name in names:
        ours, theirs = (
            text_format.Parse(
                (root / name / "config.pbtxt").read_text(), model_config_pb2.ModelConfig()
            )
            for root in (tmp_path, paths.MODEL_REPOSITORY)
        )
        if name == "align":
            assert ours.parameters["ctc_models"].string_value == "elsewhere"
            theirs.parameters["ctc_models"].string_value = "elsewhere"
        assert ours == theirs
        assert (tmp_path / name / "1").resolve() == paths.MODEL_REPOSITORY / name / "1"
