"""JSON schemas of callers: what an engine can be made to follow, and whether an answer fits one.

Engines silently drop what their grammar library does not support (xgrammar 0.2.8, which NVIDIA's
executor uses as well). Here a schema is rewritten into one that engines follow as a whole, and that
allows nothing that the caller's does not. What has no such form is refused by name. The finished
answer is checked with `jsonschema` as well.
"""
