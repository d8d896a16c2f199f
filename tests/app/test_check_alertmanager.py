"""What ``alert-threader check`` says of Alertmanager, each member as it really answers."""

import re
import socket
from typing import Any

import pytest

from alert_threader.cli.check_alertmanager import check_alertmanager
from alert_threader.settings.settings import Settings
from harness.members import Member, status
from harness.servers import HOST, free_port

_SETTINGS = {"SLACK_BOT_TOKEN": "xoxb-sandbox-1", "SLACK_CHANNEL": "C0ALERTS01"}
_ALERTS = [
    {"fingerprint": "a", "status": {"state": "active"}},
    {"fingerprint": "b", "status": {"state": "suppressed", "silencedBy": ["active"]}},
]
_TIMES = {"startsAt": "2026-11-27T10:00:00Z", "endsAt": "2026-11-27T20:00:00Z"}
_SILENCES = [
    {"id": f"s{each}", "status": {"state": state}, **_TIMES} for each, state in enumerate(("expired", "active"))
]


def said(urls: str, **settings: str) -> list[str]:
    """Each line that it says, without the subject, which is always the same."""
    environ = {**_SETTINGS, "ALERTMANAGER_URL": urls, **settings}
    found = [*check_alertmanager(Settings.from_environ(environ))]
    assert {each.subject for each in found} <= {"alertmanager"}
    assert not any("never-to-be-seen" in each.text or "\n" in each.text for each in found)
    return [f"{each.verdict} {each.text}" for each in found]


def test_nothing_is_set() -> None:
    """Nothing is said."""
    assert [*check_alertmanager(Settings.from_environ(_SETTINGS))] == []


def test_one_alone() -> None:
    """What it is and holds; silences that have ended do not count."""
    secret = status(configuration="global: {smtp_auth_password: never-to-be-seen}\nroute: {receiver: a}")
    with Member(secret, _ALERTS, _SILENCES) as member:
        login = {"ALERTMANAGER_USER": "kim", "ALERTMANAGER_PASSWORD": "never-to-be-seen"}
        assert said(member.url, **login) == [
            f"ok {member.host} is version 0.28.0, in no cluster: 2 alerts, 1 of them muted, 1 silence"
        ]


def test_a_cluster() -> None:
    """A line for each member, cluster after cluster."""
    with Member(status("a", "a", "b")) as a, Member(status("b", "a", "b"), _ALERTS[:1]) as b, Member() as other:
        assert said(f"{a.url},{b.url} {other.url}") == [
            f"ok {a.host} is version 0.28.0, in a cluster of 2 (status ready): 0 alerts, 0 of them muted, 0 silences",
            f"ok {b.host} is version 0.28.0, in a cluster of 2 (status ready): 1 alert, 0 of them muted, 0 silences",
            f"ok {other.host} is version 0.28.0, in no cluster: 0 alerts, 0 of them muted, 0 silences",
        ]


def test_a_cluster_that_is_not_ready() -> None:
    """It works, and threads wait."""
    with Member(status("a", "a", cluster="settling")) as member:
        (line,) = said(member.url)
    assert line.startswith(f"warn {member.host} is version 0.28.0, in a cluster of 1 (status settling)")
    assert line.endswith("nothing is closed until its cluster is ready")


class TestPeers:
    """Whoever is in the cluster must be in ALERTMANAGER_URL."""

    def test_one_that_is_not(self) -> None:
        """It is warned of once, by its address, however many know it."""
        with Member(status("a", "a", "b", "c")) as a, Member(status("b", "a", "b", "c")) as b:
            *_, last = lines = said(f"{a.url},{b.url}")
        assert last == "warn peer c.example.test:9094 is not in ALERTMANAGER_URL: nothing is closed"
        assert len(lines) == 3

    def test_while_a_member_is_down(self) -> None:
        """Nothing is said: the peer may be that member."""
        with Member(status("a", "a", "b")) as a:
            lines = said(f"{a.url},http://{HOST}:{free_port()}")
        assert [line.partition(" ")[0] for line in lines] == ["ok", "FAIL"]

    def test_where_nothing_is_polled(self) -> None:
        """Nothing would be closed anyway."""
        with Member(status("a", "a", "b")) as a:
            assert len(said(a.url, RECONCILE_EVERY="0", GONE_AFTER="10s")) == 1

    def test_a_name_with_several_addresses(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each is a member, shown with its address."""
        ask = socket.getaddrinfo

        def resolve(host: Any, *more: Any, **options: Any) -> Any:
            if host != "am.example.test":
                return ask(host, *more, **options)
            return [found for address in (HOST, "127.0.0.2") for found in ask(address, *more, **options)]

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        with Member(status("a", "a", "b")) as a, Member(status("b", "a", "b"), host="127.0.0.2", port=a.port):
            lines = said(f"http://am.example.test:{a.port}")
        shown = [f"ok am.example.test:{a.port} ({address}) is version" for address in (HOST, "127.0.0.2")]
        assert [line[: len(start)] for line, start in zip(lines, shown, strict=True)] == shown


@pytest.mark.parametrize("seconds", [0, 3, -3])
def test_nearly_the_same_clock(seconds: float) -> None:
    """A few seconds are passed over."""
    with Member() as member:
        member.ahead = seconds
        assert len(said(member.url)) == 1


@pytest.mark.parametrize(
    ("seconds", "shown"), [(9, "[89]s ahead of"), (-90, "1m (2[0-9]|30)s behind"), (9030, "2h 30m ahead of")]
)
def test_another_clock(seconds: float, shown: str) -> None:
    """More than 5 s are warned of: its clock decides."""
    with Member() as member:
        member.ahead = seconds
        _, warning = said(member.url)
        assert re.match(f"warn the clock of {member.host} is ({shown}) ours: it decides", warning), warning


@pytest.mark.parametrize(
    ("configuration", "given", "shown"),
    [
        ("route: {group_interval: 5m}", "11m", ""),
        ("route: {group_interval: 10s}", "80s", ""),
        ("route: {group_interval: 10s}", "79s", "GONE_AFTER is 1m 19s: a resolution can take up to 1m 20s"),
        ("route: {}", "5m", "GONE_AFTER is 5m: a resolution can take up to 11m (group_interval is 5m)"),
        ("route: {routes: [{group_interval: 1h}]}", "1h", "GONE_AFTER is 1h: a resolution can take up to 2h 1m"),
    ],
)
def test_gone_after(configuration: str, given: str, shown: str) -> None:
    """One that is shorter than the slowest resolution is warned of, with both numbers."""
    with Member(status(configuration=configuration)) as member:
        _, *warnings = said(member.url, GONE_AFTER=given)
        assert said(member.url)[1:] == []
    assert [warning[: len(shown) + 5] for warning in warnings] == ([f"warn {shown}"] if shown else [])


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        ((401, b"no"), "answers 401: no: check ALERTMANAGER_TOKEN, user and password"),
        ((200, b"<html>"), "does not answer as Alertmanager does: check ALERTMANAGER_URL"),
        ((404, b"<html>"), "answers 404: check ALERTMANAGER_URL"),
    ],
)
def test_a_member_that_fails(answer: tuple[int, bytes], shown: str) -> None:
    """One line says why; the others are looked at."""
    with Member() as one, Member() as two:
        one.says["status"] = answer
        first, second = said(f"{one.url},{two.url}", GONE_AFTER="1h", ALERTMANAGER_TOKEN="never-to-be-seen")
        assert first == f"FAIL {one.host} {shown}"
        assert second.startswith(f"ok {two.host}")


def test_nobody_there() -> None:
    """What a resolution takes there is not known either."""
    (line,) = said(f"http://{HOST}:{free_port()}", GONE_AFTER="10s")
    assert line.startswith("FAIL")
    assert "cannot be reached" in line
