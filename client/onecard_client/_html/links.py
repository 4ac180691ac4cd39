"""What is told of the target of a link."""

from __future__ import annotations

import re

MAX_TARGET_CHARACTERS = 100
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):", re.I)
_BLANKS = re.compile(r"[\x00-\x20]+")
_HOST = re.compile(r"(?:https?:)?[/\\]+(?:[^/\\?#]*@)?([^/\\?#:@]+)", re.I)
# Something that a reader takes for an address.
_NAMED = re.compile(r"(?:[\w-]+@)?((?:[\w-]+\.)+[^\W\d_]{2,})(?![\w@])")


def host_of(target: str) -> str:
    """The host of an address as browsers find it, or nothing."""
    match = _HOST.match(re.sub(r"^(https?):[/\\]*", r"\1://", target, flags=re.I))
    return match[1].lower().rstrip(".") if match else ""


class Links:
    """The links of one mail; each host that plain words lead to is told once."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def note(self, text: str, target: str) -> str:
        """What to write behind a link's text, such as `<evil.ru>`; nothing if it says so itself."""
        target = _BLANKS.sub("", target)
        scheme = (_SCHEME.match(target) or [""])[0].rstrip(":").lower()
        if not target or target.startswith("#"):
            return ""
        if scheme in ("mailto", "tel", "sms", "cid"):
            return self._address(text, target[len(scheme) + 1 :], scheme)
        if scheme and scheme not in ("http", "https"):
            return (
                f"<{target[:30]}>" if scheme in ("javascript", "data", "vbscript", "file") else ""
            )
        host = host_of(target)
        if not host:
            return ""
        named = [match.lower() for match in _NAMED.findall(text)]
        if named:
            if all(_is_same(name, host) for name in named):
                return ""
            return f"<{_shortened(target)}>"
        if host in self._told:
            return ""
        self._told.add(host)
        return f"<{host}>"

    def _address(self, text: str, target: str, scheme: str) -> str:
        address = target.split("?")[0]
        if scheme != "mailto" or "@" not in text or address.lower() in text.lower():
            return ""
        return f"<{_shortened(address)}>"


def _is_same(name: str, host: str) -> bool:
    name, host = name.removeprefix("www."), host.removeprefix("www.")
    return name == host or host.endswith("." + name)


def _shortened(target: str) -> str:
    if len(target) <= MAX_TARGET_CHARACTERS:
        return target
    return target[: MAX_TARGET_CHARACTERS - 3] + "..."
