"""Alertmanager's API, as the service uses it: against Debian's Alertmanager, and against what goes wrong."""

import http.server
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar

import pytest

from alert_threader.alertmanager import transport
from alert_threader.alertmanager.api import Alertmanager
from alert_threader.alertmanager.model import (
    AlertmanagerError,
    AlertmanagerFailure,
    Login,
    Matcher,
    MemberState,
    SilenceState,
)
from alert_threader.cli.stand_in import StandInAlertmanager
from harness import alertmanager as real
from harness.servers import HOST, free_port
from harness.service import wait_for
from harness.webhooks import FIRED

#: Values that are hard to quote.
AWKWARD = (
    'say "hi"',
    "back\\slash",
    "a|b",
    "데이터베이스",
    "per%cent & more",
    "{brace}, comma",
    "a\ttab",
    "two\nlines",
)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[real.Alertmanager]:
    """An Alertmanager that notifies nobody."""
    folder: Path = tmp_path_factory.mktemp("am") / "one"
    started = real.Alertmanager(folder, real.notifying(f"http://{HOST}:{free_port()}", "token"))
    yield started
    started.stop()


@pytest.fixture
def client(running: real.Alertmanager) -> Alertmanager:
    """A cluster of that one."""
    return Alertmanager([running.url], Login())


class _Answering(http.server.BaseHTTPRequestHandler):
    answers: ClassVar[list[tuple[int, bytes]]] = []
    seen: ClassVar[list[tuple[str, str]]] = []

    def do_GET(self) -> None:
        """Answer the next of the answers, the last one again and again."""
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.seen.append((self.path, self.headers.get("Authorization") or ""))
        status, body = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        self.send_response(status)
        if 300 <= status < 400:
            self.send_header("Location", "http://other.example.test/")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_DELETE = do_GET  # noqa: N815 - the base's names

    def log_message(self, *_: Any) -> None:
        """Write nothing."""


@contextmanager
def answering(*answers: tuple[int, bytes]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """A server that gives these answers; its address, and what it was asked."""
    handler = type("Handler", (_Answering,), {"answers": list(answers), "seen": []})
    server = http.server.ThreadingHTTPServer((HOST, 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_address[1]}", handler.seen  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def alertname(value: str) -> Matcher:
    """A matcher of one alert's name."""
    return Matcher("alertname", value)


class TestSilences:
    """With a real Alertmanager."""

    def test_one_is_made_read_and_ended(self, client: Alertmanager) -> None:
        """Twice ended is ended."""
        made = client.create([alertname("Made")], time.time() + 3600, "Kim", "disk swap [alert-threader op1]")
        found = client.silence(made)
        assert found is not None
        assert (found.state, found.created_by, found.matchers) == (SilenceState.ACTIVE, "Kim", (alertname("Made"),))
        assert abs(found.ends_at - time.time() - 3600) < 60
        client.expire(made)
        client.expire(made)
        assert (client.silence(made) or found).state is SilenceState.EXPIRED
        assert client.silences()[made].state is SilenceState.EXPIRED

    def test_an_unknown_one(self, client: Alertmanager) -> None:
        """It is not there, and to end it is no failure."""
        unknown = "11111111-2222-3333-4444-555555555555"
        assert client.silence(unknown) is None
        client.expire(unknown)

    def test_it_is_made_longer(self, client: Alertmanager) -> None:
        """It stays one silence: no other that holds has its comment."""
        matchers = [Matcher("b", "2"), alertname("Long"), Matcher("a", "")]
        made = client.create(matchers, time.time() + 600, "Kim", "one [alert-threader op2]")
        known = client.silence(made)
        assert known is not None
        later = client.extend(known, known.ends_at + 3600, "two [alert-threader op2]")
        found = client.tagged("op2")
        assert found is not None
        assert (found.id, round(found.ends_at - known.ends_at)) == (later, 3600)
        assert [each.id for each in client.silences().values() if each.holds and "op2" in each.comment] == [later]

    def test_one_that_has_ended_is_not_made_longer(self, client: Alertmanager) -> None:
        """Debian's Alertmanager makes another one; newer ones say that it is gone."""
        made = client.create([alertname("Short")], time.time() + 600, "Kim", "[alert-threader op3]")
        known = client.silence(made)
        assert known is not None
        client.expire(made)
        anew = ""
        with suppress(AlertmanagerError):
            anew = client.extend(known, known.ends_at + 60, known.comment)
        assert anew != made

    def test_it_is_found_by_its_tag(self, client: Alertmanager) -> None:
        """Only while it holds, and not by a part of the tag."""
        made = client.create([alertname("Tagged")], time.time() + 600, "Kim", "why [alert-threader abc]")
        found = client.tagged("abc")
        assert found is not None
        assert found.id == made
        assert client.tagged("ab") is None
        client.expire(made)
        assert client.tagged("abc") is None

    def test_a_silence_without_end_is_refused(self, client: Alertmanager) -> None:
        """Alertmanager's own words say why."""
        with pytest.raises(AlertmanagerError, match="silence") as caught:
            client.create([Matcher("a", "")], time.time() + 600, "Kim", "x")
        assert caught.value.kind is AlertmanagerFailure.REFUSED


class TestAlerts:
    """What a silence would match."""

    @pytest.mark.parametrize("value", AWKWARD)
    def test_values_are_matched_exactly(self, running: real.Alertmanager, client: Alertmanager, value: str) -> None:
        """Whatever is in them; and a silence with the same matchers mutes the alert."""
        name = f"Awkward{AWKWARD.index(value)}"
        running.push(name, {"a": FIRED}, what=value)
        running.push(name, {"b": FIRED}, what="other")
        matchers = [alertname(name), Matcher("what", value)]
        wait_for(lambda: len(client.alerts([alertname(name)])) == 2, 10)
        (found,) = client.alerts(matchers)
        assert (found.labels["what"], found.state) == (value, found.state)
        made = client.create(matchers, time.time() + 600, "Kim", "x")
        wait_for(lambda: [each.silenced_by for each in client.alerts(matchers)] == [(made,)], 10)
        assert client.alerts([alertname(name), Matcher("what", "other")])[0].silenced_by == ()

    def test_an_empty_value_does_not_match_a_label(self, running: real.Alertmanager, client: Alertmanager) -> None:
        """`env=""` leaves the alert alone that has an `env`."""
        running.push("Lacks", {"a": FIRED})
        running.push("Lacks", {"b": FIRED}, env="production")
        wait_for(lambda: len(client.alerts([alertname("Lacks")])) == 2, 10)
        (found,) = client.alerts([alertname("Lacks"), Matcher("env", "")])
        assert "env" not in found.labels


class TestMembers:
    """Several addresses of one cluster."""

    def test_one_that_is_down(self, running: real.Alertmanager) -> None:
        """The next one is asked."""
        client = Alertmanager([f"http://{HOST}:{free_port()}", running.url], Login())
        made = client.create([alertname("Members")], time.time() + 600, "Kim", "x")
        assert client.silence(made) is not None
        assert made in client.silences()

    def test_none_that_answers(self) -> None:
        """One line names the member."""
        member = f"{HOST}:{free_port()}"
        with pytest.raises(AlertmanagerError, match=f"{member} cannot be reached") as caught:
            Alertmanager([f"http://{member}"], Login()).create([], time.time(), "Kim", "x")
        assert (caught.value.kind, caught.value.outcome_unknown) == (AlertmanagerFailure.UNREACHABLE, False)

    def test_one_that_may_have_done_it(self) -> None:
        """No other is asked: it might be done twice."""
        with answering((502, b"<html>bad gateway</html>")) as (first, _), answering((200, b"{}")) as (second, seen):
            with pytest.raises(AlertmanagerError, match="answers 502") as caught:
                Alertmanager([first, second], Login()).create([], time.time(), "Kim", "x")
            assert (caught.value.outcome_unknown, seen) == (True, [])
            assert "html" not in str(caught.value)

    def test_one_that_hangs(self, running: real.Alertmanager) -> None:
        """What it was sent it may still do: from then on another one is asked, until it answers."""
        with socket.create_server((HOST, 0)) as hanging:
            member = f"http://{HOST}:{hanging.getsockname()[1]}"
            client = Alertmanager([member, running.url], Login(), timeout=0.3)
            with pytest.raises(AlertmanagerError) as caught:
                client.create([alertname("Hangs")], time.time() + 600, "Kim", "[alert-threader h]")
            assert caught.value.outcome_unknown
            assert client.tagged("h") is None
            made = client.create([alertname("Hangs")], time.time() + 600, "Kim", "[alert-threader h]")
        found = client.tagged("h")
        assert found is not None
        assert (found.id, found.tag) == (made, "h")


class TestTrouble:
    """What an address can answer, each in one line without a secret."""

    @pytest.mark.parametrize(
        ("answer", "kind", "said"),
        [
            ((401, b"no"), AlertmanagerFailure.AUTH, "ALERTMANAGER_TOKEN"),
            ((403, b""), AlertmanagerFailure.AUTH, "answers 403"),
            ((200, b"<html>sign in</html>"), AlertmanagerFailure.UNREACHABLE, "does not answer as Alertmanager"),
            ((200, b'{"no": "list"}'), AlertmanagerFailure.UNREACHABLE, "does not answer as Alertmanager"),
            ((302, b""), AlertmanagerFailure.UNREACHABLE, "answers 302"),
            ((400, b'"bad matcher: x"'), AlertmanagerFailure.REFUSED, "bad matcher: x"),
            ((503, b""), AlertmanagerFailure.UNREACHABLE, "answers 503"),
        ],
    )
    def test_an_answer(self, answer: tuple[int, bytes], kind: AlertmanagerFailure, said: str) -> None:
        """Its kind says what can be done about it."""
        with answering(answer) as (url, _), pytest.raises(AlertmanagerError, match=said) as caught:
            Alertmanager([url], Login(token="very-secret")).alerts()
        assert caught.value.kind is kind
        assert "very-secret" not in str(caught.value)

    def test_too_much(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """An answer without end is not read to its end."""
        monkeypatch.setattr(transport, "MAX_ANSWER", 1000)
        with answering((200, json.dumps(["x" * 5000]).encode())) as (url, _), pytest.raises(AlertmanagerError):
            Alertmanager([url], Login()).alerts()

    def test_this_machine_needs_no_proxy(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """One that is set for the rest of the world is not asked."""
        monkeypatch.setenv("HTTP_PROXY", f"http://{HOST}:{free_port()}")
        with answering((200, b"[]")) as (url, seen):
            assert Alertmanager([url], Login()).alerts() == []
        assert seen[0][0].startswith("/api/v2/alerts")

    def test_login(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A token, or user and password; what a ~/.netrc says is not used."""
        (tmp_path / ".netrc").write_text("default login nobody password else\n")
        monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
        with answering((200, b"[]")) as (url, seen):
            Alertmanager([url], Login(token="t")).alerts()
            Alertmanager([url], Login(user="u", password="p")).alerts()
            Alertmanager([url], Login()).alerts()
        assert [login for _, login in seen] == ["Bearer t", "Basic dTpw", ""]


def test_the_stand_in_of_the_demo() -> None:
    """It behaves as Alertmanager does, as far as the service can tell."""
    with StandInAlertmanager() as stand_in:
        client = Alertmanager([stand_in.url], Login())
        stand_in.hold({"f1": {"alertname": "A", "env": "eu"}, "f2": {"alertname": "A"}})
        assert [each.fingerprint for each in client.alerts([alertname("A"), Matcher("env", "")])] == ["f2"]
        made = client.create([alertname("A"), Matcher("env", "")], time.time() + 60, "Kim", "[alert-threader t]")
        assert {each.fingerprint: each.silenced_by for each in client.alerts()} == {"f1": (), "f2": (made,)}
        known = client.tagged("t")
        assert known is not None
        assert client.extend(known, time.time() + 120, known.comment) == made
        client.expire(made)
        client.expire(made)
        assert client.tagged("t") is None
        assert client.silence("unknown") is None
        client.expire("unknown")


def test_the_stand_in_is_looked_at() -> None:
    """It can be looked at, and seems to have run for long."""
    with StandInAlertmanager() as stand_in:
        stand_in.hold({"f1": {"alertname": "A"}})
        client = Alertmanager([stand_in.url], Login())
        (first,) = client.look()
        stand_in.hold({"f1": {"alertname": "A"}, "f2": {"alertname": "B"}})
        (state,) = client.look()
    assert isinstance(first, MemberState)
    assert isinstance(state, MemberState)
    assert (state.version, state.name, state.cluster_status, state.peers) == ("0.28.0", "", "disabled", {})
    assert 3500 < time.time() - state.started_at < 3700
    assert state.configuration.group_interval == 10
    assert {each.receivers for each in state.alerts.values()} == {("alert-threader",)}
    assert state.alerts["f1"].starts_at == first.alerts["f1"].starts_at <= state.alerts["f2"].starts_at
