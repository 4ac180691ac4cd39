"""The peaks of each GPU: bytes from its memory and operations of its tensor cores, a second."""

from __future__ import annotations

from dataclasses import dataclass

from build_scripts.errors import PlanError
from build_scripts.plans.schema import Plan


@dataclass(frozen=True)
class Peak:
    """Dense peaks at the boost clock, without sparsity."""

    bandwidth: float  # bytes a second
    flops: float  # multiplications and additions of float16, summed in float32, a second
    half_flops: float  # the same, summed in float16: on GeForce at twice the rate
    source: str  # the table that the three are from

    @property
    def tf32_flops(self) -> float:
        """Operations on float32 a second: half of float16's in each of the tables."""
        return self.flops / 2

    @property
    def ridge(self) -> float:
        """Operations for each byte above which the tensor cores limit, and no longer the memory."""
        return self.flops / self.bandwidth


_GA102 = "NVIDIA Ampere GA102 GPU Architecture, whitepaper V2"
# By `card.name` of the plans.
PEAKS = {
    "RTX 3090": Peak(936e9, 71e12, 142e12, _GA102),
    "RTX 4090": Peak(
        1008e9, 165.2e12, 330.3e12, "NVIDIA Ada GPU Architecture, whitepaper V2.02, appendix A"
    ),
    "RTX 5090": Peak(
        1792e9, 209.5e12, 419e12, "NVIDIA RTX Blackwell GPU Architecture, whitepaper, appendix A"
    ),
    "A10": Peak(600e9, 125e12, 125e12, "NVIDIA A10 datasheet"),
    "A40": Peak(696e9, 149.7e12, 149.7e12, _GA102),
    # Stated is one petaFLOP of FP4 with sparsity; dense float16 is an eighth of that. Whether sums
    # in float32 halve it, as on GeForce, is not: the higher makes a bound from above.
    "GB10": Peak(273e9, 125e12, 125e12, "NVIDIA DGX Spark datasheet; operations scaled from FP4"),
}


def peak(plan: Plan) -> Peak:
    """The peaks of the plan's GPU. Raises PlanError if it states none, or an unknown one."""
    if plan.card is None:
        raise PlanError(
            f"plan `{plan.name}` states no card, so there is no peak to compute with; ask for a "
            "plan with a [card], such as rtx3090. What a CPU does is measured: `make bench`"
        )
    if plan.card.name not in PEAKS:
        raise PlanError(
            f"no peaks are known of card.name `{plan.card.name}` (plan `{plan.name}`); known: "
            f"{', '.join(PEAKS)}. Add its datasheet's to build_scripts/roofline/peaks.py"
        )
    return PEAKS[plan.card.name]
