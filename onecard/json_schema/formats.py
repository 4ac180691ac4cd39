"""Patterns for the values of `format`."""

from __future__ import annotations

_YEAR = "[12][0-9]{3}"
# Without the 29th of February, which not every year has.
_DAY = (
    "((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)"
    "|02-(0[1-9]|1[0-9]|2[0-8]))"
)
_MINUTES = "([01][0-9]|2[0-3]):[0-5][0-9]"
_TIME = rf"{_MINUTES}:[0-5][0-9](\.[0-9]{{1,6}})?(Z|[+\-]{_MINUTES})"
_BYTE = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_STEP = r"(/([ !#-.0-\[\]-}\u00a1-\ud7ff]|~[01])*)"

# Where xgrammar 0.2.8 lets days through that do not exist, or more than the format is.
PATTERNS = {
    "date": f"{_YEAR}-{_DAY}",
    "time": _TIME,
    "date-time": f"{_YEAR}-{_DAY}T{_TIME}",
    "ipv4": r"\.".join([_BYTE] * 4),
    "json-pointer": f"{_STEP}*",
    "relative-json-pointer": f"(0|[1-9][0-9]{{0,5}})(#|{_STEP}*)",
}
FOLLOWED = ("duration", "email", "hostname", "ipv6", "uuid", "uri", "uri-reference", "uri-template")
# Of the standard's others no engine here knows; what the standard does not name means nothing.
UNFOLLOWED = ("idn-email", "idn-hostname", "iri", "iri-reference", "regex")
