"""Guides of the language model: what its answer may be, token by token, as engines compile it.

NVIDIA's executor compiles a guide in the thread that makes everybody's tokens, in the xgrammar of
its own release, without a limit, and never drops it. So what it is to compile is compiled here
first, in a process with limits, and what it keeps is counted.
"""
