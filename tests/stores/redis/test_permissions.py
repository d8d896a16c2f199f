"""A user of Redis who may do little: what the documents list is enough, and what is missing for the work is named."""

import shlex
from pathlib import Path

import pytest
import redis

from alert_threader.app import create_app
from alert_threader.cli.check import check
from alert_threader.cli.finding import Verdict
from alert_threader.service import service_of
from alert_threader.settings.settings import Settings
from alert_threader.store import Threads
from harness.servers import HOST, RedisServer
from slack_sandbox import SandboxServer
from tests.build import CHANNEL, NOW
from tests.documents import blocks
from tests.stores.redis.kit import CALLS, PREFIX, Open, failure_of
from tests.stores.sending import claimed, fires, kept

ADVICE = f"give it ~{PREFIX}* and the commands that docs/stores.md names"


def documented() -> list[str]:
    """The rules of the documented command, with the user's name in front."""
    (line,) = [line for block in blocks("sh") for line in block.splitlines() if "ACL SETUSER" in line]
    words = shlex.split(line)
    assert words[:3] == ["redis-cli", "ACL", "SETUSER"]
    return words[3:]


def url_of(server: RedisServer, *without: str, more: tuple[str, ...] = ()) -> str:
    """The address for the documented user, less or more than what is documented."""
    name, *rules = documented()
    assert set(without) <= set(rules)
    with redis.Redis(port=server.port) as client:
        client.execute_command("ACL", "SETUSER", name, "reset", *(rule for rule in rules if rule not in without), *more)
    password = next(rule[1:] for rule in rules if rule.startswith(">"))
    return f"redis://{name}:{password}@{HOST}:{server.port}/0"


@pytest.mark.usefixtures("client")
class TestPermissions:
    """Redis' own words say which command is missing, and ours what to give."""

    def test_documented_is_enough(self, server: RedisServer, open_verbs: Open) -> None:
        """Every call of the store succeeds, with replicas to wait for or without, and it may do no more."""
        verbs = open_verbs(url_of(server))
        verbs.store.ping()
        verbs.notify([fires("a", "1")], NOW)
        lease = claimed(verbs.store)
        for name, call in CALLS.items():
            if name not in ("release", "forget"):
                call(verbs, lease)
        CALLS["release"](verbs, lease)
        CALLS["forget"](verbs, lease)
        assert kept(verbs.store).firing == 2
        client = verbs.store._redis  # type: ignore[attr-defined]
        assert client.execute_command("WAIT", 0, 1) == 0
        assert client.info("replication")["role"] == "master"
        for forbidden in (
            ("FLUSHALL",),
            ("KEYS", "*"),
            ("CONFIG", "SET", "save", ""),
            ("GET", "another"),
            ("ACL", "LIST"),
        ):
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.execute_command(*forbidden)

    def test_advice_is_optional(self, server: RedisServer, open_verbs: Open) -> None:
        """Without INFO and CONFIG GET all is delivered, so nothing is wrong."""
        verbs = open_verbs(url_of(server, "+info", "+config|get"))
        verbs.store.ping()
        assert verbs.store.warnings() == []
        assert set(verbs.store.info().values()) == {None}
        assert verbs.store.unseen() == ["INFO", "CONFIG GET"]  # type: ignore[attr-defined]

    @pytest.mark.parametrize(
        ("without", "more", "named"),
        [
            (("+evalsha",), (), "'evalsha'"),
            (("+script|load",), (), "'script|load'"),
            (("+@read",), (), "'hmget'"),
            (("+@write",), ("+set",), "can't run this command"),
            (("+time",), (), "can't run this command"),
            ((f"~{PREFIX}*",), ("~other:*",), "access one of the keys"),
            ((f"~{PREFIX}*",), (f"~{PREFIX}:*",), "access one of the keys"),
        ],
    )
    def test_missing_for_the_work(
        self, server: RedisServer, open_verbs: Open, without: tuple[str, ...], more: tuple[str, ...], named: str
    ) -> None:
        """``ping`` tries what a webhook and a sender do, and says what they may not."""
        with redis.Redis(port=server.port) as client:
            client.script_flush()
        verbs = open_verbs(url_of(server, *without, more=more))
        said = failure_of(verbs.store.ping)
        assert named in said
        assert ADVICE in said
        assert "correct user and password" not in said

    def test_missing_with_replicas(self, server: RedisServer, open_verbs: Open) -> None:
        """Where a change must be on a replica, what says so is needed."""
        verbs: Threads = open_verbs(url_of(server, more=("-wait",)), fails_over=True)
        assert "'wait'" in failure_of(verbs.store.ping)
        verbs = open_verbs(url_of(server, "+info"), fails_over=True)
        assert "'info'" in failure_of(verbs.store.ping)

    def test_service(self, server: RedisServer, tmp_path: Path) -> None:
        """``/health``, ``/stats`` and ``check`` take a user without INFO and CONFIG for what it is: good enough."""
        with SandboxServer(rate_limits=False) as slack:
            environ = {
                "SLACK_BOT_TOKEN": "xoxb-sandbox-1",
                "SLACK_CHANNEL": CHANNEL,
                "SLACK_API_URL": slack.api_url,
                "THREAD_STORE": "redis",
                "THREAD_STORE_FILE": str(tmp_path / "unused"),
                "REDIS_URL": url_of(server, "+info", "+config|get"),
            }
            app = create_app(Settings.from_environ(environ))
            try:
                health = app.test_client().get("/health")
                assert (health.status_code, health.get_json()["status"]) == (200, "healthy")
                assert app.test_client().get("/stats").status_code == 200
            finally:
                assert service_of(app).close(5)
            found = {(each.subject, each.verdict): each.text for each in check(environ, NOW)}
        assert found["store", Verdict.OK] == "Redis can be written; 0 threads"
        assert "evicts or loses threads: this user may not INFO and CONFIG GET" in found["redis", Verdict.SKIP]
        assert not [each for each in found if each[1] is Verdict.FAIL]
