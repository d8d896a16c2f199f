"""Which names in the environment look like a misspelt setting.

What else stands there is none of our business, so a name must be very close to one of ours: Kubernetes adds variables
for every service of a namespace, and other programs have settings that begin like these.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from difflib import SequenceMatcher, get_close_matches
from pathlib import Path

#: Where systemd puts a service's secrets.
CREDENTIALS = "CREDENTIALS_DIRECTORY"

#: How alike, as difflib counts it, two names are of which one may be the other misspelt, and each of their words: so
#: REDIS_URI is taken for REDIS_URL, and REDIS_USER is not.
_ALIKE, _WORD_ALIKE = 0.84, 0.65
#: The same for names whose words are divided otherwise: THREADSTORE, SLACK_TIME_OUT.
_NEARLY_THE_SAME = 0.95
#: What Kubernetes says of a service (https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables).
_SERVICE_NAME = re.compile(r".+_(SERVICE_(HOST|PORT(_.+)?)|PORT_[0-9]+_(TCP|UDP|SCTP)(_.+)?)")
_SERVICE_VALUE = re.compile("(tcp|udp|sctp)://")
#: A name that is shown as it is.
_PLAIN = re.compile(r"[\w.-]{1,60}", re.ASCII)


def misspelt(
    environ: Mapping[str, str], names: Collection[str], secrets: Collection[str], missing: Collection[str]
) -> list[str]:
    """Name each variable, and each file in $CREDENTIALS_DIRECTORY, that looks like one of these settings misspelt.

    ``names`` are all settings, ``secrets`` those that can stand in a file, ``missing`` those without which nothing
    works and that are not given. Returns a line for each; none has a value.
    """
    known = {*names, *(f"{name}_FILE" for name in secrets), CREDENTIALS}
    lines = []
    for name, value in environ.items():
        if name in known or not value or _SERVICE_NAME.fullmatch(name) or _SERVICE_VALUE.match(value):
            continue
        stem = name.removesuffix("_FILE")
        if stem != name and stem in names:
            lines.append(f"{name}: is not read, only secrets can stand in a file: set {stem}")
        elif meant := _meant(name, known, missing):
            lines.append(f"{_shown(name)}: did you mean {meant}?")
    return lines + _misspelt_credentials(environ.get(CREDENTIALS), names, secrets)


def _misspelt_credentials(folder: str | None, names: Collection[str], secrets: Collection[str]) -> list[str]:
    lines = []
    for file in sorted(_files(folder) - {name.lower() for name in secrets}):
        if file.upper() in names and file.upper() not in secrets:
            lines.append(f"${CREDENTIALS}/{file}: is not read, only secrets can stand in a file: set {file.upper()}")
        elif meant := _meant(file, secrets, ()):
            lines.append(f"${CREDENTIALS}/{_shown(file)}: did you mean {meant.lower()}?")
    return lines


def _files(folder: str | None) -> set[str]:
    if not folder:
        return set()
    try:
        return {each.name for each in Path(folder).iterdir()}
    except OSError:
        return set()  # said where a secret is read from it


def _meant(name: str, known: Iterable[str], missing: Collection[str]) -> str | None:
    """The known name that was meant. In lower case, with hyphens or among blanks it is the same name."""
    plain = re.sub("[-. ]", "_", name.strip()).upper()
    for each in get_close_matches(plain, sorted(known), cutoff=_ALIKE):
        # Without a channel even SLACK_CHANNEL_ID explains what is missing.
        if each in missing or _is_slip(plain.split("_"), each.split("_")):
            return each
    return None


def _is_slip(words: Sequence[str], meant: Sequence[str]) -> bool:
    if _ratio("".join(words), "".join(meant)) >= _NEARLY_THE_SAME:
        return True
    return len(words) == len(meant) and all(_ratio(*pair) >= _WORD_ALIKE for pair in zip(words, meant, strict=True))


def _ratio(one: str, other: str) -> float:
    return SequenceMatcher(None, one, other).ratio()


def _shown(name: str) -> str:
    return name if _PLAIN.fullmatch(name) else ascii(name[:60])
