"""The kinds of values a setting can have: how each is written, read, and described when it is wrong."""

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar
from urllib.parse import urlsplit

from alert_threader.settings.secret import Secret

T = TypeVar("T")
Word = TypeVar("Word", bound=str)

#: Milliseconds in each unit, in the order in which a duration names them
#: (https://prometheus.io/docs/prometheus/latest/configuration/configuration/, `<duration>`).
_MILLISECONDS = {
    "y": 365 * 86_400_000,
    "w": 7 * 86_400_000,
    "d": 86_400_000,
    "h": 3_600_000,
    "m": 60_000,
    "s": 1000,
    "ms": 1,
}
_DURATION = re.compile("".join(f"(?:([0-9]+){unit})?" for unit in _MILLISECONDS))
#: Prometheus counts nanoseconds in 64 bits, and so refuses what is longer than about 292 years.
_LONGEST_DURATION = (2**63 - 1) // 10**6

_BYTES = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
#: The levels of ``threads.severity``, and the word for none of them.
_SEVERITY_LEVELS = ("critical", "error", "warning", "info", "success", "debug", "none")
_SWITCH_WORDS = {
    "yes": True,
    "true": True,
    "on": True,
    "1": True,
    "no": False,
    "false": False,
    "off": False,
    "0": False,
}
#: Messages a second; far more than Slack takes.
_HIGHEST_RATE = 9_999
_LARGEST_SIZE = 2**30
_SIZE_TEXT = re.compile(rf"([0-9]{{1,10}})({'|'.join(_BYTES)})?", re.IGNORECASE)


def parse_duration(text: str) -> float:
    """Return the seconds of a duration as Prometheus writes it: `30s`, `1h30m`, `7d`, `500ms`, `0`.

    Raises ValueError for anything else: another order of units, a fraction, a sign, a number without a unit.
    """
    if text == "0":
        return 0.0
    found = _DURATION.fullmatch(text)
    if not text or found is None:
        raise ValueError(f"not a duration such as 30s, 5m, 1h30m or 7d: {text!r}")
    numbers = zip(found.groups(default="0"), _MILLISECONDS.values(), strict=True)
    milliseconds = sum(int(number) * unit for number, unit in numbers)
    if milliseconds > _LONGEST_DURATION:
        raise ValueError(f"duration out of range: {text!r}")
    return milliseconds / 1000


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens there. A name may mean any address, but for this one."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def channel_fault(value: str) -> str | None:
    """Return what is wrong with a channel's ID and where the right one stands, or None if nothing is."""
    if re.fullmatch("[CGD][A-Z0-9]{6,30}", value):
        return None
    not_its_name = " (not its name, which can change)" if value.startswith("#") else ""
    where = "Slack shows it at the end of the channel's details"
    return f"must be a channel ID such as C0123456789{not_its_name}: {where}"


def _token_fault(value: str) -> str | None:
    if re.fullmatch("xoxb-[A-Za-z0-9_-]+", value):
        return None
    others = {"xoxp-": "a user token", "xapp-": "an app-level token", "xoxe": "a token that expires"}
    kind = next((f"is {name}, but " for prefix, name in others.items() if value.startswith(prefix)), "")
    return f'{kind}must be the "Bot User OAuth Token" (xoxb-…) on the Slack app\'s page "OAuth & Permissions"'


def _app_token_fault(value: str) -> str | None:
    if re.fullmatch("xapp-[A-Za-z0-9_-]+", value):
        return None
    is_bots = "is a bot token, but " if value.startswith("xoxb-") else ""
    return f'{is_bots}must be an app-level token (xapp-…) from the Slack app\'s page "Basic Information"'


def _signing_secret_fault(value: str) -> str | None:
    is_token = re.match("xox|xapp-", value)
    if re.fullmatch("[!-~]{8,200}", value) and not is_token:
        return None
    prefix = "is a token, but " if is_token else ""
    return f'{prefix}must be the "Signing Secret" on the Slack app\'s page "Basic Information"'


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """How a value is read. `parse` raises ValueError, with whatever text, for what is not as `allowed` says.

    `allowed` is a function where the words depend on the value; what it returns never holds the value. `bounds` are the
    least and the most that a number can be, as they are written.
    """

    parse: Callable[[str], T]
    allowed: str | Callable[[str], str | None]
    secret: bool = False
    bounds: tuple[str, str] | None = None


def _only(value: T, *conditions: object) -> T:
    if not all(conditions):
        raise ValueError
    return value


def choice(*words: Word) -> Kind[Word]:
    """Return the kind that is one of these words, in any case."""
    spelled = {word.lower(): word for word in words}

    def parse(raw: str) -> Word:
        _only(raw, raw.lower() in spelled)
        return spelled[raw.lower()]

    return Kind(parse, "one of " + ", ".join(words))


def language(*words: Word) -> Kind[Word]:
    """Return the kind that is one of these languages, the first of which is the default.

    A person's shell may hold gettext's list under the same name, such as ``en_US:en``
    (https://www.gnu.org/software/gettext/manual/html_node/The-LANGUAGE-variable.html): then the first one that we know
    counts, and where we know none, the default.
    """
    plain = choice(*words)

    def parse(raw: str) -> Word:
        if not re.search("[_:.]", raw):
            return plain.parse(raw)
        listed = (re.split("[_.@]", each)[0].lower() for each in raw.split(":"))
        return next((plain.parse(each) for each in listed if each in words), words[0])

    return Kind(parse, plain.allowed)


def integer(low: int, high: int) -> Kind[int]:
    """Return the kind that is a whole number, both ends included."""

    def parse(raw: str) -> int:
        number = int(_only(raw, re.fullmatch("[0-9]{1,9}", raw)))
        return _only(number, low <= number <= high)

    return Kind(parse, f"a whole number from {low} to {high}", bounds=(str(low), str(high)))


def duration(low: str, high: str) -> Kind[float]:
    """Return the kind that is a duration, both ends included, read as seconds."""

    def parse(raw: str) -> float:
        seconds = parse_duration(raw)
        return _only(seconds, parse_duration(low) <= seconds <= parse_duration(high))

    allowed = f"a duration from {low} to {high}, such as 500ms, 2s, 5m, 1h30m or 7d"
    return Kind(parse, allowed, bounds=(low, high))


def _switch(raw: str) -> bool:
    return _SWITCH_WORDS[_only(raw.lower(), raw.lower() in _SWITCH_WORDS)]


def _matching(pattern: str, allowed: str) -> Kind[str]:
    return Kind(lambda raw: _only(raw, re.fullmatch(pattern, raw)), allowed)


def _faultless(fault: Callable[[str], str | None]) -> Kind[str]:
    return Kind(lambda raw: _only(raw, fault(raw) is None), fault)


def _concealed(kind: Kind[str]) -> Kind[Secret]:
    return Kind(lambda raw: Secret(kind.parse(raw)), kind.allowed, secret=True)


def _size(raw: str) -> int:
    found = _SIZE_TEXT.fullmatch(raw)
    if found is None:
        raise ValueError
    size = int(found[1]) * _BYTES[(found[2] or "b").lower()]
    return _only(size, 1 <= size <= _LARGEST_SIZE)


def _rate(raw: str) -> float:
    number = raw.removesuffix("/s")
    rate = float(_only(number, re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,6})?", number)))
    return _only(rate, 0 < rate <= _HIGHEST_RATE)


def _label_names(raw: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in raw.split(","))
    # https://prometheus.io/docs/concepts/data_model/
    valid = all(re.fullmatch("[a-zA-Z_][a-zA-Z0-9_]*", name) for name in names)
    return _only(names, valid, len(set(names)) == len(names))


def _severity_map(raw: str) -> tuple[tuple[str, str], ...]:
    pairs = [tuple(part.strip().lower() for part in each.split("=")) for each in raw.split(",")]
    valid = all(len(pair) == 2 and pair[0] and pair[1] in _SEVERITY_LEVELS for pair in pairs)
    return tuple((pair[0], pair[1]) for pair in _only(pairs, valid))


def _line(raw: str) -> str:
    return _only(raw, raw.isprintable(), raw == raw.strip(), len(raw) <= 100)


def _api_url(raw: str) -> str:
    url = urlsplit(_only(raw, raw.isprintable(), " " not in raw))
    is_bare = not (url.username or url.password or url.query or url.fragment)
    return _only(raw.rstrip("/") + "/", url.scheme in {"http", "https"}, url.hostname, url.port != 0, is_bare)


def _clusters(raw: str) -> tuple[tuple[str, ...], ...]:
    clusters = tuple(tuple(_api_url(each).rstrip("/") for each in cluster.split(",")) for cluster in raw.split())
    members = [member for cluster in clusters for member in cluster]
    return _only(clusters, clusters, len(set(members)) == len(members))


def _headers(raw: str) -> tuple[tuple[str, str], ...]:
    def header(text: str) -> tuple[str, str]:
        name, _, value = (part.strip() for part in text.partition("="))
        # https://www.rfc-editor.org/rfc/rfc9110#section-5
        return _only(name, re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name)), _only(
            value, re.fullmatch("[!-~]([ -~]*[!-~])?", value)
        )

    return tuple(header(each) for each in raw.split(","))


def _pressers(raw: str) -> tuple[str, ...]:
    """Read who may press: nobody in particular (``channel``), or users and user groups by their IDs."""
    if raw.strip().lower() == "channel":
        return ()
    ids = tuple(each.strip() for each in raw.split(","))
    return _only(ids, all(re.fullmatch("[UWS][A-Z0-9]{6,30}", each) for each in ids))


def _durations(raw: str) -> tuple[tuple[str, float], ...]:
    durations = tuple((text, parse_duration(text)) for text in (each.strip() for each in raw.split(",")))
    seconds = [each for _, each in durations]
    return _only(durations, min(seconds) >= 1, len(durations) <= 20, len(set(seconds)) == len(seconds))


def _redis_url(raw: str) -> str:
    url = urlsplit(_only(raw, raw.isprintable(), " " not in raw))
    is_located = url.path if url.scheme == "unix" else url.hostname and url.port != 0
    return _only(raw, url.scheme in {"redis", "rediss", "unix"}, is_located)


def _addresses(raw: str) -> tuple[tuple[str, int], ...]:
    def address(text: str) -> tuple[str, int]:
        host, _, port = text.strip().rpartition(":")
        number = int(_only(port or "0", re.fullmatch("[0-9]{1,5}", port)))
        return _only(host.strip("[]"), re.fullmatch(r"\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+", host)), _only(
            number, 0 < number < 2**16
        )

    return tuple(address(each) for each in raw.split(","))


ADDRESSES = Kind(
    _addresses, "host:port separated by commas, such as 10.0.0.1:26379,10.0.0.2:26379; ports are from 1 to 65535"
)
APP_TOKEN = _concealed(_faultless(_app_token_fault))
API_URL = Kind(_api_url, "an http or https URL without user, query and fragment")
BOT_TOKEN = _concealed(_faultless(_token_fault))
CHANNEL = _faultless(channel_fault)
CLUSTERS = Kind(
    _clusters,
    "http or https URLs without user and query, each once: http://am-0:9093,http://am-1:9093 for one cluster of two",
)
DURATIONS = Kind(_durations, "up to 20 durations from 1s, separated by commas, each once, such as 1h,4h,24h")
FILE = Kind(lambda raw: Path(_only(raw, "\0" not in raw, not raw.endswith("/"))), "the path of a file")
HEADERS = Kind(_headers, "name=value separated by commas, such as X-Scope-OrgID=team-a")
HEADER_TOKEN = _concealed(_matching("[!-~]+", "printable ASCII without spaces, to travel in a header"))
HOST = _matching("[A-Za-z0-9._:-]+", "an IP address or a host name")
LABELS = Kind(_label_names, "label names separated by commas, each once")
LABEL = _matching("[a-zA-Z_][a-zA-Z0-9_]*", "a label's name")
LINE = Kind(_line, "one line of at most 100 characters")
PASSWORD = _concealed(_matching("[ -~]+", "printable ASCII"))
PRESSERS = Kind(_pressers, "channel, or IDs of users (U…, W…) and user groups (S…) separated by commas")
RATE = Kind(_rate, "a number above 0, up to 9,999, such as 1, 0.5 or 1/s", bounds=("0", "9,999"))
#: A prefix is also matched by pattern (`KEYS prefix:*`), so it must not contain glob characters. In cluster mode a hash
#: tag in it keeps all names in one slot.
REDIS_PREFIX = _matching(
    r"(?=.{1,100}\Z)[A-Za-z0-9_.:-]*(\{[A-Za-z0-9_.:-]+\}[A-Za-z0-9_.:-]*)?",
    "1 to 100 letters, digits, or any of _ . : - with, in cluster mode, one part in braces, such as {threader}:ts",
)
REDIS_URL = _concealed(Kind(_redis_url, "a URL: redis://host:port/db, rediss://host:port/db (TLS) or unix:///path"))
SEVERITY_MAP = Kind(
    _severity_map,
    f"word=level separated by commas, such as major=critical,minor=warning; levels: {', '.join(_SEVERITY_LEVELS)}",
)
SIGNING_SECRET = _concealed(_faultless(_signing_secret_fault))
SWITCH = Kind(_switch, "yes or no")
SIZE = Kind(_size, "a size from 1B to 1GiB, such as 16MB, 512KB or 1MiB", bounds=("1B", "1GiB"))
