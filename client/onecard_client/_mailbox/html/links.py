"""The note on where a link leads."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, unquote, urlsplit

MAX_TARGET_CHARACTERS = 100
MAX_TEXT_CHARACTERS = 500
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):", re.I)
# Browsers drop these, https://url.spec.whatwg.org/#url-parsing.
_DROPPED = re.compile(r"[\t\n\r]|^[\x00-\x20]+|[\x00-\x20]+$")
_SLASHES = re.compile(r"^(?:(https?|ftp):[/\\]*|[/\\]{2,})", re.I)
_HOST = re.compile(r"[a-z]+://(?:[^/\\?#]*@)?(\[[^\]]*\]|[^/\\?#:]+)", re.I)
# Something that a reader takes for an address of the web, or of a person.
_NAMED = re.compile(
    r"(?<![\w.@-])(?:[\w.+-]{1,64}@)?((?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24})(?![\w@-])"
)
# Names of files, which are no hosts.
_FILES = re.compile(
    r"\.(?:pdf|docx?|xlsx?|pptx?|zip|txt|csv|html?|png|jpe?g|gif|exe|ics|eml)$", re.I
)
# Filters of companies that rewrite every link, and the parameter that holds the original.
_REWRITERS = {
    "safelinks.protection.outlook.com": "url", "www.google.com": "q", "google.com": "q",
    "urldefense.proofpoint.com": "u", "linkprotect.cudasvc.com": "a", "l.facebook.com": "u",
}  # fmt: skip


def host_of(target: str) -> str:
    """The host of an address as browsers find it; nothing if it has none."""
    match = _HOST.match(_cleaned(target))
    if not match:
        return ""
    host = unquote(match[1]).lower().rstrip(".")
    try:
        return host.encode("idna").decode("ascii") if not host.isascii() else host
    except UnicodeError:
        return host


class Links:
    """The links of one mail; each host that plain words lead to is told once."""

    def __init__(self, base: str) -> None:
        self._base = base  # of addresses without host
        self._told: set[str] = set()

    def note(self, text: str, target: str) -> str:
        """The note after a link's text, such as `<evil.ru>`; empty if the text says it itself."""
        target = _cleaned(target)
        match = _SCHEME.match(target)
        scheme = match[1].lower() if match else ""
        if not target or target.startswith("#"):
            return ""
        if scheme in ("javascript", "data", "vbscript", "file", "blob"):
            return f"<{_shortened(target, 30)}>"
        if scheme == "mailto":
            return self._person(text, target)
        if scheme and scheme not in ("http", "https", "ftp"):
            return ""
        if not scheme and self._base:
            target = self._base.rstrip("/") + "/" + target.lstrip("/")
        return self._page(text, unwrapped(target))

    def _page(self, text: str, target: str) -> str:
        host = host_of(target)
        named = [name for name in _NAMED.findall(text[:MAX_TEXT_CHARACTERS])]
        hosts = [host_of("http://" + name) for name in named if not _FILES.search(name)]
        if not host or (hosts and all(_is_same(name, host) for name in hosts)):
            return ""
        written = _HOST.match(target)
        if written and not written[1].isascii():  # letters of another alphabet look the same
            target = target[: written.start(1)] + host + target[written.end(1) :]
        if hosts:
            self._told.add(host)
            return f"<{_shortened(target, MAX_TARGET_CHARACTERS)}>"
        if host in self._told:
            return ""
        self._told.add(host)
        return f"<{_shortened(host, MAX_TARGET_CHARACTERS)}>"

    def _person(self, text: str, target: str) -> str:
        address = unquote(target[len("mailto:") :].split("?")[0])
        if not address or address.lower() in text.lower() or address in self._told:
            return ""
        self._told.add(address)
        return f"<{_shortened(address, MAX_TARGET_CHARACTERS)}>"


def _cleaned(target: str) -> str:
    target = _DROPPED.sub("", target[:4000])
    return _SLASHES.sub(lambda match: f"{(match[1] or 'http').lower()}://", target)


def unwrapped(target: str) -> str:
    """The address that a rewritten one leads to."""
    host = host_of(target)
    name = next((name for name in _REWRITERS if host == name or host.endswith("." + name)), "")
    try:
        values = parse_qs(urlsplit(target).query, max_num_fields=50) if name else {}
    except ValueError:
        return target
    inner = (values.get(_REWRITERS[name]) or [""])[0] if name else ""
    if name == "urldefense.proofpoint.com":
        inner = unquote(inner.replace("-", "%").replace("_", "/"))
    return inner if host_of(inner) else target


def _is_same(name: str, host: str) -> bool:
    name, host = name.removeprefix("www."), host.removeprefix("www.")
    return name == host or host.endswith("." + name)


def _shortened(target: str, max_characters: int) -> str:
    target = target.replace("<", "%3C").replace(">", "%3E").replace(" ", "%20")
    if len(target) <= max_characters:
        return target
    return target[: max_characters - 3] + "..."
