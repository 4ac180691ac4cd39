"""A plan as it will run: fitted to its memory, with its ledger and the caps of its KV caches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from build_scripts import arguments, paths
from build_scripts.errors import PlanError
from build_scripts.memory import fit, kv_cache
from build_scripts.memory.kv_cache import KvCaps
from build_scripts.memory.ledger import Ledger
from build_scripts.memory.measured import Figures, read_figures
from build_scripts.plans import plan as plans
from build_scripts.plans.schema import Plan

NO_FIGURES: Figures = MappingProxyType({})
NO_ENVIRONMENT: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Deployment:
    """A plan as it will run; made once a command, and handed to everyone who asks about it."""

    plan: Plan  # after the fit; as it was stated if nothing fits
    changes: tuple[str, ...]  # what the fit changed, a sentence each
    kv_caps: KvCaps  # with what the environment replaces
    cap_changes: tuple[str, ...]  # what the environment replaced, a sentence each
    ledger: Ledger | None  # with these caps; None without a card
    figures: Figures  # what was measured on this kind of GPU

    @property
    def fits(self) -> bool:
        return self.ledger is None or self.ledger.fits

    @property
    def is_overridden(self) -> bool:
        """Whether the environment replaces a cap by another value than the plan's."""
        return bool(self.cap_changes)


def resolve(
    name: str,
    vram_gib: float | None = None,
    environment: Mapping[str, str] = NO_ENVIRONMENT,
    say: Callable[[str], None] = lambda line: None,
    must_fit: bool = True,
) -> Deployment:
    """Read the plan `plans/<name>.toml` and what was measured on its GPU, and deploy it.

    Args:
        vram_gib: the memory to fit it to; None for its own `card.vram_gib`.
        environment: what may replace a cap of the KV caches; nothing unless it is given.
        say: told every change that makes it fit.
        must_fit: False to get a plan that does not fit as it was stated.

    Raises PlanError if it cannot be read, does not fit, or breaks by the environment.
    """
    plan = plans.with_vram(plans.load(name), vram_gib)
    figures = NO_FIGURES if plan.card is None else read_figures(plan.card, paths.MEASURED)
    deployment = deploy(plan, figures, environment)
    shown = arguments.shown(vram_gib)
    if must_fit and not deployment.fits:
        raise PlanError(
            f"plan `{name}` does not fit {f'{vram_gib:g} GiB' if shown else 'its card'}: "
            f"`make plan PLAN={name}{shown}` prints where every byte goes and what would make it "
            "fit"
        )
    for change in deployment.changes:
        say(f"plan {name}, to fit {shown.strip() or 'card.vram_gib'}: {change}")
    return deployment


def deploy(
    plan: Plan, figures: Figures = NO_FIGURES, environment: Mapping[str, str] = NO_ENVIRONMENT
) -> Deployment:
    """Fit a plan to its memory; a pure function of its arguments.

    The caps of a plan that does not fit are its own, whatever the environment says.
    Raises PlanError if the environment breaks the ledger or an engine.
    """
    fitted = fit.fit_plan(plan, figures)
    planned = kv_cache.planned_caps(fitted.plan, fitted.ledger)
    caps, ledger = planned, fitted.ledger
    if fitted.fits:
        caps, ledger = kv_cache.overridden_caps(
            fitted.plan, fitted.ledger, planned, environment, figures
        )
    changes = tuple(
        f"{engine}: {name} is {value} instead of {planned[engine].get(name, 'none')}"
        for engine, values in caps.items()
        for name, value in values.items()
        if value != planned[engine].get(name)
    )
    return Deployment(fitted.plan, fitted.changes, caps, changes, ledger, figures)
