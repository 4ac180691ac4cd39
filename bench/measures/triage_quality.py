"""How often the model gives a mail the category and the priority that a person gave it.

60 made-up mails in four languages, one server for each engine: the plan's, and those that
`BENCH_ENGINES` names (directories as `make engines` makes them, with commas between).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.mails import labelled
from build_scripts.server.temporary import running, told
from onecard_client import Client

ROOT = Path(__file__).parents[2]
EMBEDDED = "engines/cpu/llm"  # as the plan spells it
TIMEOUT_S = 4 * 3600.0


def measure() -> dict[str, Any]:
    """Accuracies by engine."""
    others = [name for name in os.environ.get("BENCH_ENGINES", "").split(",") if name]
    return {name: _of(name) for name in (EMBEDDED, *others)}


def _of(engine: str) -> dict[str, Any]:
    mails = labelled()
    categories = sorted({mail.category for mail in mails})
    with (
        serving(engine),
        running() as one,
        Client(f"{one.reachable_address}:{one.grpc_port}") as client,
    ):
        started_s = time.monotonic()
        emails = [mail.email for mail in mails]
        stream = client.triage(emails, categories=categories, drafts=False, timeout_s=TIMEOUT_S)
        verdicts = {verdict.id: verdict for verdict in stream}
        elapsed_s = time.monotonic() - started_s
        summary = stream.summary
    assert summary is not None
    right = [verdicts[mail.email.id].category == mail.category for mail in mails]
    urgent = [verdicts[mail.email.id].priority == mail.priority for mail in mails]
    common = Counter(mail.category for mail in mails).most_common(1)[0][1]
    often = Counter(mail.priority for mail in mails).most_common(1)[0][1]
    found = {
        "model": dict(summary.engine or {}).get("model"),
        "category_accuracy": sum(right) / len(mails),
        "always_the_commonest_category": common / len(mails),
        "priority_accuracy": sum(urgent) / len(mails),
        "always_the_commonest_priority": often / len(mails),
        "decided": summary.decided,
        "needs_review": len(summary.needs_review),
        "seconds": elapsed_s,
        "prompt_tokens": summary.prompt_tokens,
        "completion_tokens": summary.completion_tokens,
    }
    print(
        f"  {found['model']}: category {sum(right)} of {len(mails)} (the commonest one: {common}), "
        f"priority {sum(urgent)} (the commonest one: {often}), {found['needs_review']} for review, "
        f"{elapsed_s:.0f} s",
        flush=True,
    )
    return found


@contextlib.contextmanager
def serving(engine: str) -> Iterator[None]:
    """While this is held, a server that starts serves `engine` as its LLM."""
    if engine == EMBEDDED:
        yield
        return
    with tempfile.TemporaryDirectory() as folder:
        repository = Path(folder) / "model_repository"
        shutil.copytree(ROOT / "model_repository", repository)
        for name in ("llm", "chat", "triage", "minutes"):
            path = repository / name / "config.pbtxt"
            text = path.read_text(encoding="utf-8").replace(EMBEDDED, str(Path(engine).resolve()))
            path.write_text(text, encoding="utf-8")
        with told("REPOSITORY", str(repository)):
            yield
