"""How the backend says no: a message and Triton's code for it."""

from __future__ import annotations

INTERNAL = "INTERNAL"  # whatever NVIDIA's backend itself refuses
INVALID_ARG = "INVALID_ARG"  # what would crash an engine, and NVIDIA's backend does not look at
UNSUPPORTED = "UNSUPPORTED"  # the GPU would do it, the CPU engine cannot
CANCELLED = "CANCELLED"


class Refusal(Exception):
    """One request's error; `code` is the name of a `TritonError` constant."""

    def __init__(self, message: str, code: str = INTERNAL) -> None:
        super().__init__(message)
        self.code = code


class ExecutorRefusal(Refusal):
    """What NVIDIA's executor answers, in which the service names the request by its number."""


def unsupported(name: str, found: object, wanted: str) -> Refusal:
    """An input that the CPU engine cannot honour, by name: found, wanted, what to do."""
    return Refusal(
        f"`{name}` is `{found}`, which the CPU engine cannot honour; {wanted}, or serve this "
        "model with TensorRT-LLM engines on a GPU",
        UNSUPPORTED,
    )
