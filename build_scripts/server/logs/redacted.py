"""A server's log without what it was asked: only lines of known forms are kept, and in those no
quoted text.

Requests can get into a log by an exception's message, an input's name or a request's id. What is
not known to be the server's own is left out, and its length said.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping

from build_scripts.plans.topology import LOAD_ORDER

MAX_LETTERS = 400  # of one line

# Triton's, of its own C++ sources and of Python models.
_TRITON = re.compile(r"^(?P<head>[IWEF]\d{4} \S+ +\d+ (?P<file>[\w.]+):\d+\]) ?(?P<text>.*)$")
_TENSORRT = re.compile(
    r"^(?P<head>(?:\[[\w.:-]+\])*\[(?:TensorRT-LLM|TRT-LLM|TRT)\]\[?\w*\]?)(?P<text>.*)$"
)
# What `serve` prints: of its own, and of Triton's lines that are not about a request.
_SERVE = re.compile(
    r"^(?P<head>(?:error|warning|fatal): |loaded )(?P<text>(?:[Ff]ailed to|creating server|engines/"
    r"|/dev/shm|model|plan|port|GPU|CUDA|[a-z_]+ \(\d+ of \d+\)).*)$"
)
_FRAME = re.compile(r'^\s*File "(?P<path>[^"]*)", line (?P<line>\d+), in (?P<name>[\w<>.]+)$')
_NATIVE = re.compile(r"^\s*\d+# (?:0x[0-9A-Fa-f]+|[\w:~<>*&, ()]+) in \S+$")
_TABLE = re.compile(r"^\+[-+]+\+$|^\| [\w-]+ +\| \d+ +\| [A-Z]+(?=[ :])")  # of models, their states
_SIGNAL = re.compile(r"^\s*Signal \(\d+\) received\.?$|^Non-graceful termination detected")
_COMPOSE = re.compile(r"^[\w.-]+ +\| ")  # `docker compose logs` puts the service before each line
_ERROR = re.compile(r"\b(?:[A-Z]\w*(?:Error|Exception|Interrupt|Warning)|InvalidRequest)\b")
_QUOTED = re.compile(r"'[^']*'|`[^`]*`|\"[^\"]*\"|\{.*\}")
# What a quote that is not closed may hide; in a word it is an apostrophe.
_UNCLOSED = re.compile(r"(?:[\"{]|(?<=\s)['`])(?![\w./+-]+['`]).*$")
HIDDEN = "<...>"
_ID = re.compile(r"\[?request id: ?[^\]]*\]?", re.IGNORECASE)
_PATH = re.compile(r"^[`'\"](?:engines|model_repository|/opt|/usr)/[\w./+-]{1,120}[`'\"]$")

# What may hold a secret whoever wrote it.
_SECRETS = re.compile(
    r"hf_[A-Za-z0-9]{4,}|\bsk-[\w-]{8,}|(?i:bearer|basic) +[\w.~+/=-]{6,}|nvapi-[\w-]{8,}"
    r"|(?<=onecard-control=)[^\s,;]+|(?<=onecard-control:)[^\s,;]+"
    r"|(?i:(?:token|secret|password|api_?key)\s*[=:]\s*)[^\s,;]+"
)
_MAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+")
_NAMED = re.compile(r"TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL|API_?KEY|ACCESS_?KEY", re.IGNORECASE)
_MIN_SECRET = 6  # letters; a shorter value of such a variable is no secret, and is everywhere


def secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """Value -> what stands for it."""
    return {
        value: f"<{name}>"
        for name, value in environment.items()
        if _NAMED.search(name) and len(value) >= _MIN_SECRET
    }


def masked(text: str, known: Mapping[str, str]) -> str:
    """The text without secrets, email addresses and names of home directories."""
    for value, name in known.items():
        text = text.replace(value, name)
    text = _SECRETS.sub("<secret>", text)
    text = _MAIL.sub("<address>", text)
    return re.sub(r"(/home/|/Users/)[^/\s\"']+", r"\1<user>", text)


def kept(lines: Iterable[str], models: Collection[str] = LOAD_ORDER) -> Iterator[str]:
    """The part of each line that a stranger may read; lines that are left out are counted.

    Args:
        models: names that are the server's own wherever they are quoted.
    """
    num_left_out = 0
    for line in lines:
        found = _line(_COMPOSE.sub("", line.rstrip("\n")), models)
        if found is None:
            num_left_out += 1
            continue
        if num_left_out:
            yield f"({num_left_out} lines left out)"
            num_left_out = 0
        yield found
    if num_left_out:
        yield f"({num_left_out} lines left out)"


def _line(line: str, models: Collection[str]) -> str | None:
    if match := _TRITON.match(line):
        is_ours = match["file"].endswith(".py")
        text = _unescaped(match["text"])
        said = _python(text, models) if is_ours else _native(text, models)
        return f"{match['head']} {said}"
    for form in (_TENSORRT, _SERVE):
        if match := form.match(line):
            return f"{match['head']}{_native(match['text'], models)}"
    if frame := _FRAME.match(line):
        return f"  {_frame(frame)}"
    for other in (_NATIVE, _TABLE, _SIGNAL):
        if match := other.match(line):
            return match[0][:MAX_LETTERS]
    return None


def _unescaped(text: str) -> str:
    """The text between Triton's quotes, split into its lines again."""
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1]
    return text.replace('\\"', '"').replace("\\n", "\n")


def _native(text: str, models: Collection[str]) -> str:
    """A message from C++, without what it quotes; of a Python model's answer only the kind."""
    before, mark, message = text.partition("message: ")
    said = _unquoted(_ID.sub("[request]", before.replace("\n", " ")), models)[:MAX_LETTERS]
    return f"{said}{mark}{_kinds(message)}" if mark else said


def _unquoted(text: str, models: Collection[str]) -> str:
    """The text without what it quotes, except models and our own paths."""

    def mask(match: re.Match[str]) -> str:
        quoted = match[0]
        return quoted if quoted[1:-1] in models or _PATH.match(quoted) else HIDDEN

    found = _QUOTED.sub(mask, text)
    return _UNCLOSED.sub(HIDDEN, found)


def _python(text: str, models: Collection[str]) -> str:
    """The place and the kind of a Python model's error."""
    if text.startswith("`") and text[1:].partition("`")[0] in models:
        return text[:MAX_LETTERS]  # what an engine says of itself when it loads
    frames = [frame for line in text.splitlines() if (frame := _FRAME.match(line))]
    return "; ".join([_kinds(text), *map(_frame, frames)])


def _kinds(text: str) -> str:
    names = ", ".join(dict.fromkeys(_ERROR.findall(text)))
    return f"({names or 'a message'}, {len(text)} letters left out)"


def _frame(frame: re.Match[str]) -> str:
    return f"{frame['path']}:{frame['line']} in {frame['name']}"
