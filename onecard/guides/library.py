"""xgrammar of any version, without what it imports for GPUs and tokenizers alone."""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from onecard.guides import ebnf

# torch for masks on a GPU, the others for tokenizers: a process that compiles needs none of them,
# and with them it takes 330 MB and seconds instead of 50 MB.
_UNUSED = ("torch", "transformers", "sentencepiece", "tiktoken")
# White space in the JSON of a schema, in one place: small models otherwise never leave it.
MAX_WHITESPACE = 1


class _Nothing(types.ModuleType):
    """A package of which any name can be imported, and nothing used."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name[0].isupper():
            return type(name, (), {})
        return lambda *args, **kwargs: None


@contextlib.contextmanager
def _in_place_of(modules: dict[str, Any]) -> Iterator[None]:
    """These modules, where nobody has loaded the real ones; None for one that is not there."""
    missing = [name for name in modules if name not in sys.modules]
    sys.modules.update({name: modules[name] for name in missing})
    try:
        yield
    finally:
        for name in missing:
            del sys.modules[name]


def _load() -> Any:
    with _in_place_of({"torch": None}), contextlib.suppress(ImportError):
        importlib.import_module("tvm_ffi")  # of 0.2; it does without
    with _in_place_of({name: _Nothing(name) for name in _UNUSED}):
        return importlib.import_module("xgrammar")


class Library:
    """Compiles guides for one vocabulary.

    Args:
        facts: the JSON of NVIDIA's generate_xgrammar_tokenizer_info.py.
        own_schemas: make the JSON of schemas with little white space, which old versions cannot.
    """

    def __init__(
        self, facts: Path | str, vocab_size: int, num_threads: int, own_schemas: bool
    ) -> None:
        self._xgrammar = _load()
        self._own_schemas = own_schemas
        self.info = tokenizer_info(self._xgrammar, facts, vocab_size)
        self._num_threads = num_threads

    def grammar(self, schema: str) -> str:
        """The grammar of a JSON schema, as text that any version reads; this one's is 0.2."""
        grammar = self._xgrammar.Grammar
        found = grammar.from_json_schema(schema, max_whitespace_cnt=MAX_WHITESPACE)
        return ebnf.portable(str(found), lambda pattern: str(grammar.from_regex(pattern)))

    def compile(self, kind: str, text: str) -> Any:
        """A compiled grammar; raises whatever xgrammar does where `text` is no `kind`."""
        compiler = self._xgrammar.GrammarCompiler(
            self.info, max_threads=self._num_threads, cache_enabled=False
        )
        if kind == "json":
            return compiler.compile_builtin_json_grammar()
        if kind == "regex":
            return compiler.compile_regex(text)
        if kind == "ebnf_grammar":
            return compiler.compile_grammar(text)
        more = {"max_whitespace_cnt": MAX_WHITESPACE} if self._own_schemas else {}
        return compiler.compile_json_schema(text, **more)


def tokenizer_info(xgrammar: Any, facts: Path | str, vocab_size: int) -> Any:
    """The vocabulary of an engine as xgrammar wants it.

    Raises:
        OSError, ValueError, KeyError, TypeError, RuntimeError: the file is not what it has to be.
    """
    found = json.loads(Path(facts).read_text(encoding="utf-8"))
    metadata = xgrammar.TokenizerInfo._detect_metadata_from_hf(found["tokenizer_str"])
    return xgrammar.TokenizerInfo(
        found["encoded_vocab"],
        vocab_type=metadata["vocab_type"],
        vocab_size=vocab_size,
        stop_token_ids=found["stop_token_ids"],
        add_prefix_space=metadata["add_prefix_space"],
    )
