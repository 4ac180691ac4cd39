"""Guides of the language model: what its answer may be, token by token, as engines compile it.

NVIDIA's executor compiles guides in the thread that makes the tokens of all requests, with the
xgrammar of its own release, without a limit, and never drops one. So each guide is compiled here
first, in a process with limits, and the guides that the executor keeps are counted.
"""
