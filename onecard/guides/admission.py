"""Admits guides to NVIDIA's executor: only those that were compiled here first, and not too many.

The executor compiles in the thread that makes the tokens of all requests, ends all requests if that
fails, and never drops a guide (NVIDIA/TensorRT-LLM,
cpp/tensorrt_llm/batch_manager/guidedDecoder.cpp).
"""

from __future__ import annotations

import hashlib
import json
import logging
import sys
import threading
from pathlib import Path

from onecard import manifest
from onecard.errors import InvalidRequest
from onecard.guides import vocabulary
from onecard.guides.guide import Guide
from onecard.guides.worker import GRAMMAR_OF_SCHEMA
from onecard.guides.workshop import Check, Limits, Work, Workshop

FACTS = "xgrammar_tokenizer_info.json"
# The engine's own xgrammar (docker/xgrammar.lock), installed next to that of this environment.
LIBRARY = Path(sys.prefix) / "share" / "onecard" / "xgrammar"
# All streams wait while the executor compiles. It has 8 threads for that, here there are 2.
LIMITS = Limits(max_s=6.0, max_guide_bytes=8 * 2**20)
# Of one model's guides that the executor keeps, in the memory of the host.
MAX_GUIDES = 1000
MAX_KEPT_BYTES = 512 * 2**20


class Admission:
    """Lets guides through to one engine, for one model that calls it.

    Args:
        library: where the engine's xgrammar lies; empty for this environment's in its place.
    """

    def __init__(self, facts: str, vocab_size: int, library: str) -> None:
        self._writing = Workshop(Work(facts, vocab_size), LIMITS, serialized=True)
        work = Work(facts, vocab_size, library, own_schemas=not library)
        self._reading = Workshop(work, LIMITS)
        self._lock = threading.Lock()
        self._schemas: dict[str, str] = {}  # what became of them
        self._kept: dict[str, int] = {}  # bytes of guides that the engine has

    @classmethod
    def for_engine(cls, engine_dir: str) -> Admission | None:
        """The admission to the engine in `engine_dir`; None for one that limits its guides itself.

        Raises ManifestError where there is no engine.
        """
        if manifest.read(Path(engine_dir)).backend != "tensorrtllm":
            return None
        if not LIBRARY.is_dir():
            logging.getLogger(__name__).warning(
                "`%s` is missing, guides are compiled with another xgrammar than the engine's: "
                "install docker/xgrammar.lock there (`pip install --no-deps --target`)",
                LIBRARY,
            )
        facts = Path(engine_dir) / FACTS
        size = vocabulary.size(engine_dir)
        if size is None:
            size = len(json.loads(facts.read_text(encoding="utf-8"))["encoded_vocab"])
        return cls(str(facts), size, str(LIBRARY) if LIBRARY.is_dir() else "")

    def ready(self, guide: Guide, check: Check) -> Guide:
        """The guide as the engine is to have it: a schema becomes a grammar that it follows alike.

        Raises:
            InvalidRequest: the engine cannot follow it, or has too many already.
            Unavailable: the guides of others take too long.
            Whatever `check` raises.
        """
        try:
            if guide.kind == "json_schema":
                guide = Guide("ebnf_grammar", self._grammar(guide.text, check))
            made = self._reading.made(guide.kind, guide.text, check)
        except InvalidRequest as error:
            raise InvalidRequest(
                f"the engine cannot be held to the form that the answer is to have: {error}"
            ) from error
        self._count(guide, made.num_bytes)
        return guide

    def close(self) -> None:
        self._writing.close()
        self._reading.close()

    def _grammar(self, schema: str, check: Check) -> str:
        key = hashlib.sha256(schema.encode()).hexdigest()
        if key not in self._schemas:
            found = self._writing.made(GRAMMAR_OF_SCHEMA, schema, check).serialized
            with self._lock:
                while len(self._schemas) >= MAX_GUIDES:
                    del self._schemas[next(iter(self._schemas))]
                self._schemas[key] = found
            return found
        return self._schemas[key]

    def _count(self, guide: Guide, num_bytes: int) -> None:
        key = hashlib.sha256(f"{guide.kind}:{guide.text}".encode()).hexdigest()
        with self._lock:
            is_new = key not in self._kept
            total = sum(self._kept.values()) + num_bytes
            if is_new and (len(self._kept) >= MAX_GUIDES or total > MAX_KEPT_BYTES):
                raise InvalidRequest(
                    f"the engine keeps {len(self._kept)} different forms of answers "
                    f"({(total - num_bytes) >> 20} MiB), and takes at most {MAX_GUIDES} and "
                    f"{MAX_KEPT_BYTES >> 20} MiB until it is started again; use a schema, or "
                    "categories, that were used before, or restart the server"
                )
            self._kept[key] = num_bytes
