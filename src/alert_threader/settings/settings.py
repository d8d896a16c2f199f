"""The settings: read once from the environment, typed, frozen, with every fault reported at once.

The class `Settings` is the table: a row for each setting with its type, its kind, its default as an operator
would write it, and its meaning. A secret may also stand in a file, out of sight of process lists: `NAME_FILE`
holds the path (as Docker and Kubernetes do it), or systemd puts it into `$CREDENTIALS_DIRECTORY` under the
setting's name in lower case (https://systemd.io/CREDENTIALS/). The order is `NAME` or `NAME_FILE` (both is a
fault), then the credential.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, Self, TypeVar, cast
from urllib.parse import unquote, urlsplit

from alert_threader.errors import ConfigError
from alert_threader.settings import misspelt, two_way
from alert_threader.settings import values as kinds
from alert_threader.settings.secret import Secret, redactor
from alert_threader.settings.values import Kind, channel_fault, is_loopback, parse_duration

__all__ = [
    "SETTINGS",
    "Secret",
    "Setting",
    "Settings",
    "channel_fault",
    "fault_of",
    "given",
    "misspelt_in",
    "parse_duration",
]

T = TypeVar("T")

#: A longer value is cut where a fault shows it.
_LONGEST_SHOWN = 80


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting as an operator sees it. `default` is as one would write it; None means there is none."""

    kind: Kind[Any]
    default: str | None
    meaning: str
    required: bool
    name: str = ""

    def allowed(self, raw: str) -> str | None:
        """Return what a value must be, in words; `raw` is the value that is not."""
        return self.kind.allowed if isinstance(self.kind.allowed, str) else self.kind.allowed(raw)


def _row(kind: Kind[T], default: str | None, meaning: str, *, required: bool = False) -> T:
    # Declared as a T, so that mypy compares the type of the field with what its kind reads.
    return cast("T", field(metadata={"setting": Setting(kind, default, meaning, required)}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting with its value: durations in seconds, sizes in bytes. Made by `from_environ`."""

    slack_bot_token: Secret = _row(kinds.BOT_TOKEN, None, "the Slack app's bot token", required=True)
    slack_channel: str = _row(kinds.CHANNEL, None, "ID of the channel alerts go to", required=True)
    slack_api_url: str = _row(kinds.API_URL, "https://slack.com/api/", "where Slack's Web API is")
    environment: str = _row(kinds.LINE, "production", "named in every message, part of every thread's key")
    bind_host: str = _row(kinds.HOST, "127.0.0.1", "address to listen on")
    bind_port: int = _row(kinds.integer(1, 65535), "9009", "port to listen on")
    web_concurrency: int = _row(kinds.integer(1, 64), "1", "gunicorn workers; more than one needs the Redis store")
    web_threads: int = _row(kinds.integer(1, 512), "32", "requests answered at the same time")
    max_body: int = _row(kinds.SIZE, "16MB", "largest webhook accepted")
    webhook_token: Secret | None = _row(kinds.HEADER_TOKEN, None, "bearer token for webhooks and /cache, if set")
    protect_metrics: bool = _row(kinds.SWITCH, "no", "whether /metrics and /stats ask for WEBHOOK_TOKEN too")
    # Alertmanager gives up after 10 s: an answer that waited longer would not be heard.
    response_wait: float = _row(kinds.duration("0", "8s"), "2s", "how long a webhook's answer waits for Slack")
    thread_store: Literal["file", "redis"] = _row(kinds.choice("file", "redis"), "file", "where threads are kept")
    thread_store_file: Path = _row(kinds.FILE, "/var/lib/alert-threader/threads.json", "the file of the file store")
    redis_url: Secret = _row(kinds.REDIS_URL, "redis://127.0.0.1:6379/0", "the server of the Redis store")
    redis_sentinels: tuple[tuple[str, int], ...] | None = _row(
        kinds.ADDRESSES, None, "Sentinels that know where Redis is, instead of the URL's host"
    )
    redis_sentinel_master: str = _row(kinds.LINE, "mymaster", "the name the Sentinels give it")
    redis_key_prefix: str = _row(
        kinds.REDIS_PREFIX, "threader:ts", "what a thread's key in Redis begins with; in cluster mode with a hash tag"
    )
    thread_by: Literal["labels", "group"] = _row(
        kinds.choice("labels", "group"), "labels", "what alerts of one thread share: labels, or a group"
    )
    thread_key_labels: tuple[str, ...] = _row(
        kinds.LABELS, "alertname,severity,service,cluster", "the labels that make a thread's key"
    )
    severity_label: str = _row(kinds.LABEL, "severity", "the label that says how bad an alert is")
    severity_map: tuple[tuple[str, str], ...] | None = _row(
        kinds.SEVERITY_MAP, None, "what further words in it mean: word=level, …"
    )
    name_labels: tuple[str, ...] | None = _row(
        kinds.LABELS, None, "labels to name an alert by, before the built-in ones: pod, mount, …"
    )
    language: Literal["en", "ko"] = _row(
        kinds.language("en", "ko"), "en", "the language of messages: English or Korean"
    )
    reopen_window: float = _row(kinds.duration("0", "1y"), "1h", "how long a resolved thread can be re-opened")
    stale_after: float = _row(kinds.duration("1s", "1y"), "7d", "silence that closes a firing thread as stale")
    repeat_policy: Literal["update", "reply", "ignore"] = _row(
        kinds.choice("update", "reply", "ignore"), "update", "what a repeated notification does to its thread"
    )
    slack_app_token: Secret | None = _row(kinds.APP_TOKEN, None, "takes presses over Socket Mode, without an open port")
    slack_signing_secret: Secret | None = _row(
        kinds.SIGNING_SECRET, None, "takes presses over HTTP, at /slack/interactive"
    )
    allowed_to_press: tuple[str, ...] = _row(
        kinds.PRESSERS, "channel", "who may press: whoever sees the message, or a list of users and user groups"
    )
    ack_timeout: float = _row(kinds.duration("0", "1y"), "0", "how long an acknowledgement holds, 0 for ever")
    alertmanager_url: tuple[tuple[str, ...], ...] | None = _row(
        kinds.CLUSTERS, None, "where silences go: a cluster's members separated by commas, clusters by blanks"
    )
    alertmanager_user: str | None = _row(kinds.LINE, None, "user of basic authentication there")
    alertmanager_password: Secret | None = _row(kinds.PASSWORD, None, "password of basic authentication there")
    alertmanager_token: Secret | None = _row(kinds.HEADER_TOKEN, None, "bearer token there instead")
    alertmanager_ca: Path | None = _row(kinds.FILE, None, "certificates that its own must be signed by, a PEM file")
    alertmanager_headers: tuple[tuple[str, str], ...] | None = _row(
        kinds.HEADERS, None, "further headers for it: X-Scope-OrgID=team-a, …"
    )
    silence_durations: tuple[tuple[str, float], ...] = _row(
        kinds.DURATIONS, "1h,4h,24h", "how long a silence may be made with one press"
    )
    silence_max: float = _row(kinds.duration("1m", "1y"), "7d", "how long a silence may be made at most")
    reconcile_every: float = _row(kinds.duration("0", "1h"), "30s", "how often Alertmanager is polled, 0 for never")
    gone_after: float | None = _row(
        kinds.duration("10s", "1d"), None, "how long an alert is missing from Alertmanager until it counts as resolved"
    )
    unconfirmed: Literal["off", "mark"] = _row(
        kinds.choice("off", "mark"), "off", "what becomes of a thread that misses its repeats, without ALERTMANAGER_URL"
    )
    slack_rate: float = _row(kinds.RATE, "1", "messages per second in one channel; edits keep pace, 45 a minute at 1")
    slack_burst: int = _row(kinds.integer(1, 100), "3", "messages that may go out at once after a pause")
    slack_timeout: float = _row(kinds.duration("1ms", "5m"), "10s", "how long one call to Slack may take")
    graceful_timeout: float = _row(
        kinds.duration("1ms", "10m"), "30s", "how long a stop may take, more than SLACK_TIMEOUT"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = _row(
        kinds.choice("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"), "INFO", "the least severe line logged"
    )
    log_format: Literal["text", "json"] = _row(
        kinds.choice("text", "json"), "text", "log lines for people or for machines"
    )

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """Read every setting. An empty value counts as unset; unknown names are ignored.

        Raises ConfigError with all faults, and with what is misspelt beside them. None holds a secret, not even one put
        into another setting.
        """
        faults: list[str] = []
        raws = _each(SETTINGS, lambda setting: _written(setting, environ), faults)
        redact = redactor(Secret(raw) for setting, raw in raws.items() if raw and setting.kind.secret)
        parsed = _each(raws, lambda setting: _parsed(setting, raws[setting], redact), faults)
        values: dict[str, Any] = {setting.name.lower(): value for setting, value in parsed.items()}
        if values.get("graceful_timeout", float("inf")) <= values.get("slack_timeout", 0):
            faults.append("GRACEFUL_TIMEOUT: must exceed SLACK_TIMEOUT, so that a stop can end the call under way")
        if values.get("web_concurrency", 1) > 1 and values.get("thread_store") == "file":
            faults.append(
                "WEB_CONCURRENCY: must be 1 with THREAD_STORE=file: one process owns the file; use redis for more"
            )
        if values.get("protect_metrics") and values.get("webhook_token") is None:
            faults.append("PROTECT_METRICS: needs WEBHOOK_TOKEN, the token that /metrics and /stats would ask for")
        given = {setting.name for setting in parsed if raws[setting]}
        # Even one that is wrong is given: what needs it needs no other.
        given |= {setting.name for setting, raw in raws.items() if raw and setting.name == "ALERTMANAGER_URL"}
        faults += two_way.faults(values, given)
        if faults:
            raise ConfigError([*faults, *misspelt_in(environ)])
        return cls(**values)

    @property
    def takes_presses(self) -> bool:
        """Whether people can press buttons: without a way for presses, messages have none."""
        return bool(self.slack_app_token or self.slack_signing_secret)

    @property
    def metrics_token(self) -> Secret | None:
        """The token that /metrics and /stats ask for, if any."""
        return self.webhook_token if self.protect_metrics else None

    @property
    def local_url(self) -> str:
        """The service's address for this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.bind_host, self.bind_host)
        return f"http://{_address(host, self.bind_port)}"

    @property
    def bind(self) -> str:
        """Where to listen, as gunicorn writes it."""
        return _address(self.bind_host, self.bind_port)

    @property
    def exposure(self) -> str | None:
        """Why it is unsafe to listen here, and what to do; None with a token, or if only this machine can connect."""
        if self.webhook_token is not None or is_loopback(self.bind_host):
            return None
        return (
            f"anyone who can reach {self.bind_host} port {self.bind_port} can post to Slack and forget threads: "
            "set WEBHOOK_TOKEN, or BIND_HOST=127.0.0.1"
        )

    def secrets(self) -> tuple[Secret, ...]:
        """Return what must never be written. The password in REDIS_URL is there as written and percent-decoded."""
        password = urlsplit(self.redis_url.reveal()).password or ""
        secrets = (
            *(self.slack_bot_token, self.slack_app_token, self.slack_signing_secret, self.webhook_token),
            *(self.alertmanager_password, self.alertmanager_token, Secret(password), Secret(unquote(password))),
        )
        return tuple(secret for secret in secrets if secret and secret.reveal())


#: All settings, in the order of their documentation.
SETTINGS: tuple[Setting, ...] = tuple(
    replace(row.metadata["setting"], name=row.name.upper()) for row in fields(Settings)
)


#: Those that can stand in a file.
_SECRETS = frozenset(setting.name for setting in SETTINGS if setting.kind.secret)


def misspelt_in(environ: Mapping[str, str]) -> list[str]:
    """Name what looks like a misspelt setting, a line each: ``SLACK_CHANEL: did you mean SLACK_CHANNEL?``."""
    missing = {setting.name for setting in SETTINGS if setting.required and _source(setting, environ) is None}
    return misspelt.misspelt(environ, {setting.name for setting in SETTINGS}, _SECRETS, missing)


def fault_of(name: str, value: str) -> str | None:
    """What is wrong with the value of one setting, whatever the others are; None if it can be used."""
    try:
        _parsed(next(each for each in SETTINGS if each.name == name), value or None, str)
    except _FaultError as fault:
        return str(fault)
    return None


def given(environ: Mapping[str, str]) -> Counter[str]:
    """How many settings are given, by where: "in the environment", "in a file" or "as a credential"."""
    found = (_source(setting, environ) for setting in SETTINGS)
    return Counter(source for source in found if source is not None)


def _source(setting: Setting, environ: Mapping[str, str]) -> str | None:
    if environ.get(setting.name):
        return "in the environment"
    if setting.name in _SECRETS:
        if environ.get(f"{setting.name}_FILE"):
            return "in a file"
        folder = environ.get(misspelt.CREDENTIALS)
        if folder and Path(folder, setting.name.lower()).exists():
            return "as a credential"
    return None


def _address(host: str, port: int) -> str:
    # Brackets separate an IPv6 address from its port.
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class _FaultError(Exception):
    """One line about one setting."""


def _each(settings: Iterable[Setting], read: Callable[[Setting], T], faults: list[str]) -> dict[Setting, T]:
    results = {}
    for setting in settings:
        try:
            results[setting] = read(setting)
        except _FaultError as fault:
            faults.append(str(fault))
    return results


def _written(setting: Setting, environ: Mapping[str, str]) -> str | None:
    """Return what the operator wrote, in the environment or in a file, or None."""
    given = environ.get(setting.name) or None
    # Only secrets: THREAD_STORE_FILE is a setting of its own, not the file of THREAD_STORE.
    if not setting.kind.secret:
        return given
    pointer = f"{setting.name}_FILE"
    path, folder = environ.get(pointer), environ.get(misspelt.CREDENTIALS)
    if given and path:
        raise _FaultError(f"{setting.name}: is set twice, here and as {pointer}: remove one of them")
    if given:
        return given
    if path:
        return _content(Path(path), pointer)
    credential = Path(folder, setting.name.lower()) if folder else None
    return _content(credential, f"{setting.name} as a systemd credential", optional=True) if credential else None


def _content(path: Path, source: str, *, optional: bool = False) -> str | None:
    # The path is not shown: it may be the secret itself, put into NAME_FILE by mistake.
    try:
        content = path.read_text("utf-8").rstrip("\r\n")
    except OSError as error:
        if optional and isinstance(error, FileNotFoundError):
            return None
        raise _FaultError(f"{source}: the file cannot be read: {error.strerror}") from None
    except ValueError:
        raise _FaultError(f"{source}: the file must hold text in UTF-8") from None
    if not content:
        raise _FaultError(f"{source}: the file is empty")
    return content


def _parsed(setting: Setting, raw: str | None, redact: Callable[[str], str]) -> object:
    text = raw or setting.default
    if text is None:
        if setting.required:
            raise _FaultError(f"{setting.name}: is not set: {setting.allowed('')}")
        return None
    try:
        return setting.kind.parse(text)
    except ValueError:
        shown = f"a value of {len(text)} characters" if setting.kind.secret else repr(redact(text)[:_LONGEST_SHOWN])
        raise _FaultError(f"{setting.name}: {shown} is not allowed: {setting.allowed(text)}") from None
