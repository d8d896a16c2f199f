"""Several workers and replicas share a Redis, which goes away and comes back: nothing is lost or delivered twice."""

import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from random import Random

import pytest
import redis

from alert_threader.store.base import LEASE_TTL
from harness.proxy import Proxy
from harness.replicas import MakeReplica, asked, assert_refused, replicas, start_all
from harness.scripts import script, send_all, stories
from harness.servers import HOST, RedisServer, program
from harness.service import CHANNEL, Background, at_once, wait_for
from harness.story import RED, assert_delivered, delivered, root_of
from harness.webhooks import FIRED, RESOLVED, key, print_of, webhook
from slack_sandbox import SandboxServer
from slack_sandbox.workspace import Workspace

#: How long Redis is away, in seconds: longer than a lease. ``python -m chaos redis-down`` is about 30 s.
_OUTAGE = 6.0
_ROUNDS = 100
#: How often a group changes, at least.
_STEPS = 5
#: How long Slack may still be at work on a call that timed out, in seconds.
_SLACK_TIMEOUT = 3.0

#: The moments at which a replica stands still: the request to Redis whose answer it does not hear any more.
_MOMENTS: dict[str, tuple[bytes, ...]] = {
    "it claimed the channel": (b"-lease:", b"NX"),
    "it stored the attempt": (b"EVALSHA", b'"attempt":{', b"Frozen|"),
    "it called Slack": (),
    "it stored the outcome": (b"EVALSHA", b'"ts":"', b"Frozen|"),
}


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Background[None]]]:
    """What takes long because it waits: it goes on beside the other tests, each with a Redis and a Slack of its own."""
    program("redis-server")
    tales: dict[str, Callable[[Path, SandboxServer], None]] = {
        **{moment: partial(freeze_after, moment) for moment in _MOMENTS},
        "outage": stay_away,
        "short outage": restart_during_a_call,
    }
    with ExitStack() as closing:
        # Made one after the other: Python 3.11 may fail where two threads make a Flask application at the same time
        # (https://github.com/python/cpython/issues/106905).
        slacks = [closing.enter_context(SandboxServer(port=0, rate_limits=False)) for _ in tales]
        running = {
            name: Background(partial(tale, tmp_path_factory.mktemp("story"), slack))
            for (name, tale), slack in zip(tales.items(), slacks, strict=True)
        }
        yield running
        for story in running.values():
            # How it went, its own test says.
            with contextlib.suppress(Exception):
                story.finish(120)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A running Redis."""
    with RedisServer(tmp_path / "redis") as running:
        yield running


@pytest.fixture
def make_replica(tmp_path: Path, slack: SandboxServer, server: RedisServer) -> Iterator[MakeReplica]:
    """Make replicas, not yet started, that share that Redis and that Slack."""
    with replicas(tmp_path, slack.api_url) as make:
        yield lambda name, url=server.url, **settings: make(name, url, **settings)


@pytest.mark.usefixtures("beside")
def test_same_webhook_at_the_same_instant(make_replica: MakeReplica, workspace: Workspace) -> None:
    """Each of a hundred webhooks comes to all of three replicas with two workers at once: all is delivered once."""
    services = start_all([make_replica(name) for name in ("one", "two", "three")])
    names = [f"Same{number}" for number in range(_ROUNDS // 4)]
    sent: dict[str, list[str]] = {}
    for instance in ("db01", "db02"):
        for what in (FIRED, RESOLVED):
            for name in names:
                sends = [partial(service.send, webhook(name, {instance: what})) for service in (*services, *services)]
                assert all(answer.ok for answer in at_once(sends))
                sent.setdefault(print_of(name, instance), []).append(what)
            services[0].wait_until_delivered(30)
    assert_delivered(workspace, CHANNEL, sent)
    assert len(workspace.roots(CHANNEL)) == len(names)
    for service in services:
        assert len(service.workers) == 2
        assert set(service.cache) == {key(name) for name in names}
        service.stop()


def test_commit_is_seen(make_replica: MakeReplica, workspace: Workspace) -> None:
    """What tells ``chaos`` that a replica commits changes with a webhook that says something new, and only then."""
    service = make_replica("seen")
    service.start()
    before = service.commit
    service.send_until_taken(webhook("Seen"))
    assert service.commit != before
    service.wait_until_delivered()
    told_at = service.commit
    assert service.get("/health").ok
    service.send_until_taken(webhook("Seen"))
    time.sleep(1.2)  # the lease is renewed meanwhile
    assert service.commit == told_at
    assert len(workspace.roots(CHANNEL)) == 1
    service.stop()


def test_redis_killed_in_traffic(make_replica: MakeReplica, server: RedisServer, workspace: Workspace) -> None:
    """Kill -9 and clean restarts of Redis under traffic: all threads are there, everything is delivered once."""
    services = start_all([make_replica(name) for name in ("one", "two")])
    chance = Random(3)
    scripts = [script(f"Durable{number}", chance, _STEPS) for number in range(4)]
    workspace.faults.add("slow", probability=0.3, seconds=0.1)
    senders = [
        Background(partial(send_all, service, steps, 0.3)) for service, steps in zip(services * 2, scripts, strict=True)
    ]
    threads: dict[str, str] = {}
    for end in (server.kill, server.stop, server.kill):
        time.sleep(chance.uniform(0.4, 0.8))
        end()
        time.sleep(chance.uniform(0.1, 0.5))
        server.start()
        wait_for(lambda: services[0].get("/cache").status == 200, 5, lambda: services[0].log)
        now = services[0].cache
        assert now.items() >= threads.items(), "a thread was forgotten"
        threads = now
    for sender in senders:
        sender.finish(60)
    services[0].wait_until_delivered(30)
    sent = {fingerprint: story for steps in scripts for fingerprint, story in stories(steps).items()}
    assert_delivered(workspace, CHANNEL, sent, folded=True)
    for service in services:
        service.stop()


def test_answers_lost_in_traffic(make_replica: MakeReplica, server: RedisServer, workspace: Workspace) -> None:
    """Connections end again and again between a script's effect and its answer: all is delivered once."""
    with Proxy(server.port) as proxy:
        services = start_all([make_replica(name, f"redis://{HOST}:{proxy.port}/0") for name in ("one", "two")])
        chance = Random(4)
        scripts = [script(f"Cut{number}", chance, _STEPS) for number in range(4)]
        senders = [
            Background(partial(send_all, service, steps, 0.2))
            for service, steps in zip(services * 2, scripts, strict=True)
        ]
        over = time.monotonic() + 4
        cuts = 0
        proxy.cut_once(b"EVALSHA")
        while time.monotonic() < over:
            time.sleep(chance.uniform(0.02, 0.1))
            if proxy.happened:
                cuts += 1
                proxy.cut_once(b"EVALSHA")
        proxy.once(bool)
        for sender in senders:
            sender.finish(60)
        services[0].wait_until_delivered(30)
        sent = {fingerprint: story for steps in scripts for fingerprint, story in stories(steps).items()}
        assert_delivered(workspace, CHANNEL, sent, folded=True)
        assert cuts > 10
        for service in services:
            service.stop()


def test_redis_hangs(make_replica: MakeReplica, server: RedisServer, workspace: Workspace) -> None:
    """A Redis that takes connections and answers nothing keeps nobody waiting, however many webhooks come at once."""
    service = make_replica("one")
    service.start()
    names = [f"Hang{number}" for number in range(12)]
    service.send_until_taken(webhook("Before"))
    service.wait_until_delivered()
    process = server._process
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    try:
        for answer in at_once([partial(asked, partial(service.send, webhook(name))) for name in names]):
            assert_refused(answer, "Redis does not answer")
        health = asked(partial(service.get, "/health"))
        assert health.status == 503
        assert health.json["redis_status"].startswith("Redis does not answer")
    finally:
        process.send_signal(signal.SIGCONT)
    for name in names:
        service.send_until_taken(webhook(name))
    service.wait_until_delivered()
    assert_delivered(workspace, CHANNEL, {print_of(name): [FIRED] for name in ("Before", *names)})
    service.stop()


def test_started_before_redis(tmp_path: Path, slack: SandboxServer, workspace: Workspace) -> None:
    """A service starts without Redis, says what is wrong, and serves as soon as Redis is there."""
    server = RedisServer(tmp_path / "redis")
    with replicas(tmp_path, slack.api_url) as make:
        service = make("early", server.url)
        service.start()
        assert_refused(service.send(webhook("Early")), "Redis cannot be reached")
        health = service.get("/health")
        assert (health.status, health.json["thread_store"]) == (503, "redis")
        with server:
            service.send_until_taken(webhook("Early"))
            service.wait_healthy()
            assert_delivered(workspace, CHANNEL, {print_of("Early"): [FIRED]})
            stats = service.get("/stats").json["redis"]
            assert stats["connected_clients"] >= 2
            assert stats["used_memory_human"]
            assert {"keyspace_hits", "keyspace_misses"} <= set(stats)
            service.stop()


# -- beside them ------------------------------------------------------------------------------------------------


def test_redis_away(beside: dict[str, Background[None]]) -> None:
    """Webhooks are refused at once while Redis is stopped, and taken when they are sent again after its return."""
    beside["outage"].finish(60 + _OUTAGE)


def test_redis_restarted_during_a_call(beside: dict[str, Background[None]]) -> None:
    """What Slack answers meanwhile is written down later: also an app that cannot look messages up tells it once."""
    beside["short outage"].finish(60)


@pytest.mark.parametrize("moment", _MOMENTS)
def test_frozen_replica(beside: dict[str, Background[None]], moment: str) -> None:
    """A replica that stands still after this moment and past its lease tells nothing twice when it goes on."""
    beside[moment].finish(90)


def stay_away(folder: Path, slack: SandboxServer) -> None:
    """Stop Redis for a while, with a call to Slack under way, and send webhooks all the time."""
    with ExitStack() as closing:
        server = closing.enter_context(RedisServer(folder / "redis"))
        make = closing.enter_context(replicas(folder, slack.api_url))
        workspace = slack.workspace
        services = start_all([make(name, server.url) for name in ("one", "two")])
        names = [f"Away{number}" for number in range(6)]
        sent = {print_of(name): [FIRED] for name in (*names, "InFlight")}
        for name in names:
            services[0].send_until_taken(webhook(name))
        services[0].wait_until_delivered()
        threads = services[0].cache

        workspace.faults.add("slow", method="chat.postMessage", seconds=0.5, count=1)
        calls = len(workspace.calls.all("chat.postMessage"))
        services[0].send_until_taken(webhook("InFlight"))
        workspace.wait_for(lambda: len(workspace.calls.all("chat.postMessage")) > calls)
        server.stop()
        over = time.monotonic() + _OUTAGE
        while True:
            for name, service in zip(names, services * 3, strict=True):
                answer = asked(partial(service.send, webhook(name, {"db01": RESOLVED})))
                assert_refused(answer, "Redis cannot be reached: check that it runs")
            health = asked(partial(services[0].get, "/health"))
            assert health.status == 503
            assert health.json["status"] == "unhealthy"
            assert health.json["redis_status"].startswith("Redis cannot be reached")
            assert_refused(asked(partial(services[1].get, "/stats")), "Redis cannot be reached")
            if time.monotonic() > over:
                break
            time.sleep(0.2)
        server.start()

        for name in names:
            services[1].send_until_taken(webhook(name, {"db01": RESOLVED}))
            sent[print_of(name)].append(RESOLVED)
        services[1].wait_healthy(30)
        assert services[1].health["redis_status"] == "connected"
        assert_delivered(workspace, CHANNEL, sent)
        assert services[0].cache.items() >= threads.items()
        for service in services:
            service.stop()
            assert service.log.count("delivery waits for the store") <= 10, service.log


def restart_during_a_call(folder: Path, slack: SandboxServer) -> None:
    """Restart Redis, within the lease, while Slack is at work on a call of an app that may not read the channel."""
    with ExitStack() as closing:
        server = closing.enter_context(RedisServer(folder / "redis"))
        slack.workspace.configure(scopes=("chat:write",))
        make = closing.enter_context(replicas(folder, slack.api_url))
        service = make("blind", server.url)
        service.start()
        slack.workspace.faults.add("slow", method="chat.postMessage", seconds=0.5, count=1)
        service.send_until_taken(webhook("Blind"))
        slack.workspace.wait_for(lambda: slack.workspace.calls.all("chat.postMessage"))
        server.stop()
        time.sleep(LEASE_TTL / 3)
        server.start()
        service.wait_until_delivered()
        assert_delivered(slack.workspace, CHANNEL, {print_of("Blind"): [FIRED]})
        service.stop()


def freeze_after(moment: str, folder: Path, slack: SandboxServer) -> None:
    """Freeze a replica until another one has taken over, and let it go on."""
    settings = {"SLACK_TIMEOUT": f"{_SLACK_TIMEOUT:.0f}s", "WEB_CONCURRENCY": "1"}
    sent = {print_of("WarmUp"): [FIRED], print_of("Frozen"): [FIRED]}
    with ExitStack() as closing:
        server = closing.enter_context(RedisServer(folder / "redis"))
        proxy = closing.enter_context(Proxy(server.port))
        make = closing.enter_context(replicas(folder, slack.api_url))
        workspace = slack.workspace
        frozen = make("frozen", f"redis://{HOST}:{proxy.port}/0", **settings)
        other = make("other", server.url, **settings)
        frozen.start()
        # From here on Redis knows the scripts.
        frozen.send_until_taken(webhook("WarmUp"))
        frozen.wait_until_delivered()
        wait_for(lambda: is_free(server), 15)

        if parts := _MOMENTS[moment]:

            def act() -> bool:
                frozen.freeze()
                return True

            proxy.once(act, *parts)
            # It may freeze before it has answered.
            sending = Background(partial(frozen.send_until_taken, webhook("Frozen")))
            proxy.wait_until_happened()
        else:
            workspace.faults.add("slow", method="chat.postMessage", seconds=0.7, count=1)
            calls = len(workspace.calls.all("chat.postMessage"))
            sending = Background(partial(frozen.send_until_taken, webhook("Frozen")))
            workspace.wait_for(lambda: len(workspace.calls.all("chat.postMessage")) > calls)
            frozen.freeze()
        passed = time.monotonic() + LEASE_TTL + 0.5
        other.start()
        other.wait_until_delivered(LEASE_TTL + _SLACK_TIMEOUT + 15)
        assert delivered(workspace, CHANNEL) == sent, moment
        time.sleep(max(passed - time.monotonic(), 0))

        frozen.thaw()
        sending.finish()
        time.sleep(_SLACK_TIMEOUT + 1)
        for service, instance in ((frozen, "db11"), (other, "db12")):
            service.send_until_taken(webhook("Frozen", {instance: FIRED}))
            service.wait_until_delivered(30)
            sent[print_of("Frozen", instance)] = [FIRED]
        assert_delivered(workspace, CHANNEL, sent)
        assert root_of(workspace, CHANNEL, key("Frozen")).color == RED
        frozen.stop()
        other.stop()


def is_free(server: RedisServer) -> bool:
    """Whether no replica holds the channel."""
    with redis.Redis(port=server.port) as client:
        return not list(client.scan_iter("*-lease:*"))
