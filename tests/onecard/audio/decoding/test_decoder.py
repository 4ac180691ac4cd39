"""Decoding in a process of its own: the same samples, and an end to what has none."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from onecard import audio
from onecard.audio.decoding import decoder, order
from onecard.audio.decoding.decoder import Decoder, memory, samples
from onecard.audio.decoding.order import Order
from onecard.errors import Cancelled, InvalidRequest, Unavailable
from tests.onecard.audio.sounds import LIMITS, tone, wav, write

FORMS = [
    ("wav", "pcm_s16le", 44_100, 2, {}),
    ("flac", "flac", 48_000, 1, {}),
    ("mp3", "libmp3lame", 44_100, 2, {}),
    ("ogg", "libopus", 48_000, 1, {}),
    ("mp4", "aac", 44_100, 2, {}),
    ("matroska", "libopus", 48_000, 1, {}),
]
SOON_S = 30.0  # only what never ends takes longer


@pytest.fixture(scope="module")
def decoding() -> Iterator[Decoder]:
    with Decoder() as found:
        yield found


def decode(decoding: Decoder, data: bytes, asked: Order, **more) -> tuple[np.ndarray, audio.Clip]:
    with memory() as target:
        clip = decoding.decode(asked, data, target, **more)
        return samples(target), clip


def children(decoding: Decoder) -> list[int]:
    pid = decoding._process.pid
    return [int(x) for x in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def wait_for(number: int, decoding: Decoder) -> list[int]:
    deadline = time.monotonic() + SOON_S
    while len(found := children(decoding)) != number:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form[0])
def test_samples_and_clip_are_those_of_this_process(decoding: Decoder, form: tuple) -> None:
    data = write(*form)
    pcm, clip = decode(decoding, data, Order(LIMITS))
    wanted, told = audio.decode(data, LIMITS)
    assert np.array_equal(pcm, wanted)
    assert clip == told


def test_gaps_and_warnings_come_back_as_they_were(decoding: Decoder) -> None:
    data = bytearray(write("matroska", "aac", 44_100, 1, {}, duration_s=10.0))
    data[len(data) // 2 : len(data) // 2 + 4_000] = bytes(4_000)
    _, clip = decode(decoding, bytes(data), Order(LIMITS))
    assert clip.gaps
    assert clip == audio.decode(bytes(data), LIMITS)[1]
    with pytest.raises(InvalidRequest, match="damaged"):
        decode(decoding, bytes(data), Order(LIMITS, audio.Choice(is_strict=True)))


def test_sound_without_a_header_is_decoded_there_too(decoding: Decoder) -> None:
    pcm = tone(1.0, 16_000)
    found, clip = decode(
        decoding, pcm.tobytes(), Order(LIMITS, form=audio.Form("pcm_s16le", 16_000, 1))
    )
    assert np.array_equal(found, pcm)
    assert clip.container == "raw"


def test_what_is_wanted_reaches_it(decoding: Decoder) -> None:
    data = write("flac", "flac", 48_000, 2, {})
    wanted = audio.Wanted(((0.5, 1.0), (2.0, math.inf)), is_separate=True)
    found, clip = decode(decoding, data, Order(LIMITS, wanted=wanted))
    sink = audio.Blocks()
    assert clip == audio.decode_into(data, LIMITS, sink, wanted=wanted)
    assert np.array_equal(found, sink.pcm())
    with pytest.raises(InvalidRequest, match="from 9 s on is asked for"):
        decode(decoding, data, Order(LIMITS, wanted=audio.Wanted(((9.0, math.inf),))))


def test_a_quiet_hum_is_filtered_with_what_the_first_child_loaded(decoding: Decoder) -> None:
    hum = (tone(4.0, 16_000, 50.0) * 2 + tone(4.0, 16_000, 300.0) // 20).astype(np.int16)
    for _ in range(2):
        found, clip = decode(decoding, wav(hum), Order(LIMITS))
        assert np.array_equal(found, audio.decode(wav(hum), LIMITS)[0])
        assert "hum" in clip.warnings[0]


@pytest.mark.parametrize("data", [b"", b"no sound" * 100])
def test_what_is_no_recording_is_refused_with_the_same_words(
    decoding: Decoder, data: bytes
) -> None:
    with pytest.raises(InvalidRequest) as here:
        audio.decode(data, LIMITS)
    with pytest.raises(InvalidRequest) as there:
        decode(decoding, data, Order(LIMITS))
    assert str(there.value) == str(here.value)


# A nursery whose children do something else than to decode: what the file says.
STRANGE = """
import os, signal
import numpy as np
from onecard import audio
from onecard.audio.decoding import nursery, order

def endless():
    while True:
        pass

def greedy():
    np.ones(3 << 30, np.uint8)

def crashing():
    os.kill(os.getpid(), signal.SIGSEGV)

audio.decode_into = lambda file, *_: globals()[file.read().decode()]()
order.START_CPU_S = 0.5
nursery.main()
"""


@pytest.fixture(scope="module")
def doing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Decoder]:
    directory = tmp_path_factory.mktemp("strange")
    (directory / "strange.py").write_text(STRANGE)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PYTHONPATH", str(directory))
        patched.setattr(decoder, "_MODULE", "strange")
        with Decoder() as found:
            yield found


def test_what_takes_cpu_time_without_sound_is_ended(doing: Decoder) -> None:
    with pytest.raises(InvalidRequest, match=r"took more than \d s of CPU time to decode.*convert"):
        decode(doing, b"endless", Order(LIMITS))
    wait_for(0, doing)


def test_what_takes_memory_is_told_to_its_sender(doing: Decoder) -> None:
    with pytest.raises(InvalidRequest, match=r"memory|ended the process"):
        decode(doing, b"greedy", Order(LIMITS))


def test_what_kills_the_decoder_is_told_and_the_next_is_served(doing: Decoder) -> None:
    for _ in range(2):
        with pytest.raises(InvalidRequest, match=r"ended the process that decoded it \(signal 11"):
            decode(doing, b"crashing", Order(LIMITS))


def test_what_takes_too_long_on_the_clock_is_ended(doing: Decoder, monkeypatch) -> None:
    monkeypatch.setattr(order, "wall_s", lambda *_: 0.2)
    with pytest.raises(InvalidRequest, match=r"took more than 0 s to decode for 0\.0 s of sound"):
        decode(doing, b"endless", Order(LIMITS))
    wait_for(0, doing)


def test_whoever_leaves_ends_the_work(doing: Decoder) -> None:
    asked = []

    def is_wanted() -> bool:
        asked.append(children(doing))
        return not asked[-1]

    with pytest.raises(Cancelled):
        decode(doing, b"endless", Order(LIMITS), is_wanted=is_wanted)
    assert len(asked[-1]) == 1
    wait_for(0, doing)


def test_a_child_that_others_kill_is_no_fault_of_the_recording(doing: Decoder) -> None:
    def kill() -> None:
        os.kill(wait_for(1, doing)[0], signal.SIGKILL)

    killing = threading.Thread(target=kill)
    killing.start()
    with pytest.raises(Unavailable, match="was killed"):
        decode(doing, b"endless", Order(LIMITS))
    killing.join()


def test_a_nursery_that_was_killed_is_started_again(monkeypatch) -> None:
    monkeypatch.setattr(decoder, "_MODULE", "onecard.audio.decoding.nursery")
    data = wav(tone(1.0, 16_000))
    with Decoder() as decoding:
        first = decoding._process
        first.kill()
        first.wait()
        assert decode(decoding, data, Order(LIMITS))[1].duration_s == 1.0
        assert decoding._process.pid != first.pid


def test_nothing_is_left_of_a_nursery_that_dies_at_work(doing: Decoder) -> None:
    def kill() -> None:
        wait_for(1, doing)
        doing._process.kill()

    killing = threading.Thread(target=kill)
    killing.start()
    with pytest.raises(Unavailable, match="was ended"):
        decode(doing, b"endless", Order(LIMITS))
    killing.join()


def test_threads_of_a_server_with_large_stacks_are_small(decoding: Decoder) -> None:
    limits = Path(f"/proc/{decoding._process.pid}/limits").read_text()
    (line,) = [found for found in limits.splitlines() if found.startswith("Max stack size")]
    assert int(line.split()[3]) <= 8 << 20


def test_time_grows_with_sound_and_bytes() -> None:
    assert order.cpu_s(1_000, 0.0) < 6
    assert order.cpu_s(0, 3_600.0) == order.START_CPU_S + 180
    assert order.cpu_s(2_000_000_000, 0.0) == order.START_CPU_S + 200
    assert order.wall_s(0, 0.0) > order.cpu_s(0, 0.0)
