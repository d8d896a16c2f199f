"""The stand-in for a cluster of Alertmanagers: it answers in the form of the real one, and fails as it is told."""

import http.client
import json
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests

from alert_threader.alertmanager.api import Alertmanager
from alert_threader.alertmanager.model import (
    AlertmanagerError,
    AlertmanagerFailure,
    Login,
    Matcher,
    MemberState,
    SilenceState,
)
from alert_threader.alertmanager.transport import MAX_ANSWER
from chaos.alertmanagers import Alertmanagers
from harness import alertmanager as real
from harness.servers import HOST, free_port
from harness.service import wait_for
from harness.stand_in_cluster import Cluster, Fault, Member
from harness.webhooks import FIRED, labels, print_of

#: With these, an answer is as right as any.
_LEGAL = (Fault.SETTLING, Fault.SLOW, Fault.HALF_LIST, Fault.EMPTY, Fault.FOREIGN_PEER)


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """Three members, and two alerts of which one is silenced."""
    with Cluster(3) as started:
        for name in ("Up", "Hush"):
            started.truth.fire(labels(name), annotations={"summary": f"{name} is broken"})
        started.truth.silence({"alertname": "Hush"}, by="kim", comment="disk swap")
        yield started


class Asked(NamedTuple):
    """An answer, and its headers."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def ask(url: str, path: str, method: str = "GET", body: object = None) -> Asked:
    """Ask a member on a connection of its own."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=5)
    try:
        sent = None if body is None else json.dumps(body)
        connection.request(method, f"/api/v2/{path}", sent, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return Asked(answer.status, dict(answer.getheaders()), answer.read())
    finally:
        connection.close()


def listed(member: Member) -> set[str]:
    """The fingerprints of the alerts that a member lists."""
    return {each["fingerprint"] for each in ask(member.url, "alerts").json}


def form(value: Any) -> Any:
    """The keys and types of a JSON value; of a list, those of its first part; of a time, how it is written."""
    if isinstance(value, dict):
        return {name: form(each) for name, each in value.items()}
    if isinstance(value, list):
        return [form(each) for each in value[:1]]
    with suppress(TypeError, ValueError):
        datetime.fromisoformat(value)
        return f"time of {len(value)} characters"
    return type(value).__name__


class TestForm:
    """Against Debian's Alertmanager, version 0.25."""

    def test_it_is_that_of_the_real_one(self, cluster: Cluster, tmp_path: Path) -> None:
        """The same keys, types and headers, of an alert that is silenced and of one that is not."""
        running = real.Alertmanager(tmp_path / "am", real.notifying(f"http://{HOST}:{free_port()}", "token"))
        try:
            for name in ("Up", "Hush"):
                running.push(name, {"db01": FIRED})
            ours = Alertmanager([running.url], Login())
            ours.create([Matcher("alertname", "Hush")], time.time() + 3600, "kim", "disk swap")
            of_real = {each.labels["alertname"]: each for each in wait_for(lambda: both(ours), 10)}
            of_ours = {
                each.labels["alertname"]: each for each in Alertmanager(cluster.url.split(","), Login()).alerts()
            }
            for name, each in of_real.items():
                assert (each.fingerprint, each.state) == (of_ours[name].fingerprint, of_ours[name].state)
            assert compared(running.url) == compared(cluster.members[0].url)
        finally:
            running.stop()

    def test_a_cluster_names_its_members(self, tmp_path: Path) -> None:
        """Each with its own name, all of them by name and address, in the order of the names."""
        with Alertmanagers(tmp_path, f"http://{HOST}:{free_port()}", ["C0ALERTS1"]) as both, Cluster(2) as cluster:
            one = ask(f"http://{HOST}:{both._ports[0]}", "status").json
            other = ask(cluster.members[0].url, "status").json
        assert form(one) == form(other)
        for status in (one, other):
            names = [each["name"] for each in status["cluster"]["peers"]]
            assert names == sorted(names)
            assert status["cluster"]["name"] in names
            assert len(status["cluster"]["name"]) == 26
            assert len(names) == 2

    def test_the_service_reads_it(self, cluster: Cluster) -> None:
        """Each member under its own name, with all others, long since started, and with both alerts."""
        states = Alertmanager(cluster.url.split(","), Login()).look()
        assert {state.name for state in states if isinstance(state, MemberState)} == {m.name for m in cluster.members}
        for state in states:
            assert isinstance(state, MemberState)
            assert set(state.peers) == {member.name for member in cluster.members}
            assert (state.now or 0) - state.started_at > 3600
            assert set(state.alerts) == {print_of("Up"), print_of("Hush")}
            assert (state.version, state.cluster_status, len(state.silences)) == ("0.25.0", "ready", 1)

    def test_a_single_one_has_no_cluster(self, tmp_path: Path) -> None:
        """It has no name either."""
        running = real.Alertmanager(tmp_path / "am", real.notifying(f"http://{HOST}:{free_port()}", "token"))
        try:
            with Cluster(1) as cluster:
                assert (
                    ask(running.url, "status").json["cluster"] == ask(cluster.members[0].url, "status").json["cluster"]
                )
        finally:
            running.stop()

    def test_newer_ones_say_muted_by(self) -> None:
        """Time intervals are named in the groups; in the list of alerts the field is there, and empty."""
        with Cluster(1, newer=True) as cluster:
            name = cluster.truth.fire(labels("Night"))
            cluster.truth.mute(name, "nights")
            url = cluster.members[0].url
            assert ask(url, "status").json["versionInfo"]["version"] == "0.28.0"
            empty: dict[str, list[str]] = {"inhibitedBy": [], "silencedBy": [], "mutedBy": []}
            assert [each["status"] for each in ask(url, "alerts").json] == [{**empty, "state": "active"}]
            (group,) = ask(url, "alerts/groups").json
            assert group["labels"] == {"alertname": "Night"}
            assert [each["status"] for each in group["alerts"]] == [
                {**empty, "mutedBy": ["nights"], "state": "suppressed"}
            ]


def both(client: Alertmanager) -> list[Any]:
    """The two alerts, once one of them is silenced."""
    found = client.alerts()
    return found if len(found) == 2 and any(each.silenced_by for each in found) else []


def compared(url: str) -> list[Any]:
    """The form of the answers, and of their headers but for lengths and times."""
    alerts = ask(url, "alerts?active=true&silenced=true&inhibited=true")
    groups, silences = ask(url, "alerts/groups"), ask(url, "silences")
    found = [form(each) for each in sorted(alerts.json, key=lambda each: str(each["status"]["state"]))]
    for answer in (alerts, groups, silences):
        assert parsedate_to_datetime(answer.headers["Date"]).tzinfo is UTC
        found.append((answer.status, sorted(answer.headers), answer.headers["Content-Type"]))
    grouped = sorted(groups.json, key=lambda each: str(each["labels"]))
    return [*found, [form(each) for each in grouped], form(silences.json)]


class TestTruth:
    """What all members tell alike."""

    def test_an_alert_that_ends(self, cluster: Cluster) -> None:
        """It is gone at once, from all of them."""
        cluster.truth.end(print_of("Up"))
        assert [listed(each) for each in cluster.members] == [{print_of("Hush")}] * 3

    def test_an_inhibited_alert(self, cluster: Cluster) -> None:
        """It names what inhibits it, by fingerprint, until that is over."""
        cluster.truth.inhibit(print_of("Up"), print_of("Hush"))
        found = {each.fingerprint: each for each in Alertmanager([cluster.members[1].url], Login()).alerts()}
        assert found[print_of("Up")].inhibited_by == (print_of("Hush"),)
        cluster.truth.inhibit(print_of("Up"))
        assert len(ask(cluster.members[0].url, "alerts?silenced=false").json) == 1

    def test_silences(self, cluster: Cluster) -> None:
        """The service makes, finds, extends and ends them, and an ended one stays listed."""
        client = Alertmanager(cluster.url.split(","), Login())
        made = client.create([Matcher("alertname", "Up")], time.time() + 600, "lee", "why [alert-threader op1]")
        found = client.tagged("op1")
        assert found is not None
        assert client.extend(found, time.time() + 1200, found.comment) == made
        assert {each.state for each in client.alerts()} == {"suppressed"}
        client.expire(made)
        client.expire(made)
        assert client.silences()[made].state is SilenceState.EXPIRED
        assert client.alerts([Matcher("alertname", "Up")])[0].state == "active"


class TestFaults:
    """What can be wrong with one member, while the others answer."""

    def test_a_killed_one(self, cluster: Cluster) -> None:
        """Nobody listens, open connections end, the others list it no more; it comes back under another name."""
        member, name = cluster.members[0], cluster.members[0].name
        with requests.Session() as session:
            assert session.get(f"{member.url}/api/v2/status", timeout=5).ok
            member.kill()
            with pytest.raises(requests.ConnectionError):
                session.get(f"{member.url}/api/v2/status", timeout=5)
        assert len(ask(cluster.members[1].url, "status").json["cluster"]["peers"]) == 2
        member.start()
        assert ask(member.url, "status").json["cluster"]["name"] != name
        # As real ones do, the others list it under both names for a while.
        assert name in peers(cluster.members[1])
        wait_for(lambda: peers(cluster.members[1]) == {each.name for each in cluster.members}, 5)

    def test_one_that_starts_empty(self, cluster: Cluster) -> None:
        """It has no alert for a while, and its time may run faster; silences are kept."""
        member = cluster.members[0]
        assert age(member) > timedelta(hours=1)
        member.restart_empty(empty_for=0.3, speed=1200)
        assert listed(member) == set()
        assert len(ask(member.url, "silences").json) == 1
        assert age(member) < timedelta(minutes=10)
        wait_for(lambda: len(listed(member)) == 2, 5)
        wait_for(lambda: age(member) > timedelta(minutes=10), 5)

    def test_a_slow_one(self, cluster: Cluster) -> None:
        """It answers, late."""
        member = cluster.members[0]
        member.faults.add(Fault.SLOW)
        member.delay = 0.3
        began = time.monotonic()
        assert len(listed(member)) == 2
        assert time.monotonic() - began >= 0.3

    @pytest.mark.parametrize("fault", [each for each in Fault if each not in _LEGAL])
    def test_answers_that_are_none(self, cluster: Cluster, fault: Fault) -> None:
        """The service takes none of them for an answer."""
        member = cluster.members[0]
        client = Alertmanager([member.url], Login(), timeout=0.5 if fault is Fault.HANGING else 5)
        member.faults.add(fault)
        for question in (client.alerts, client.silences):
            with pytest.raises(AlertmanagerError) as caught:
                question()
            wanted = AlertmanagerFailure.AUTH if fault is Fault.UNAUTHORIZED else AlertmanagerFailure.UNREACHABLE
            assert caught.value.kind is wanted
        if fault is not Fault.HANGING:  # that takes as long as a look may
            (state,) = client.look()
            assert isinstance(state, AlertmanagerError)
        member.heal()
        assert len(client.alerts()) == 2

    def test_one_that_is_too_large(self, cluster: Cluster) -> None:
        """It is JSON, and larger than the service reads."""
        cluster.members[0].faults.add(Fault.HUGE)
        answer = ask(cluster.members[0].url, "alerts")
        assert len(answer.body) > MAX_ANSWER
        assert answer.json == []

    def test_half_lists(self, cluster: Cluster) -> None:
        """Together the members have every alert, unless a foreign one has the rest."""
        names = {cluster.truth.fire(labels("Many", f"db{number}")) for number in range(40)}
        for member in cluster.members:
            member.faults.add(Fault.HALF_LIST)
        parts = [listed(member) & names for member in cluster.members]
        assert set.union(*parts) == names
        assert all(part < names for part in parts)
        cluster.members[0].faults.add(Fault.FOREIGN_PEER)
        assert set.union(*(listed(member) & names for member in cluster.members)) < names
        assert len(ask(cluster.members[0].url, "status").json["cluster"]["peers"]) == 4

    def test_one_that_settles(self, cluster: Cluster) -> None:
        """It says so, and one without alerts does not even say that."""
        cluster.members[0].faults |= {Fault.SETTLING, Fault.EMPTY}
        assert ask(cluster.members[0].url, "status").json["cluster"]["status"] == "settling"
        assert listed(cluster.members[0]) == set()


def peers(member: Member) -> set[str]:
    """The names that a member lists."""
    return {each["name"] for each in ask(member.url, "status").json["cluster"]["peers"]}


def age(member: Member) -> timedelta:
    """How long ago a member started, by its own clock."""
    answer = ask(member.url, "status")
    return parsedate_to_datetime(answer.headers["Date"]) - datetime.fromisoformat(answer.json["uptime"])
