"""The verb play, the demo after setup: speech is transcribed while emails are triaged."""

from __future__ import annotations

import argparse
import signal
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType

from build_scripts import paths
from build_scripts.bootstrap import samples
from build_scripts.commands import demo, setup
from build_scripts.console import say
from build_scripts.errors import ServerError
from build_scripts.plans import plan
from build_scripts.server.settings import GATEWAY_PORT
from build_scripts.server.temporary import at_hand
from onecard_client import Client, OnecardError, Transcript, TriageSummary, Verdict
from onecard_client._mailbox import sources

EMAILS = paths.ROOT / "samples" / "mails"
EMBEDDED = "embedded"  # llm.checkpoint of the small model that comes in a package


def main(arguments: Sequence[str]) -> None:
    """Play it on the server that runs, else on one of its own. Raises BuildError."""
    parser = argparse.ArgumentParser(prog="python -m build_scripts play")
    demo.add_arguments(parser)
    shows_verdicts = parser.parse_args(arguments).verdicts
    recording = samples.folder(setup.CONVERSATION) / "sample.wav"
    signal.signal(signal.SIGTERM, _interrupt)
    with at_hand() as server, Client(f"{server.reachable_address}:{server.grpc_port}") as client:
        checkpoint = plan.load(server.plan).llm.checkpoint
        try:
            transcript = play(client, recording, checkpoint == EMBEDDED, shows_verdicts)
        except OnecardError as error:
            raise ServerError(f"the demonstration failed: {error}") from None
        written = write(transcript, paths.ROOT / ".demo")
        say(f"\nthe recording and its reference turns: {_relative(recording.parent)}")
        say("the transcript: " + ", ".join(_relative(path) for path in written))
    say("`make serve` starts a server that stays; `onecard transcribe FILE`, `onecard chat` and")
    say(f"`onecard triage MAILS` use it, and its page is at http://localhost:{GATEWAY_PORT}")


def play(client: Client, recording: Path, is_placeholder: bool, shows_verdicts: bool) -> Transcript:
    """Transcribe `recording` while the bundled emails are triaged. Raises OnecardError."""
    background = ThreadPoolExecutor(1)
    try:
        say(f"\ntriaging the emails in {_relative(EMAILS)}")
        triage = background.submit(triaged, client)
        say(f"transcribing {_relative(recording)} at the same time")
        started_s = time.monotonic()
        transcript = client.transcribe(recording)
        show_transcript(transcript, time.monotonic() - started_s)
        subjects, verdicts, summary = triage.result()
    finally:
        background.shutdown(wait=False)  # a triage that nobody reads ends with its client
    say("\nthe triage, which lets speech go first:")
    show_triage(summary)
    if is_placeholder:
        show_placeholder()
    if shows_verdicts:
        show_verdicts(subjects, verdicts)
    else:
        say("  `make demo ARGS=--verdicts` prints the verdicts")
    return transcript


def triaged(client: Client) -> tuple[dict[str, str], list[Verdict], TriageSummary]:
    """The subjects of the bundled emails by id, the verdicts, and the account of the work."""
    emails = list(sources.read([str(EMAILS)], lambda *_: None))
    stream = client.triage(emails)
    verdicts = list(stream)
    assert stream.summary is not None  # it ends every triage that raised nothing
    return {email.id: email.subject for email in emails}, verdicts, stream.summary


def show_transcript(transcript: Transcript, seconds: float) -> None:
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


def show_triage(summary: TriageSummary) -> None:
    """Print how many verdicts are valid, and where the seconds and tokens went."""
    say(
        f"  {summary.decided} of {summary.mails} verdicts valid, in {summary.seconds:.1f} s, of "
        f"which {summary.waited_s:.1f} s waiting for speech"
    )
    calls = "1 call" if len(summary.calls) == 1 else f"{len(summary.calls)} calls"
    say(
        f"  {calls} of the language model, {summary.prompt_tokens:,} tokens in, "
        f"{summary.completion_tokens:,} out"
    )


def show_placeholder() -> None:
    """Print that the embedded model is a placeholder, and how to put a real one in."""
    say("  the model is a placeholder of 135M parameters: for a real one put the path of a GGUF")
    say("  file into llm.checkpoint of plans/cpu.toml, `make engines`;")
    say("  or use a GPU (docs/gpu/gpu.md)")


def show_verdicts(subjects: dict[str, str], verdicts: Sequence[Verdict]) -> None:
    """Print what the model makes of each email."""
    say("")
    for verdict in verdicts:
        due = f", due {verdict.due}" if verdict.due else ""
        review = ", for review" if verdict.needs_review else ""
        what = f"{verdict.category}, {verdict.priority}{due}{review}"
        say(f"  {subjects[verdict.id][:44]:44}  {what}")


def write(transcript: Transcript, folder: Path) -> list[Path]:
    """Write the transcript as JSON and as subtitles."""
    folder.mkdir(exist_ok=True)
    written = [folder / "conversation.json", folder / "conversation.srt"]
    texts = (transcript.to_json(indent=2), transcript.to_srt())
    for path, text in zip(written, texts, strict=True):
        path.write_text(text, encoding="utf-8")
    return written


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _relative(path: Path) -> str:
    return str(path.relative_to(paths.ROOT))
