"""Measures one subject in a process of its own: alignment, diarization, or KV caches."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from build_scripts import errors
from build_scripts.measure import meter as measure_meter
from build_scripts.measure.meter import Meter
from build_scripts.memory import shapes
from build_scripts.memory.engines import in_blocks, whisper_kv_tokens
from build_scripts.memory.processes import SEGMENT_S
from build_scripts.plans import plan as plans
from build_scripts.plans.schema import Plan
from onecard.contract.whisper import SAMPLE_RATE

SUBJECTS = ("align", "diarize", "kv")
WINDOW_S = 10  # of pyannote's segmentation and of what it embeds
# Of transformers' Wav2Vec2Config, whose defaults are facebook/wav2vec2-base's.
BASE: dict[str, Any] = {}
LARGE: dict[str, Any] = {  # config.json of jonatasgrosman/wav2vec2-large-xlsr-53-*
    "hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16,
    "intermediate_size": 4096, "feat_extract_norm": "layer", "conv_bias": True,
    "do_stable_layer_norm": True,
}  # fmt: skip
TINY: dict[str, Any] = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64
}  # fmt: skip


@dataclass(frozen=True)
class Effort:
    """What is run; the largest of `seconds` and the plan's own batch are always among the steps."""

    align: dict[str, dict[str, Any]]  # networks by name; the ledger takes the last one's figures
    seconds: tuple[int, ...]
    batches: tuple[int, ...]
    windows: tuple[int, ...]
    window_s: int = WINDOW_S


FULL = Effort({"base": BASE, "large": LARGE}, (5, 15, SEGMENT_S), (1, 2, 4, 8), (1, 4, 8, 16, 32))
# To try the code: says nothing of anything.
TRIAL = Effort({"base": TINY, "large": TINY}, (1, 2), (1,), (1,), window_s=2)


class Subject:
    """Collects figures and sweeps as they come in."""

    def __init__(self, meter: Meter) -> None:
        self.meter = meter
        self.figures: dict[str, dict[str, Any]] = {}
        self.sweeps: list[dict[str, Any]] = []

    def weights(self, name: str, make: Callable[[], nn.Module], dtype: torch.dtype) -> nn.Module:
        """The network on the device; what it took becomes a figure."""
        before = self.meter.held()
        network = make().eval().to(self.meter.device, dtype)
        number = sum(one.numel() for one in network.parameters())
        took = self.meter.held() - before
        self.figures[name] = _figure(took, f"{number:,} parameters, {_name(dtype)}")
        return network

    def sweep(
        self, what: str, run: Callable[[int], object], batches: Sequence[int], **about: Any
    ) -> dict[int, int]:
        """Bytes by batch; from the first one that does not fit on there are none."""
        found: dict[int, int] = {}
        for batch in sorted(set(batches)):
            before = self.meter.held()
            try:
                with torch.inference_mode():
                    run(batch)
            except torch.OutOfMemoryError:
                break
            found[batch] = max(0, self.meter.peak() - before)
            self.sweeps.append({"what": what, "batch": batch, **about, "bytes": found[batch]})
        return found


def align(subject: Subject, plan: Plan, effort: Effort) -> None:
    dtype = torch.float16 if subject.meter.device.type == "cuda" else torch.float32
    if plan.align.precision == "float32":
        dtype = torch.float32
    wanted = plan.align.batch_size
    for size, config in effort.align.items():
        # The ledger asks for the weights where a single language is loaded: a large plan.
        figure = "align_weights" if size == "large" else f"align_weights_{size}"
        network = subject.weights(figure, partial(aligner, config), dtype)
        for seconds in effort.seconds:
            found = subject.sweep(
                f"wav2vec2 {size}", _aligner(subject.meter, network, seconds, dtype),
                (*effort.batches, wanted), seconds=seconds,
            )  # fmt: skip
        how = f"wav2vec2 {size}, segments of {effort.seconds[-1]} s, {_name(dtype)}"
        name = "align_working_set" if size == "large" else f"align_working_set_{size}"
        _keep(subject, name, found, wanted, how)
        del network


def aligner(config: dict[str, Any]) -> nn.Module:
    """A wav2vec2 with random weights."""
    from transformers import Wav2Vec2Config, Wav2Vec2ForCTC  # the other subjects need none

    made: nn.Module = Wav2Vec2ForCTC(Wav2Vec2Config(**config))
    return made


def _aligner(
    meter: Meter, network: nn.Module, seconds: int, dtype: torch.dtype
) -> Callable[[int], object]:
    """A forward pass as `onecard.alignment.acoustic` runs it."""

    def run(batch: int) -> object:
        samples = torch.randn(batch, seconds * SAMPLE_RATE).to(meter.device, dtype)
        return torch.log_softmax(network(samples).logits.float(), dim=-1).cpu()

    return run


def diarize(subject: Subject, plan: Plan, effort: Effort) -> None:
    """Segmentation and embedding follow each other in plan allocator, so the larger peak counts."""
    from build_scripts.measure import speakers  # pyannote takes seconds to import

    samples = effort.window_s * SAMPLE_RATE
    device = subject.meter.device
    network = subject.weights(
        "segmentation_weights", lambda: speakers.segmentation(effort.window_s), torch.float32
    )
    segmented = subject.sweep(
        "segmentation", lambda n: network(torch.randn(n, 1, samples).to(device)).cpu(),
        (*effort.windows, plan.diarize.segmentation_batch_size), seconds=effort.window_s,
    )  # fmt: skip
    kinds = {"diarize": speakers.own_embedding, "diarize_pipeline": speakers.wespeaker}
    for prefix, make in kinds.items():
        encoder = subject.weights(f"{prefix}_weights", make, torch.float32)
        run = speakers.embedder(encoder, device)
        embedded = subject.sweep(
            f"{prefix} embedding", lambda n, run=run: run(torch.randn(n, 1, samples)),  # type: ignore[misc]
            (*effort.windows, plan.diarize.embedding_batch_size), seconds=effort.window_s,
        )  # fmt: skip
        weights = subject.figures[f"{prefix}_weights"]
        weights["bytes"] += subject.figures["segmentation_weights"]["bytes"]
        weights["how"] = f"segmentation and embedding: {weights['how']} of the latter"
        how = f"windows of {effort.window_s} s, float32"
        _keep_larger(subject, f"{prefix}_working_set", plan, (segmented, embedded), how)
        del encoder, run
    del subject.figures["segmentation_weights"]


def _keep_larger(
    subject: Subject,
    name: str,
    plan: Plan,
    sweeps: tuple[dict[int, int], dict[int, int]],
    how: str,
) -> None:
    segmented, embedded = sweeps
    batches = plan.diarize.segmentation_batch_size, plan.diarize.embedding_batch_size
    sizes = segmented.get(batches[0]), embedded.get(batches[1])
    if None in sizes:
        return
    is_segmentation = (sizes[0] or 0) >= (sizes[1] or 0)
    found, batch = (segmented, batches[0]) if is_segmentation else (embedded, batches[1])
    what = "segmentation" if is_segmentation else "embedding"
    _keep(subject, name, found, batch, f"{what}, {how}")


def kv(subject: Subject, plan: Plan, effort: Effort) -> None:
    """Pools of the plan's sizes, as TensorRT-LLM allocates them: plan tensor for a window."""
    whisper, llm = shapes.whisper(plan.speech.model), shapes.llm(plan.llm.architecture)
    tokens = {
        "whisper_kv": in_blocks(whisper_kv_tokens(plan)),
        "llm_kv": in_blocks(plan.llm.kv_tokens),
    }
    pools = {
        "whisper_kv": (2, whisper.kv_bytes_per_token),  # self and cross
        "llm_kv": (1, llm.kv_bytes_per_token),
    }
    for name, (count, width) in pools.items():
        length = tokens[name] if effort is FULL else 64
        before = subject.meter.held()
        try:
            made = [_pool(length * width, subject.meter.device) for _ in range(count)]
        except torch.OutOfMemoryError:
            continue
        how = f"{count} of {length} tokens x {width:,} bytes"
        subject.figures[name] = _figure(subject.meter.held() - before, how)
        del made


def _pool(num_bytes: int, device: torch.device) -> Tensor:
    return torch.ones(num_bytes, dtype=torch.uint8, device=device)


def _keep(subject: Subject, name: str, found: dict[int, int], batch: int, how: str) -> None:
    """The figure for the plan's own batch, where it fitted."""
    if batch in found:
        subject.figures[name] = {**_figure(found[batch], f"{how}, batch {batch}"), "batch": batch}


def _figure(num_bytes: int, how: str) -> dict[str, Any]:
    return {"bytes": num_bytes, "how": how}


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def measured(name: str, device: str, plan: Plan, effort: Effort) -> dict[str, Any]:
    """All of plan subject, or what came before an `error`. Raises MachineError where there is no
    such device."""
    torch.manual_seed(0)
    subject = Subject(measure_meter.meter(device))
    error, outside = "", None
    try:
        {"align": align, "diarize": diarize, "kv": kv}[name](subject, plan, effort)
        outside = subject.meter.outside()
    except Exception as caught:  # what was measured until then is worth having
        error = f"{type(caught).__name__}: {caught}"
    return {
        "error": error,
        "figures": subject.figures,
        "sweeps": subject.sweeps,
        "outside_bytes": outside,
        "torch": torch.__version__,
        "cuda": torch.version.cuda or "",
    }


def parsed(module: str, subjects: Sequence[str], arguments: Sequence[str]) -> argparse.Namespace:
    """The subject, the device and the plan of a process that measures one of `subjects`."""
    parser = argparse.ArgumentParser(prog=f"python -m build_scripts.{module}")
    parser.add_argument("subject", choices=subjects)
    parser.add_argument("--device", choices=("cuda", "cpu"), required=True)
    parser.add_argument("--plan", required=True)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> None:
    """Prints one subject as JSON on the last line of stdout. Raises PlanError."""
    asked = parsed("measure.networks", SUBJECTS, arguments)
    effort = FULL if asked.device == "cuda" else TRIAL
    found = measured(asked.subject, asked.device, plans.load(asked.plan), effort)
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    errors.run(main)
