"""What is read of each member of a cluster: against Debian's Alertmanager, and against what goes wrong."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from alert_threader.alertmanager import states, transport
from alert_threader.alertmanager.api import Alertmanager
from alert_threader.alertmanager.model import AlertmanagerError, AlertmanagerFailure, Login, Matcher, MemberState
from alert_threader.alertmanager.transport import Member as Asked
from alert_threader.alertmanager.transport import Transport, members_at
from chaos.alertmanagers import Alertmanagers
from harness import alertmanager as real
from harness.members import STARTED, Member, status
from harness.network import Listener, authority, drips, stands_still
from harness.servers import HOST, free_port
from harness.service import wait_for
from harness.webhooks import FIRED

#: A name that only these tests know.
NAME = "alertmanager.example.test"
_CONFIG = """
global:
  smtp_smarthost: mail.example.test:25
  smtp_from: a@example.test
  smtp_auth_password: never-to-be-seen
route:
  receiver: top
  group_interval: 20s
  routes:
    - receiver: team
      matchers: [team="database"]
      routes:
        - matchers: [env="night"]
          group_interval: 7m
          mute_time_intervals: [never]
        - receiver: child
          matchers: [env="child"]
receivers: [{name: top}, {name: team}, {name: child}]
time_intervals:
  - name: never
    time_intervals: [{years: ["2000"]}]
inhibit_rules:
  - source_matchers: [alertname="Site"]
    target_matchers: [alertname="Host"]
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[real.Alertmanager]:
    """An Alertmanager in which one alert inhibits another."""
    started = real.Alertmanager(tmp_path_factory.mktemp("am") / "one", _CONFIG)
    yield started
    started.stop()


def seen(cluster: Alertmanager) -> MemberState:
    """The state of its only member."""
    (state,) = cluster.look()
    assert isinstance(state, MemberState), state
    return state


def failed(cluster: Alertmanager) -> AlertmanagerError:
    """Why its only member did not say."""
    (error,) = cluster.look()
    assert isinstance(error, AlertmanagerError), error
    return error


@pytest.fixture
def name_of(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Gives NAME these addresses."""
    ask = socket.getaddrinfo

    def give(*addresses: str) -> None:
        def resolve(host: Any, port: Any, *more: Any, **options: Any) -> Any:
            if host != NAME:
                return ask(host, port, *more, **options)
            return [found for address in addresses for found in ask(address, port, *more, **options)]

        monkeypatch.setattr(socket, "getaddrinfo", resolve)

    return give


class TestReal:
    """With a real Alertmanager."""

    def test_itself(self, running: real.Alertmanager) -> None:
        """Its version, its start, its clock, and what is used of its configuration."""
        state = seen(Alertmanager([running.url], Login()))
        assert state.host == running.url.removeprefix("http://")
        assert state.version.startswith("0.")
        assert (state.name, state.cluster_status, state.peers) == ("", "disabled", {})
        assert 0 < time.time() - state.started_at < 600
        assert abs((state.now or 0) - time.time()) < 5
        assert state.configuration.group_interval == 420
        assert state.configuration.timed_receivers == {"team"}

    def test_nothing_secret(self, running: real.Alertmanager) -> None:
        """No password of its configuration, or of ours, is in what is kept."""
        cluster = Alertmanager([running.url], Login(user="u", password="never-to-be-seen"))
        state = seen(cluster)
        assert "never-to-be-seen" not in repr(state) + repr(vars(cluster)) + repr(vars(cluster._transport))

    def test_alerts_and_silences(self, running: real.Alertmanager) -> None:
        """Active, silenced and inhibited ones, with what mutes them; silences that have ended as well."""
        cluster = Alertmanager([running.url], Login())
        for name in ("Site", "Host", "Quiet", "Plain"):
            running.push(name, {"a": FIRED}, team="database")
        until = time.time() + 600
        silence = cluster.create([Matcher("alertname", "Quiet")], until, "Kim", "disk swap")
        ended = cluster.create([Matcher("alertname", "Ended")], until, "Lee", "over")
        cluster.expire(ended)

        def states() -> dict[str, str]:
            return {each.labels["alertname"]: each.state for each in seen(cluster).alerts.values()}

        wanted = {"Site": "active", "Host": "suppressed", "Quiet": "suppressed", "Plain": "active"}
        wait_for(lambda: states() == wanted, 10)
        state = seen(cluster)
        alerts = {each.labels["alertname"]: each for each in state.alerts.values()}
        assert alerts["Host"].inhibited_by == (alerts["Site"].fingerprint,)
        assert alerts["Quiet"].silenced_by == (silence,)
        assert (alerts["Plain"].silenced_by, alerts["Plain"].inhibited_by) == ((), ())
        assert alerts["Plain"].muted_by in {None, ()}
        assert {each.receivers for each in alerts.values()} == {("team",)}
        assert all(abs(time.time() - 300 - each.starts_at) < 60 for each in alerts.values())
        kept = {key: (each.holds, each.created_by, each.comment) for key, each in state.silences.items()}
        assert kept == {silence: (True, "Kim", "disk swap"), ended: (False, "Lee", "over")}
        assert abs(state.silences[silence].ends_at - until) < 1

    def test_two_of_one_cluster(self, tmp_path: Path) -> None:
        """They know each other, and themselves, by the names that each has for itself."""
        with Alertmanagers(tmp_path / "two", f"http://{HOST}:{free_port()}", ["C0ALERTS01"]) as members:
            states = Alertmanager(members.urls, Login()).look()
            one, two = (state for state in states if isinstance(state, MemberState))
        assert [f"http://{state.host}" for state in (one, two)] == [*members.urls]
        assert one.name != two.name
        assert set(one.peers) == set(two.peers) == {one.name, two.name}
        assert one.cluster_status == "ready"
        assert all(address.startswith(HOST) for address in one.peers.values())


class TestTrouble:
    """What a member can answer: one line says what is wrong, and of whom."""

    def test_all_is_well(self) -> None:
        """The made-up member of these tests is one."""
        with Member(status("a", "a", "b")) as member:
            member.ahead = 90
            state = seen(Alertmanager([member.url], Login()))
        assert (state.name, state.cluster_status, set(state.peers)) == ("a", "ready", {"a", "b"})
        assert STARTED.startswith(time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(state.started_at)))
        assert abs((state.now or 0) - time.time() - 90) < 5

    @pytest.mark.parametrize("path", ["status", "alerts", "silences"])
    @pytest.mark.parametrize(
        ("said", "kind", "line"),
        [
            ((401, b"no"), AlertmanagerFailure.AUTH, "answers 401: no: check ALERTMANAGER_TOKEN"),
            ((200, b"<html>sign in</html>"), AlertmanagerFailure.UNREACHABLE, "does not answer as Alertmanager does"),
            ((200, b'[{"fingerprint": "a", "lab'), AlertmanagerFailure.UNREACHABLE, "does not answer as Alertmanager"),
            ((200, b'[{"a": ' + 100_000 * b"["), AlertmanagerFailure.UNREACHABLE, "does not answer as Alertmanager"),
            ((200, b'{"a": ' + 100_000 * b"["), AlertmanagerFailure.UNREACHABLE, "does not answer as Alertmanager"),
            ((200, b"\xff"), AlertmanagerFailure.UNREACHABLE, "does not answer as Alertmanager"),
            ((200, b'{"other": "program"}'), AlertmanagerFailure.UNREACHABLE, "does not answer as Alertmanager"),
            ((503, b"<html>later</html>"), AlertmanagerFailure.UNREACHABLE, "answers 503: check|answers 503$"),
        ],
    )
    def test_an_answer(self, path: str, said: tuple[int, bytes], kind: AlertmanagerFailure, line: str) -> None:
        """Whichever of the three it is, nothing of the member is used."""
        with Member() as member:
            member.says[path] = said
            error = failed(Alertmanager([member.url], Login(token="very-secret")))
            assert str(error).startswith(member.host)
        with pytest.raises(AlertmanagerError, match=line):
            raise error
        assert error.kind is kind
        assert "very-secret" not in str(error)
        assert "\n" not in str(error)

    def test_no_start(self) -> None:
        """Whoever does not say since when it runs cannot be relied on."""
        with Member(status(uptime="a while")) as member:
            assert "does not answer as Alertmanager" in str(failed(Alertmanager([member.url], Login())))

    def test_half_an_answer(self) -> None:
        """The connection is cut before its end."""
        with Member() as member:
            member.lacking = 10
            assert "breaks off its answer" in str(failed(Alertmanager([member.url], Login())))

    def test_a_cut_connection(self) -> None:
        """It ends before anything was answered."""
        with Listener(lambda connection, _head: connection.close()) as member:
            error = failed(Alertmanager([f"http://{HOST}:{member.port}"], Login()))
        assert f"{HOST}:{member.port} cannot be reached" in str(error)

    def test_too_much(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is not read to its end."""
        monkeypatch.setattr(transport, "MAX_ANSWER", 1024 * 1024)
        with Member(status(configuration="#" * 1024 * 1024)) as member:
            assert "answers with more than 1 MB" in str(failed(Alertmanager([member.url], Login())))

    @pytest.mark.parametrize("date", ["soon", "Mon, 01 Jan 2026 00:00:00 +9999999999999999", ""])
    def test_no_clock(self, monkeypatch: pytest.MonkeyPatch, date: str) -> None:
        """A time that is none says nothing of its clock."""
        monkeypatch.setattr("harness.members._Handler.date_time_string", lambda *_: date)
        with Member() as member:
            assert seen(Alertmanager([member.url], Login())).now is None

    def test_no_name_at_all(self) -> None:
        """A name that cannot be one is told like any other that is not found."""
        error = failed(Alertmanager(["http://alertmanager..svc:9093"], Login()))
        assert str(error).startswith("alertmanager..svc:9093 cannot be reached")


class TestLateness:
    """A member that is late holds up nobody for long."""

    def test_one_that_hangs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The others have answered; its error says so."""
        monkeypatch.setattr(states, "_LOOKING", 0.3)
        with Member() as well, Listener(stands_still) as hangs:
            started = time.monotonic()
            late, state = Alertmanager([f"http://{HOST}:{hangs.port}", well.url], Login()).look()
            took = time.monotonic() - started
        assert str(late).startswith(f"{HOST}:{hangs.port} does not answer in time")
        assert isinstance(state, MemberState)
        assert took < 3

    def test_one_that_stops_in_its_answer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is late, not broken off."""
        monkeypatch.setattr(states, "_LOOKING", 0.3)
        released = threading.Event()

        def begin(connection: socket.socket, _head: bytes) -> None:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
            released.wait(10)

        with Listener(begin) as member:
            error = failed(Alertmanager([f"http://{HOST}:{member.port}"], Login()))
            released.set()
        assert "does not answer in time" in str(error)

    def test_one_that_drips(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each byte of its head comes in time, the head does not: it is not waited for, nor asked again meanwhile."""
        monkeypatch.setattr(states, "_LOOKING", 0.5)
        monkeypatch.setattr(states, "_LOOKING_IN_ALL", 1.0)
        with Listener(drips(0.1, "HTTP/1.1 200 OK\r\nX: " + "x" * 60)) as member, Member() as well:
            cluster = Alertmanager([f"http://{HOST}:{member.port}", well.url], Login())
            started = time.monotonic()
            for _ in range(3):
                late, state = cluster.look()
                assert "does not answer in time" in str(late)
                assert isinstance(state, MemberState)
            assert time.monotonic() - started < 2.5
            assert len(member.heads) == 1


class TestNames:
    """A name with several addresses is several members, as with a headless service in Kubernetes."""

    def test_each_is_asked(self, name_of: Callable[..., None]) -> None:
        """Each by its address, for the host that the name is, and called by both."""
        name_of("127.0.0.2", HOST)
        with (
            Member(status("a", "a", "b")) as one,
            Member(status("b", "a", "b"), host="127.0.0.2", port=one.port) as two,
        ):
            url = f"http://{NAME}:{one.port}"
            states = Alertmanager([url], Login()).look()
            assert {host for host, _ in one.seen + two.seen} == {f"{NAME}:{one.port}"}
        told = [(each.host, each.name) for each in states if isinstance(each, MemberState)]
        assert told == [(f"{NAME}:{one.port} ({HOST})", "a"), (f"{NAME}:{one.port} (127.0.0.2)", "b")]

    def test_one_of_them_is_down(self, name_of: Callable[..., None]) -> None:
        """It is a member that does not answer."""
        name_of(HOST, "127.0.0.2")
        with Member() as one:
            state, error = Alertmanager([f"http://{NAME}:{one.port}"], Login()).look()
        assert isinstance(state, MemberState)
        assert str(error).startswith(f"{NAME}:{one.port} (127.0.0.2) cannot be reached")

    @pytest.mark.parametrize(
        ("addresses", "found"),
        [
            ((HOST,), [""]),
            ((HOST, HOST), [""]),
            ((), [""]),
            (("127.0.0.2", HOST, "127.0.0.2"), [HOST, "127.0.0.2"]),
            (("::1", HOST), [""]),
            (("::1", HOST, "127.0.0.2"), [HOST, "127.0.0.2"]),
            (("fd00::2", "fd00::1"), ["fd00::1", "fd00::2"]),
        ],
    )
    def test_addresses(self, name_of: Callable[..., None], addresses: tuple[str, ...], found: list[str]) -> None:
        """A member with an address of each family is one."""
        name_of(*addresses)
        assert [member.address for member in members_at(f"http://{NAME}:9093")] == found

    @pytest.mark.parametrize(
        ("url", "environ", "count"),
        [
            (f"http://{NAME}", {"HTTP_PROXY": "http://proxy.example.test:3128"}, 1),
            (f"http://{NAME}", {"HTTPS_PROXY": "http://proxy.example.test:3128"}, 2),
            (f"https://{NAME}", {"HTTPS_PROXY": "http://proxy.example.test:3128"}, 1),
            (f"https://{NAME}", {"HTTPS_PROXY": "http://proxy.example.test:3128", "NO_PROXY": "example.test"}, 2),
            (f"http://{NAME}", {"NO_PROXY": "other.example.test"}, 2),
            (f"http://{HOST}", {}, 1),
            ("http://localhost:9093", {}, 1),
            ("http://[::1]:9093", {}, 1),
        ],
    )
    def test_where_no_name_is_resolved(
        self,
        name_of: Callable[..., None],
        monkeypatch: pytest.MonkeyPatch,
        url: str,
        environ: dict[str, str],
        count: int,
    ) -> None:
        """The proxy resolves it, but only one that this URL goes through; and this machine is one member."""
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
            monkeypatch.delenv(name.lower(), raising=False)
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        name_of(HOST, "127.0.0.2")
        assert len(members_at(url)) == count


class TestTls:
    """At an address, the certificate is that of the name."""

    @pytest.mark.parametrize(("certified", "is_right"), [(NAME, True), ("other.example.test", False)])
    def test_the_name_is_checked(
        self, tmp_path: Path, name_of: Callable[..., None], certified: str, is_right: bool
    ) -> None:
        """A certificate of another name is refused, and nothing is asked."""
        company = authority(tmp_path, certified)
        name_of(HOST, "127.0.0.2")
        with (
            Member(context=company.context) as one,
            Member(context=company.context, host="127.0.0.2", port=one.port) as two,
        ):
            states = Alertmanager([f"https://{NAME}:{one.port}"], Login(ca=str(company.ca))).look()
            asked = one.seen + two.seen
        if is_right:
            assert all(isinstance(state, MemberState) for state in states)
            assert len(asked) == 6
        else:
            assert all("SSLError" in str(state) for state in states)
            assert not asked
        assert len(states) == 2

    def test_our_ca_alone_is_trusted(
        self, tmp_path: Path, name_of: Callable[..., None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Not another one that the environment names for everybody."""
        (tmp_path / "ours").mkdir()
        (tmp_path / "other").mkdir()
        company, other = authority(tmp_path / "ours", NAME), authority(tmp_path / "other", NAME)
        name_of(HOST, "127.0.0.2")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(other.ca))
        with Member(context=company.context) as member:
            asked = Asked(f"https://{NAME}:{member.port}", HOST)
            sent = Transport(Login(ca=str(company.ca)))
            assert sent.ask(asked, "GET", "alerts", timeout=5).body == b"[]"
        with Member(context=other.context) as member, pytest.raises(AlertmanagerError, match="SSLError"):
            sent.ask(Asked(f"https://{NAME}:{member.port}", HOST), "GET", "alerts", timeout=5)

    def test_a_connection_is_kept(self, tmp_path: Path) -> None:
        """Three questions to one address take one adapter."""
        company = authority(tmp_path, NAME)
        with Member(context=company.context) as member:
            asked, sent = Asked(f"https://{NAME}:{member.port}", HOST), Transport(Login(ca=str(company.ca)))
            adapters = set()
            for _ in range(3):
                sent.ask(asked, "GET", "alerts", timeout=5)
                adapters.add(id(sent._session(asked).get_adapter(f"https://{HOST}:{member.port}/")))
        assert len(adapters) == 1
