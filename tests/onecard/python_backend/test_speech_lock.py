"""Speech in flight is seen from other processes, and ends with them."""

import os
import signal
import subprocess
import sys
import time

import pytest

from onecard.python_backend import speech_lock

HOLD = (
    "import sys, time\n"
    "from onecard.python_backend import speech_lock\n"
    "with speech_lock.speech():\n"
    "    print('held', flush=True)\n"
    "    sys.stdin.read()\n"
)


@pytest.fixture(autouse=True)
def run_directory(tmp_path, monkeypatch):
    monkeypatch.setenv(speech_lock.RUN_DIRECTORY, str(tmp_path))


def hold():
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"held\n"
    return process


def is_quiet_soon():
    deadline = time.monotonic() + 60
    while speech_lock.speech_in_flight() and time.monotonic() < deadline:
        time.sleep(0.02)
    return not speech_lock.speech_in_flight()


def test_nothing_is_in_flight_before_anything_was():
    assert not speech_lock.speech_in_flight()


def test_another_process_is_seen_until_its_last_request_ends(monkeypatch):
    one, other = hold(), hold()
    time.sleep(2 * speech_lock.LINGER_S)  # not because the file is new
    assert speech_lock.speech_in_flight()
    one.communicate()
    time.sleep(2 * speech_lock.LINGER_S)
    assert speech_lock.speech_in_flight()
    with monkeypatch.context() as patched:
        patched.setattr(speech_lock, "LINGER_S", 60.0)  # however long a process takes to end
        other.communicate()
        # The next step of the same request may be about to begin.
        assert speech_lock.speech_in_flight()
    assert is_quiet_soon()


def test_a_clock_that_was_set_back_is_no_speech(tmp_path):
    with speech_lock.speech():
        pass
    [file] = tmp_path.iterdir()
    an_hour_ahead = time.time() + 3600
    os.utime(file, (an_hour_ahead, an_hour_ahead))
    assert not speech_lock.speech_in_flight()
    with speech_lock.speech():
        os.utime(file, (an_hour_ahead, an_hour_ahead))
        assert speech_lock.speech_in_flight()


def test_a_killed_process_holds_nothing():
    process = hold()
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    process.stdin.close()
    assert is_quiet_soon()


def test_threads_of_one_process_hold_it_each_for_itself():
    with speech_lock.speech():
        with speech_lock.speech():
            pass
        time.sleep(2 * speech_lock.LINGER_S)
        assert speech_lock.speech_in_flight()


def test_looking_does_not_keep_speech_out():
    with speech_lock.speech():
        assert speech_lock.speech_in_flight()
    with speech_lock.speech():
        pass


def test_without_the_directory_the_work_goes_on(monkeypatch):
    monkeypatch.setenv(speech_lock.RUN_DIRECTORY, os.path.join(os.sep, "no", "such"))
    with speech_lock.speech():
        assert not speech_lock.speech_in_flight()
