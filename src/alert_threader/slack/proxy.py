"""The proxy that stands between here and Slack, as the environment names it."""

import ipaddress
from base64 import b64encode
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import unquote, urlsplit
from urllib.request import proxy_bypass

from alert_threader.slack.failures import FailureKind, SlackError

#: Where a proxy is named, in the order in which slack_sdk looks (its ``proxy_env_variable_loader``).
_NAMES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy")
_PORTS = {"http": 80, "https": 443}


class Proxy(NamedTuple):
    """An HTTP proxy. Its password is in ``headers`` and nowhere else."""

    host: str
    port: int
    setting: str
    headers: Mapping[str, str]

    @property
    def address(self) -> str:
        """The host and the port."""
        return authority(self.host, self.port)


def proxy_for(host: str, environ: Mapping[str, str]) -> Proxy | None:
    """The proxy on the way to a host; None where NO_PROXY excepts it, and for this machine.

    Raises SlackError where the setting names none that can be used, without its value: a password may be in it.
    """
    setting, url = next(((name, environ[name].strip()) for name in _NAMES if environ.get(name)), ("", ""))
    if not url or _is_here(host) or proxy_bypass(host):
        return None
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        standard = _PORTS[parts.scheme]
        port = parts.port or standard
    except (ValueError, KeyError):
        raise _unusable(setting) from None
    if not parts.hostname:
        raise _unusable(setting)
    if parts.scheme == "https" and parts.username is not None:
        # TLS with a proxy is not spoken here, and whoever wrote this counts on it.
        raise _unusable(setting, "names an https:// proxy with a password: that is not supported, use http://")
    return Proxy(parts.hostname, port, setting, _credentials(parts.username, parts.password))


def _unusable(
    setting: str, why: str = "names no HTTP proxy: it must be like http://proxy.example.com:3128"
) -> SlackError:
    return SlackError(FailureKind.TRANSIENT, "proxy", f"{setting} {why}")


def authority(host: str, port: int) -> str:
    """A host and a port, as an address has them."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _credentials(user: str | None, password: str | None) -> dict[str, str]:
    if user is None:
        return {}
    pair = f"{unquote(user)}:{unquote(password or '')}"
    return {"Proxy-Authorization": f"Basic {b64encode(pair.encode()).decode()}"}


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
