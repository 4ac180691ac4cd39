"""The verb demo: a conversation transcribed while emails are triaged, on a server of its own."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from build_scripts import child_process, processes
from build_scripts import paths as layout
from build_scripts.bootstrap import samples
from build_scripts.commands import serve, setup
from build_scripts.console import say
from build_scripts.errors import ServerError
from build_scripts.server import settings, state

if TYPE_CHECKING:
    from onecard_client import Client, Transcript


MAILS = layout.ROOT / "samples" / "mails"
_HANDED_OUT = Path("/proc/sys/net/ipv4/ip_local_port_range")


def main(arguments: Sequence[str]) -> None:
    """Set up, then play. Raises BuildError."""
    parser = argparse.ArgumentParser(prog="python -m build_scripts demo")
    parser.add_argument("--no-setup", action="store_true", help="everything is there already")
    if not parser.parse_args(arguments).no_setup:
        setup.main("setup", [])
        say("")
    if os.path.realpath(sys.prefix) != os.path.realpath(layout.VENV):
        # What follows needs the client and with it the environment's packages.
        sys.stdout.flush()
        python = str(layout.PYTHON)
        os.execv(python, [python, "-m", "build_scripts", "demo", "--no-setup"])
    play()


def play() -> None:
    """Transcribe the bundled conversation beside a triage of the bundled mails.

    Raises ServerError.
    """
    from onecard_client import Client, OnecardError

    recording = samples.folder(setup.CONVERSATION) / "sample.wav"
    signal.signal(signal.SIGTERM, _interrupt)
    with (
        running() as one,
        Client(f"{one.reachable_address}:{one.grpc_port}") as client,
        ThreadPoolExecutor(1) as background,
    ):
        say(f"\ntriaging the mails in {_relative(MAILS)}")
        verdicts = background.submit(triage, client)
        say(f"transcribing {_relative(recording)} at the same time")
        started_s = time.monotonic()
        try:
            transcript = client.transcribe(recording)
            show(transcript, time.monotonic() - started_s)
            say("\nthe triage, which waits between two mails while somebody speaks:")
            for line in verdicts.result():
                say(line)
        except OnecardError as error:
            raise ServerError(f"the demonstration failed: {error}") from None
        written = write(transcript, layout.ROOT / ".demo")
        say("\nthe recording and its reference turns: " + _relative(recording.parent))
        say("the transcript: " + ", ".join(_relative(path) for path in written))
    say("`make serve` starts a server that stays; `onecard transcribe FILE`, `onecard chat` and")
    say("`onecard triage MAILS` use it")


def triage(client: Client) -> list[str]:
    """A line for each of the bundled mails, with what the model makes of it, and a summary."""
    from onecard_client._mailbox import sources

    emails = {email.id: email for email in sources.read([str(MAILS)], lambda *_: None)}
    lines = []
    stream = client.triage(emails.values())
    for verdict in stream:
        due = f", due {verdict.due}" if verdict.due else ""
        review = ", for review" if verdict.needs_review else ""
        what = f"{verdict.category}, {verdict.priority}{due}{review}"
        lines.append(f"  {emails[verdict.id].subject[:44]:44}  {what}")
    found = stream.summary
    if found is not None:
        lines.append(
            f"{found.mails} mails, {len(found.calls)} calls of the model, {found.prompt_tokens} "
            f"tokens in and {found.completion_tokens} out, {found.seconds:.1f} s, of which "
            f"{found.waited_s:.1f} s waiting for speech"
        )
    return lines


@contextlib.contextmanager
def running() -> Iterator[settings.Settings]:
    """A server on free ports, ready; ended when the block is left, however it is left."""
    flags = []
    names = ("--http-port", "--grpc-port", "--metrics-port")
    for name, port in zip(names, free_ports(len(names)), strict=True):
        flags += [name, str(port)]
    parser = argparse.ArgumentParser()
    settings.add_arguments(parser)
    one = settings.from_arguments(parser.parse_args(flags))
    one.messages.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "build_scripts", "serve", *flags]
    with one.messages.open("wb") as file:
        process = subprocess.Popen(
            command,
            cwd=layout.ROOT,
            env={**os.environ, "DETACH": ""},
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=child_process.end_with_parent,
        )
    try:
        while process.poll() is None and not state.is_held(one.run):
            time.sleep(serve.POLL_S)
        serve.wait(one, serve.WAIT_TIMEOUT_S)
        yield one
    finally:
        process.terminate()
        process.wait()


def free_ports(count: int) -> list[int]:
    """Ports of the loopback address that nobody listens on now.

    They lie below those that the kernel hands out by itself, so that no connection takes one
    before a server does; where too few lie there, the kernel hands them out.
    """
    below = range(1024, int(_HANDED_OUT.read_text(encoding="ascii").split()[0]))
    shuffled = random.sample(below, len(below))
    free = (port for port in shuffled if processes.is_free("127.0.0.1", port))
    found = list(itertools.islice(free, count))
    return found if len(found) == count else _handed_out(count)


def _handed_out(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def show(transcript: Transcript, seconds: float) -> None:
    """Print who said what when, where the seconds of audio went, and how fast it was."""
    for segment in transcript.segments:
        speaker = segment.speaker or "?"
        say(f"  {segment.start:6.2f} - {segment.end:6.2f}  {speaker}: {segment.text.strip()}")
    account = transcript.account
    say(
        f"\n{account.duration_s:.2f} s of audio = {account.speech_s:.2f} s speech + "
        f"{account.silence_s:.2f} s silence; speech = {account.transcribed_s:.2f} s transcribed + "
        f"{account.dropped_s:.2f} s dropped"
    )
    say(
        f"{account.num_words} words, {account.num_words_interpolated} with interpolated times, "
        f"{account.num_words_untimed} without; {len(transcript.speakers)} speakers; "
        f"language {transcript.language}"
    )
    say(f"{seconds:.1f} s of work, {account.duration_s / seconds:.1f} times real time")


def write(transcript: Transcript, folder: Path) -> list[Path]:
    """Write the transcript as JSON and as subtitles."""
    folder.mkdir(exist_ok=True)
    paths = [folder / "conversation.json", folder / "conversation.srt"]
    texts = (transcript.to_json(indent=2), transcript.to_srt())
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text, encoding="utf-8")
    return paths


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _relative(path: Path) -> str:
    return str(path.relative_to(layout.ROOT))
