"""JSON schemas of callers: what an engine can be held to, and whether an answer keeps to one.

Engines drop in silence what their grammar library does not follow (xgrammar 0.2.8, which NVIDIA's
executor uses as well). Here a schema is rewritten into one that is followed as a whole and lets
nothing through that the caller's does not; what has no such form is refused by name. What an
answer ends as is checked with `jsonschema` all the same.
"""
