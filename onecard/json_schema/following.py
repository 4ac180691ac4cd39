"""Rewrites a schema into one that engines follow as a whole.

Engines look at one of `$ref`, `enum`, `anyOf`, `allOf` and `type`, in this order, and drop its
sibling keywords. So references, `allOf` and the siblings of a choice are merged, and the values of
an `enum` are checked one by one. Each place ends as a reference, a choice or one type.
Sources: mlc-ai/xgrammar, cpp/json_schema_converter.cc (`SchemaParser`); the rest was tried.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from typing import Any

from onecard.errors import InvalidRequest, shown
from onecard.json_schema import endings, keywords, merging, typed
from onecard.json_schema.disjoint import are_disjoint
from onecard.json_schema.document import Document
from onecard.json_schema.keywords import NothingFits, nothing_fits, refusal

Schema = dict[str, Any]


def followed(document: Document) -> Schema:
    """The schema to give to the engine in place of `document`.

    Raises:
        InvalidRequest: the engine cannot be held to it, or nothing fulfils it.
    """
    try:
        return _Rewriting(document).whole()
    except RecursionError as error:
        raise InvalidRequest(
            "the schema of `response_format` goes too deep, or refers to itself without end; "
            "send it flatter"
        ) from error


class _Rewriting:
    """One document's rewriting; `place` is always a JSON pointer for messages."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self._num_subschemas = 0
        self._names: dict[str, str] = {}  # of definitions, by what they define
        self._waiting: list[tuple[str, Any, str]] = []
        self._definitions: dict[str, Schema] = {}

    def whole(self) -> Schema:
        root, reason = self.rewritten(self.document.root, "#"), None
        while self._waiting:
            name, schema, place = self._waiting.pop()
            try:
                self._definitions[name] = self._settled(schema, place)
            except NothingFits as error:
                self._definitions[name], reason = endings.NOTHING, reason or error
        found = endings.pruned(root, self._definitions)
        if found is None:
            raise reason or nothing_fits("#", "it refers to itself without end")
        return found

    def rewritten(self, schema: Any, place: str) -> Schema:
        """One place of the schema in the form that engines follow."""
        if isinstance(schema, dict) and ("$ref" in schema or "allOf" in schema):
            return self._defined(schema, place)
        return self._settled(schema, place)

    def plain(self, schema: Any, place: str) -> Schema:
        """`schema` without annotations, `const`, `$ref` and `allOf`.

        Raises:
            NothingFits: it is `false`, or what it combines excludes each other.
        """
        self._spend(place)
        if isinstance(schema, bool):
            if not schema:
                raise nothing_fits(place, "it is `false`")
            return {}
        for name in schema:
            keywords.verify_name(name, place)
        kept = {name: value for name, value in schema.items() if name in keywords.FOLLOWED}
        if "const" in schema:
            kept = self._with_values(kept, schema, place)
        reference, parts = kept.pop("$ref", None), kept.pop("allOf", [])
        for name in keywords.CURES:
            if "enum" not in kept and schema.get(name, False) is not False:
                raise refusal(name, f"{place}/{name}", keywords.CURES[name])
        inner = [self.plain(part, f"{place}/allOf/{index}") for index, part in enumerate(parts)]
        if reference is not None:
            inner.insert(0, self.plain(self.document.at(reference, place), reference))
        for other in inner:
            kept = merging.merged(kept, other, place)
        return kept

    def _with_values(self, kept: Schema, schema: Schema, place: str) -> Schema:
        values = [schema["const"]]
        if "enum" in kept:
            return merging.merged(kept, {"enum": values}, place)
        return {**kept, "enum": values}

    def _settled(self, schema: Any, place: str) -> Schema:
        if isinstance(schema, dict) and ("enum" in schema or "const" in schema):
            return self._values(schema, place)
        kept = self.plain(schema, place)
        if "enum" in kept:
            return self._values(kept, place)
        for keyword in ("oneOf", "anyOf"):
            if keyword in kept:
                return self._choice(keyword, kept, place)
        return self._typed(kept, place)

    def _defined(self, schema: Any, place: str) -> Schema:
        """A reference to `schema`, which is rewritten once, later."""
        key = json.dumps(schema, sort_keys=True)
        if key not in self._names:
            self._names[key] = f"d{len(self._names)}"
            self._waiting.append((self._names[key], schema, place))
        return {"$ref": f"#/$defs/{self._names[key]}"}

    def _values(self, schema: Schema, place: str) -> Schema:
        """The values of `enum` or `const` that all the rest allows as well."""
        for name in ("pattern", "patternProperties"):
            if name in schema:
                cure = "leave it out: `enum` says it all"
                raise refusal(name, place, cure, "it is beside `enum` or `const`")
        values = schema.get("enum", [schema.get("const")])
        fitting = [value for value in values if self.document.problem(value, schema) is None]
        if not fitting:
            raise nothing_fits(place, "no value of `enum` is allowed by what stands beside it")
        for value in fitting:
            _verify_exact(value, place)
        return {"enum": fitting}

    def _choice(self, keyword: str, kept: Schema, place: str) -> Schema:
        rest = {name: value for name, value in kept.items() if name != keyword}
        branches, names = [], kept[keyword]
        if len(names) > keywords.MAX_BRANCHES:
            raise refusal(keyword, place, "offer fewer", f"it has {len(names)} branches")
        for index, branch in enumerate(names):
            where = f"{place}/{keyword}/{index}"
            try:
                plain = merging.merged(self.plain(branch, where), rest, where)
            except NothingFits:
                continue
            branches.append((branch if not rest else plain, plain, where))
        if keyword == "oneOf":
            self._verify_apart([plain for _, plain, _ in branches], f"{place}/oneOf")
        options = []
        for branch, _, where in branches:
            with contextlib.suppress(NothingFits):
                place_of = self._defined if rest else self.rewritten
                options.append(place_of(branch, where))
        if not options:
            raise nothing_fits(f"{place}/{keyword}", "no branch of it can be fulfilled")
        return options[0] if len(options) == 1 else {"anyOf": options}

    def _verify_apart(self, branches: list[Schema], place: str) -> None:
        known: dict[int, Schema] = {}  # by what is part of `branches`, and lives as long

        def resolve(schema: Any) -> Mapping[str, Any]:
            if id(schema) not in known:
                known[id(schema)] = self.plain(schema, place)
            return known[id(schema)]

        for index, one in enumerate(branches):
            for number, other in enumerate(branches[index + 1 :], index + 1):
                if not are_disjoint(one, other, resolve):
                    cure = "use `anyOf`, or require a property with a `const` of its own in each"
                    why = f"its branches {index} and {number} may both fit"
                    raise refusal("oneOf", place, cure, why)

    def _typed(self, kept: Schema, place: str) -> Schema:
        kinds = merging.types_of(kept) if "type" in kept else typed.meant(kept)
        if not kinds:
            return {}
        if "number" in kinds:
            kinds = [kind for kind in kinds if kind != "integer"]
        found, reason = [], None
        for kind in dict.fromkeys(kinds):
            try:
                found.append(typed.rewritten(kind, kept, place, self))
            except NothingFits as error:
                reason = error
        if not found and reason is not None:
            raise reason
        return found[0] if len(found) == 1 else {"anyOf": found}

    def _spend(self, place: str) -> None:
        self._num_subschemas += 1
        if self._num_subschemas > keywords.MAX_SUBSCHEMAS:
            raise InvalidRequest(
                "the schema of `response_format`, its references and combinations written out, has "
                f"more than {keywords.MAX_SUBSCHEMAS} subschemas (at `{place[:200]}`); send a "
                "smaller one"
            )


def _verify_exact(value: Any, place: str) -> None:
    """The engine's grammar writes larger numbers with other digits."""
    if isinstance(value, list):
        for item in value:
            _verify_exact(item, place)
    elif isinstance(value, dict):
        for item in value.values():
            _verify_exact(item, place)
    elif isinstance(value, int) and abs(value) > keywords.MAX_EXACT:
        cure = f"give numbers up to {keywords.MAX_EXACT}, or a text"
        raise refusal("enum", place, cure, f"{shown(value)} is not written exactly")
