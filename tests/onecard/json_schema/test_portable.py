"""Schemas as grammars that every version of xgrammar reads alike: what each lets through is valid.

The grammars are made by this environment's version, the texts by whichever is on PYTHONPATH
(tests/onecard/guides/test_versions.py).
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import xgrammar

from onecard.guides import ebnf
from tests.onecard.json_schema.test_following import FOLLOWED, only
from tests.onecard.json_schema.walks import walk

ROOT = Path(__file__).parents[3]
LETTERS = [chr(code) for code in range(0x20, 0x7F)]
LETTERS += ["\n", "\t", "\x00", "\x7f", *"é日本😀öäüßÿ"]
TOKENS = [*LETTERS, '":', '"}', '",', '\\"', "true", "null", "12", "</s>"]
STOP = len(TOKENS) - 1
SCHEMAS: dict[str, Any] = {
    **FOLLOWED,
    "names beyond ASCII": only({"enum": ["Größe", "日本 0", "ÿa😀"]}, required=["a"]),
    "a property beyond ASCII": {
        "type": "object",
        "properties": {"Größe": {"const": "ßa"}},
        "required": ["Größe"],
        "additionalProperties": False,
    },
    "few letters": only({"type": "string", "pattern": "^[äöüß0-9a-f]{1,3}$"}),
}
MAKE = """
import json, sys
import xgrammar
from onecard.guides import ebnf
from onecard.json_schema.document import Document
from onecard.json_schema.following import followed
grammar = xgrammar.Grammar
def made(schema):
    text = json.dumps(followed(Document(schema)), ensure_ascii=False)
    found = grammar.from_json_schema(text, max_whitespace_cnt=1)
    return ebnf.portable(str(found), lambda pattern: str(grammar.from_regex(pattern)))
print(json.dumps({name: made(schema) for name, schema in json.load(sys.stdin).items()}))
"""


@pytest.fixture(scope="module")
def grammars() -> dict[str, str]:
    done = subprocess.run(
        [sys.executable, "-c", MAKE],
        input=json.dumps(SCHEMAS),
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", SCHEMAS)
def test_whatever_each_version_lets_through_is_valid(grammars, name):
    expected = os.environ.get("GUIDES_VERSION")
    assert expected in (None, version("xgrammar"))
    info = xgrammar.TokenizerInfo(TOKENS, vocab_type=xgrammar.VocabType.RAW, stop_token_ids=[STOP])
    compiled = xgrammar.GrammarCompiler(info, max_threads=1).compile_grammar(grammars[name])
    schema, draw = SCHEMAS[name], random.Random(1)
    kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    mask = xgrammar.allocate_token_bitmask(1, len(TOKENS))
    texts = [text for _ in range(25) if (text := walk(compiled, draw, TOKENS, mask)) is not None]
    assert texts
    for text in texts:
        kind(schema).validate(json.loads(text))


def test_what_old_versions_cannot_tell_apart_is_refused():
    with pytest.raises(ValueError, match="beyond ASCII"):
        ebnf.portable(r"root ::= (([\u4e00-\u9fff]))", str)


def test_the_parts_of_a_printed_grammar():
    found = ebnf.portable(
        'root ::= (("Gr\\xf6\\xdfe" a{0, -1} b{1, -1} c{2, 3} [^\\0-\\x1f\\"\\\\]))', str
    )
    assert found.splitlines() == [
        r'root ::= ((("Gr" letter_f6 letter_df "e") a* b+ c{2,3} [^\u0000-\u001f\u0022\u005c]))',
        'letter_f6 ::= "ö"',
        'letter_df ::= "ß"',
    ]
