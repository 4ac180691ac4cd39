"""Commands and processes of perf_analyzer; a stand-in plays it, which writes real files of it."""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

import pytest

from bench.perf import analyzer
from bench.perf.analyzer import Analyzer, AnalyzerError, Load
from bench.perf.binary import CURRENT, Choice
from bench.perf.profiles import PROFILES
from build_scripts import processes

FILES = Path(__file__).parent / "perf_analyzer"
CHAT, TRANSCRIBE = PROFILES["chat"], PROFILES["transcribe"]

# Speech takes longer to measure than text. SIGINT ends a run as it ends perf_analyzer's: with 0.
STAND_IN = f"""#!{sys.executable}
import pathlib, shutil, signal, sys, time

def option(name):
    return sys.argv[sys.argv.index(name) + 1]

signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
model, table = option("-m"), pathlib.Path(option("-f"))
with open(table.parent / "started", "a") as file:
    file.write(table.stem + "\\n")
if (table.parent / f"{{model}}-fails").exists():
    print("Thread [0] had error: Maximum queue size of 64 has been reached")
    sys.exit(99)
time.sleep(0.6 if model == "transcribe" else 0.1)
deadline_s = time.monotonic() + 60
while (table.parent / f"{{model}}-waits-for-two-more").exists() and time.monotonic() < deadline_s:
    if (table.parent / "started").read_text().count("-beside") >= 2:
        break
    time.sleep(0.05)
files = pathlib.Path("{FILES}")
shutil.copy(files / f"{{model}}.csv", table)
if "--profile-export-file" in sys.argv:
    if pathlib.Path(option("--profile-export-file")).exists():
        sys.exit("Error: Failed to parse --profile-export-file. Path must not already exist.")
    shutil.copy(files / f"{{model}}.json", option("--profile-export-file"))
print("    Request count: 16")
"""


@pytest.fixture
def choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Choice:
    monkeypatch.setattr("build_scripts.paths.PERF", tmp_path / ".perf")
    made = Choice(CURRENT, "a stand-in", lambda _: None, {})
    made.directory.mkdir(parents=True)
    made.path.write_text(STAND_IN, encoding="utf-8")
    made.path.chmod(0o755)
    return made


@pytest.fixture
def one(choice: Choice, tmp_path: Path) -> Analyzer:
    return Analyzer(choice, "127.0.0.1:8001", tmp_path, length_s=12)


def started(folder: Path) -> list[str]:
    return (folder / "started").read_text(encoding="utf-8").split()


def test_a_level_is_measured(one: Analyzer, tmp_path: Path) -> None:
    (found,) = one.measure("chat", [Load(CHAT, 2)], [6])
    assert found.summary.num_requests == 16
    assert found.streams is not None
    assert found.tokens_per_s == pytest.approx(1.11006 * 64)
    assert found.audio_per_s is None
    assert started(tmp_path) == ["chat-chat-2"]


def test_a_folder_may_be_used_again(one: Analyzer) -> None:
    for _ in range(2):
        one.measure("chat", [Load(CHAT, 1)], [2])


def test_the_faster_load_goes_on_until_the_slower_one_is_measured(
    one: Analyzer, tmp_path: Path
) -> None:
    (tmp_path / "transcribe-waits-for-two-more").touch()
    speech, text = one.measure("mixed", [Load(TRANSCRIBE, 1), Load(CHAT, 1)], [2, 2])
    assert speech.load.profile is TRANSCRIBE
    assert speech.audio_per_s == pytest.approx(0.277142 * TRANSCRIBE.audio_s)
    assert text.load.profile is CHAT
    names = started(tmp_path)
    assert names.count("mixed-transcribe-1") == names.count("mixed-chat-1") == 1
    assert names.count("mixed-chat-1-beside") >= 2
    assert processes.mentioning(str(tmp_path / ".perf")) == []


def test_a_failure_says_what_perf_analyzer_said_and_leaves_no_process(
    one: Analyzer, tmp_path: Path
) -> None:
    (tmp_path / "chat-fails").touch()
    with pytest.raises(AnalyzerError, match=r"(?s)status 99 on `mixed-chat-1`.*Maximum queue size"):
        one.measure("mixed", [Load(TRANSCRIBE, 1), Load(CHAT, 1)], [2, 2])
    assert processes.mentioning(str(tmp_path / ".perf")) == []


def test_a_long_measurement_is_given_more_time(
    choice: Choice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(analyzer, "TIMEOUT_S", 0.2)  # the stand-in takes 0.6 s
    short, long = (Analyzer(choice, "127.0.0.1:8001", tmp_path, length_s) for length_s in (0, 12))
    with pytest.raises(AnalyzerError, match="not done within 0 s"):
        short.measure("transcribe", [Load(TRANSCRIBE, 1)], [2])
    (found,) = long.measure("transcribe", [Load(TRANSCRIBE, 1)], [2])
    assert found.summary.num_requests == 16


def test_ctrl_c_leaves_no_process(one: Analyzer, tmp_path: Path) -> None:
    threading.Timer(0.4, signal.raise_signal, [signal.SIGINT]).start()
    with pytest.raises(KeyboardInterrupt):
        one.measure("transcribe", [Load(TRANSCRIBE, 1)], [2])
    assert processes.mentioning(str(tmp_path / ".perf")) == []


def test_streams_alone_are_exported(one: Analyzer) -> None:
    """An export repeats the inputs of every request, and audio is long."""
    text = one.command(Load(CHAT, 4), "stem", analyzer.windows(8))
    assert "--streaming" in text
    assert "--profile-export-file" in text
    assert text[text.index("--concurrency-range") + 1] == "4"
    assert text[text.index("--measurement-request-count") + 1] == "8"
    speech = one.command(Load(TRANSCRIBE, 4), "stem", [])
    assert not {"--streaming", "--profile-export-file"} & set(speech)


@pytest.mark.parametrize(
    ("concurrency", "requests_per_s", "length_s", "count"),
    [(1, 2.0, 12, 8), (4, 0.5, 12, 8), (1, 0.1, 12, 2), (2, 100.0, 12, 400)],
)
def test_windows_take_the_length_and_two_rounds_at_least(
    concurrency: int, requests_per_s: float, length_s: float, count: int
) -> None:
    assert analyzer.window_count(concurrency, requests_per_s, length_s) == count
