"""What grammars share of texts in JSON: their letters, and literals.

A grammar does not limit the length of texts: xgrammar would keep a mask of the whole vocabulary for
each character that is counted, while NVIDIA's executor stands still (docs/using/triage.md). The
reader of the answer stops a text that has outgrown its limit.
"""

from __future__ import annotations

import json

# Any letter but controls, the quote and the backslash. Said by what it is not, and that in ASCII
# alone: a class that names letters beyond it matches none of them in xgrammar 0.1.21, which
# TensorRT-LLM 1.0 has, and 0.1.25 and 0.1.32 let all of U+0080 on through whatever is excluded
# there. So no text has a quote or a line break in it; what cannot be seen is removed on reading.
LETTER = r'[^"\\\u0000-\u001f\u007f]'
FIRST = r'[^ "\\\u0000-\u001f\u007f]'
MAX_LETTER_BYTES = 4


def quoted(text: str) -> str:
    """A literal of the grammar, whose escapes are JSON's."""
    return json.dumps(text, ensure_ascii=False)
