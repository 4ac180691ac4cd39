"""What is seen of processes that are made for it: running, stopped, ended, gone, listening."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from build_scripts import processes
from tests.waiting import PATIENCE_S

NOBODY = 2**22 + 1  # above the highest pid that Linux gives
MARK = "ONECARD_TEST_OF_PROCESSES"


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process that has said that it runs, with a variable and an argument of its own."""
    code = "print('ready', flush=True); import sys; sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-S", "-c", code, f"an argument with {MARK} in it"],
        env={**os.environ, MARK: str(os.getpid())}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process
        with contextlib.suppress(ProcessLookupError):
            process.kill()


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def test_a_process_is_found_by_what_it_was_started_with(child: subprocess.Popen[bytes]) -> None:
    assert processes.mentioning(MARK) == [child.pid]
    assert processes.with_variable(MARK, str(os.getpid())) == [child.pid]
    assert processes.with_variable(MARK, "another value") == []
    assert processes.arguments(child.pid)[-1] == f"an argument with {MARK} in it"
    assert child.pid in processes.children(os.getpid())


def test_a_death_is_told_at_once(child: subprocess.Popen[bytes]) -> None:
    began_s = time.monotonic()
    processes.until_one_ends([os.getpid(), child.pid], timeout_s=0.05)
    assert time.monotonic() - began_s >= 0.05
    child.kill()
    processes.until_one_ends([os.getpid(), child.pid], PATIENCE_S)
    assert child.poll() is not None or processes.zombies(os.getpid()) == [child.pid]
    child.wait()
    processes.until_one_ends([os.getpid(), child.pid], PATIENCE_S)
    assert time.monotonic() - began_s < PATIENCE_S


def test_a_process_is_found_by_the_name_of_its_program(child: subprocess.Popen[bytes]) -> None:
    name = os.path.basename(sys.executable)
    assert child.pid in processes.running(name)
    assert processes.running(f"{name}-of-nobody") == []


def test_a_signal_stops_a_process_and_another_lets_it_go_on(child: subprocess.Popen[bytes]) -> None:
    assert not processes.is_stopped(child.pid)
    child.send_signal(signal.SIGSTOP)
    wait_until(lambda: processes.is_stopped(child.pid))
    assert processes.is_alive(child.pid)
    child.send_signal(signal.SIGCONT)
    wait_until(lambda: not processes.is_stopped(child.pid))


def test_a_zombie_has_ended_and_is_its_parent_s_to_look_after(
    child: subprocess.Popen[bytes],
) -> None:
    assert processes.is_alive(child.pid)
    child.kill()
    wait_until(lambda: not processes.is_alive(child.pid))
    assert child.pid in processes.zombies(os.getpid())
    assert processes.arguments(child.pid) == []
    child.wait()
    assert child.pid not in processes.zombies(os.getpid())


def test_of_a_process_that_is_gone_there_is_nothing() -> None:
    assert not processes.is_alive(NOBODY)
    assert not processes.is_alive(-1)
    assert not processes.is_stopped(NOBODY)
    assert processes.children(NOBODY) == processes.zombies(NOBODY) == []
    assert processes.arguments(NOBODY) == []
    assert processes.processor_s(NOBODY) == processes.started_s(NOBODY) == 0.0


def test_processor_time_grows_with_work() -> None:
    before_s = processes.processor_s(os.getpid())
    ended_s = time.process_time() + 0.2
    while time.process_time() < ended_s:
        pass
    assert processes.processor_s(os.getpid()) - before_s >= 0.1


def test_who_listens_is_named_by_pid_and_command() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        port = listening.getsockname()[1]
        found = processes.listener(port)
        assert found.startswith(f"pid {os.getpid()} (`")
        assert not processes.is_free("127.0.0.1", port)
    assert processes.listener(port) == "a process that cannot be seen from here"
