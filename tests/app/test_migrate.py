"""``alert-threader migrate``, and what ``check`` says of Redis. The Redis is a real one."""

import os
import pwd
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
import redis

from alert_threader.app import create_app
from alert_threader.cli import main as cli
from alert_threader.errors import StoreError
from alert_threader.service import service_of
from alert_threader.settings.settings import SETTINGS, Settings
from alert_threader.store import SqliteStore, Store, Threads
from alert_threader.store.reading import read_store
from alert_threader.store.redis.client import connect
from alert_threader.store.redis.store import RedisStore
from alert_threader.threads import (
    Acknowledgement,
    AlertThread,
    Change,
    Command,
    CommandKind,
    Policy,
    Posted,
    Silence,
    is_pending,
    slack_lane,
)
from harness.servers import RedisServer
from slack_sandbox import SandboxServer
from tests.build import NOW, alert, change, thread

#: A call that was begun is looked up at once.
POLICY = Policy(call_timeout=0)
CHANNEL = "C0ALERTS01"
PASSWORD = "not-to-be-seen"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis; every test has a prefix of its own in it."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture
def prefix() -> str:
    """What this test's names in Redis begin with."""
    return f"test:{uuid.uuid4().hex}"


@pytest.fixture(autouse=True)
def environ(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: RedisServer, prefix: str) -> pytest.MonkeyPatch:
    """The settings of a service that has no Slack: neither command needs it for the stores."""
    for setting in SETTINGS:
        monkeypatch.delenv(setting.name, raising=False)
        monkeypatch.delenv(f"{setting.name}_FILE", raising=False)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.setenv("THREAD_STORE_FILE", str(tmp_path / "threads.json"))
    monkeypatch.setenv("REDIS_URL", server.url)
    monkeypatch.setenv("REDIS_KEY_PREFIX", prefix)
    return monkeypatch


@pytest.fixture
def slack() -> Iterator[SandboxServer]:
    """A Slack."""
    with SandboxServer(rate_limits=False) as running:
        yield running


@pytest.fixture
def with_redis(environ: pytest.MonkeyPatch, slack: SandboxServer) -> pytest.MonkeyPatch:
    """The settings of a whole service with Redis as its store."""
    environ.setenv("SLACK_API_URL", slack.api_url)
    environ.setenv("SLACK_BOT_TOKEN", "xoxb-sandbox")
    environ.setenv("SLACK_CHANNEL", CHANNEL)
    environ.setenv("THREAD_STORE", "redis")
    return environ


@pytest.fixture
def in_redis(server: RedisServer, prefix: str) -> Iterator[RedisStore]:
    """The store in Redis that the settings name."""
    store = RedisStore(connect(server.url), prefix, POLICY)
    yield store
    store.close()


def in_file(tmp_path: Path) -> SqliteStore:
    """The store in the file that the settings name. Close it: it holds the lock."""
    return SqliteStore(tmp_path / "threads.json", POLICY, CHANNEL, time.time())


def fill(store: Store) -> dict[str, AlertThread]:
    """One thread that is delivered, one with an attempt under way and more pending, one that is all pending."""
    now = time.time()
    verbs = Threads(store, POLICY)
    verbs.notify([_change("told", "1"), _change("begun", "1"), _change("new@C0OTHER99", "1", channel="C0OTHER99")], now)
    lease = store.claim(slack_lane(CHANNEL))
    assert lease is not None
    for key in ("told", "begun"):
        assert verbs.start_attempt(lease, key, f"attempt-{key}", now)
    verbs.record_outcome(lease, "told", "attempt-told", Posted(ts="1800000000.000100", threaded=False), now)
    verbs.notify([_change("begun", "2")], now)
    store.release(lease)
    return {thread.key: thread for thread in store.threads()}


def _change(key: str, fingerprint: str, channel: str = CHANNEL) -> Change:
    said = alert(
        fingerprint,
        labels={"alertname": "Überlast", "severity": "critical"},
        annotations={"summary": 'a "quoted" \u2028 line'},
        starts_at=time.time(),
    )
    return change(said, key=key, channel=channel)


class Ran(msgspec.Struct):
    """What a command did."""

    code: int
    out: list[str]
    err: list[str]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> "Run":
    """The command line."""
    return Run(capsys)


class Run:
    """Runs a command, which must show no password and no traceback."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str) -> Ran:
        """Run a command."""
        code = cli.main(arguments)
        out, err = self._capsys.readouterr()
        assert PASSWORD not in out + err
        assert "Traceback" not in out + err
        return Ran(code, out.splitlines(), err.splitlines())

    def refused(self, *arguments: str) -> str:
        """Run a command that must fail with one line, and return it."""
        ran = self(*arguments)
        assert (ran.code, ran.out, len(ran.err)) == (1, [], 1)
        return ran.err[0]


# -- migrate --------------------------------------------------------------------------------------------------


def test_file_to_redis(run: Run, tmp_path: Path, in_redis: RedisStore) -> None:
    """All threads arrive as they were, attempts and pending events too; it says what it did and what is next."""
    store = in_file(tmp_path)
    threads = fill(store)
    store.close()
    before = (tmp_path / "threads.json").read_bytes()
    ran = run("migrate", "file", "redis")
    assert (ran.code, ran.err) == (0, [])
    assert ran.out == [
        "copied 3 threads from file to redis, 2 of them with something pending",
        "verified by reading them back",
        "start the service with THREAD_STORE=redis, and none on what file still has: it would deliver twice",
    ]
    assert {thread.key: thread for thread in in_redis.threads()} == threads
    assert sum(map(is_pending, threads.values())) == 2
    assert set(in_redis.pending()) == {slack_lane(CHANNEL), slack_lane("C0OTHER99")}
    assert in_redis.stamps() == {"told": "1800000000.000100"}
    assert in_redis.claim(slack_lane(CHANNEL)) is not None, "a lease was left behind"
    assert (tmp_path / "threads.json").read_bytes() == before


def test_service_goes_on(run: Run, tmp_path: Path, with_redis: pytest.MonkeyPatch, slack: SandboxServer) -> None:
    """A service on the target delivers what was pending, once; an attempt under way is looked up first."""
    store = in_file(tmp_path)
    fill(store)
    store.close()
    assert run("migrate", "file", "redis").code == 0
    with_redis.setenv("SLACK_RATE", "100")
    service = service_of(create_app(Settings.from_environ(os.environ)))
    service.start()
    until = time.monotonic() + 10
    while service.store.counts().pending:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert service.close(5)
    assert len(slack.workspace.roots(CHANNEL)) == 1
    assert len(slack.workspace.roots("C0OTHER99")) == 1


def test_there_and_back(run: Run, tmp_path: Path, in_redis: RedisStore) -> None:
    """From Redis into a new file, which a service can then use."""
    threads = fill(in_redis)
    assert run("migrate", "redis", "file").code == 0
    store = in_file(tmp_path)
    assert {thread.key: thread for thread in store.threads()} == threads
    assert set(store.pending()) == {slack_lane(CHANNEL), slack_lane("C0OTHER99")}
    store.close()
    assert {thread.key: thread for thread in in_redis.threads()} == threads


def test_many_threads(run: Run, tmp_path: Path, in_redis: RedisStore) -> None:
    """More than one batch of them."""
    store = in_file(tmp_path)
    Threads(store, POLICY).notify([_change(f"key{number}", "1") for number in range(450)], time.time())
    store.close()
    assert run("migrate", "file", "redis").out[0].startswith("copied 450 threads from file to redis, 450 of them")
    assert in_redis.counts().threads == 450


def test_threads_that_are_over_stay_behind(run: Run, tmp_path: Path, in_redis: RedisStore) -> None:
    """What either store would drop at once is not copied, and not missed."""
    store = in_file(tmp_path)
    over = AlertThread(key="over", channel=CHANNEL, ts="1.0", seen_at=1, resolved_at=1)
    open_still = AlertThread(key="open", channel=CHANNEL, ts="2.0", seen_at=time.time(), resolved_at=time.time())
    Threads(store, POLICY).insert([over, open_still], replace=False)
    store.close()
    assert run("migrate", "file", "redis").out[0].startswith("copied 1 thread from file to redis, 0 of them")
    assert in_redis.stamps() == {"open": "2.0"}


def test_target_with_threads(run: Run, tmp_path: Path, in_redis: RedisStore) -> None:
    """Threads that are there already are neither overwritten nor mixed in without ``--force``."""
    store = in_file(tmp_path)
    threads = fill(store)
    store.close()
    Threads(in_redis, POLICY).notify([_change("told", "9"), _change("other", "9")], time.time())
    before = {thread.key: thread for thread in in_redis.threads()}
    said = run.refused("migrate", "file", "redis")
    assert said == (
        "alert-threader migrate: nothing was copied: redis has 2 threads; --force overwrites those that file has too"
    )
    assert {thread.key: thread for thread in in_redis.threads()} == before
    ran = run("migrate", "file", "redis", "--force")
    assert ran.code == 0
    assert "redis had 2 threads: threads with the same key were overwritten, the others are still there" in ran.out
    assert {thread.key: thread for thread in in_redis.threads()} == {**before, **threads}


def test_running_service_on_the_file(run: Run, tmp_path: Path, in_redis: RedisStore) -> None:
    """A file that a service has locked is refused, also with ``--force``."""
    fill(in_redis)
    store = in_file(tmp_path)
    try:
        for arguments in (["file", "redis"], ["redis", "file", "--force"]):
            assert f"threads.json is in use by process {os.getpid()}" in run.refused("migrate", *arguments)
    finally:
        store.close()


@pytest.mark.parametrize("direction", [("redis", "file"), ("file", "redis")])
def test_sender_at_work_in_redis(run: Run, tmp_path: Path, in_redis: RedisStore, direction: tuple[str, str]) -> None:
    """A channel that a sender holds means that a service is running; ``--force`` goes on all the same."""
    store = in_file(tmp_path)
    if direction[0] == "file":
        fill(store)
    else:
        fill(in_redis)
    store.close()
    assert in_redis.claim(slack_lane(CHANNEL)) is not None
    said = run.refused("migrate", *direction)
    assert f"nothing was copied: a service sends from {slack_lane(CHANNEL)} of redis: stop every service" in said
    assert in_redis.claim(slack_lane("C0OTHER99")) is not None, "a lease was left behind"
    assert run("migrate", *direction, "--force").code == 0


def test_change_during_the_copy(
    run: Run, tmp_path: Path, in_redis: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A webhook that a service takes meanwhile is found by the comparison: the copy is not called whole."""
    fill(in_redis)
    insert = Threads.insert

    def insert_late(self: Threads, threads: list[AlertThread], *, replace: bool) -> list[str]:
        Threads(in_redis, POLICY).notify([_change("told", "3")], time.time())
        return insert(self, threads, replace=replace)

    monkeypatch.setattr(Threads, "insert", insert_late)
    said = run.refused("migrate", "redis", "file")
    assert "the copy is not the same: 1 thread changed meanwhile, told is one" in said
    assert "is a service running?" in said
    assert (tmp_path / "threads.json").exists()


def test_nothing_to_copy(run: Run, tmp_path: Path) -> None:
    """An empty source is said, and is no fault; no target is made."""
    ran = run("migrate", "redis", "file")
    assert list(tmp_path.iterdir()) == []
    assert (ran.code, ran.out) == (0, ["redis has no threads: there is nothing to copy"])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "there is no file {path}: correct THREAD_STORE_FILE"),
        ("{", "nothing was copied: {path} is not a document of threads"),
        ('{"version": 2, "threads": {"a": 1}}', "nothing was copied: {path}: 1 thread cannot be read: restore"),
        ('{"version": 99, "threads": {}}', "nothing was copied: {path} was written by a newer version"),
        ('{"a|b": "1800000000.000100"}', "SLACK_CHANNEL: is not set: {path} is of an old installation"),
    ],
)
def test_file_that_cannot_be_copied(run: Run, tmp_path: Path, content: str | None, said: str) -> None:
    """A file that is not there or not whole is refused, and left as it is."""
    path = tmp_path / "threads.json"
    if content is not None:
        path.write_text(content)
    assert said.format(path=path) in run.refused("migrate", "file", "redis")
    assert [each.read_text() for each in tmp_path.iterdir()] == ([] if content is None else [content])


def test_file_of_an_old_installation(
    run: Run, tmp_path: Path, in_redis: RedisStore, environ: pytest.MonkeyPatch
) -> None:
    """The flat ``{key: ts}`` file is copied into the channel of the settings."""
    (tmp_path / "threads.json").write_text('{"a|b": "1800000000.000100"}')
    environ.setenv("SLACK_CHANNEL", CHANNEL)
    assert run("migrate", "file", "redis").code == 0
    thread = in_redis.read("a|b")
    assert thread is not None
    assert (thread.ts, thread.channel) == ("1800000000.000100", CHANNEL)


@pytest.mark.parametrize("direction", [("redis", "file"), ("file", "redis")])
def test_redis_away(run: Run, tmp_path: Path, environ: pytest.MonkeyPatch, direction: tuple[str, str]) -> None:
    """It is one line, soon, and nothing is made."""
    if direction[0] == "file":
        store = in_file(tmp_path)
        fill(store)
        store.close()
    before = found_in(tmp_path)
    environ.setenv("REDIS_URL", f"redis://:{PASSWORD}@127.0.0.1:1/0")
    started = time.monotonic()
    assert "Redis cannot be reached: check that it runs, REDIS_URL and the network" in run.refused(
        "migrate", *direction
    )
    assert time.monotonic() - started < 3
    assert found_in(tmp_path) == before


def found_in(folder: Path) -> dict[str, bytes]:
    """The files of a store, a database by the threads in it."""
    content = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "threads.db"}
    if (folder / "threads.db").exists():
        threads = read_store(folder / "threads.json", CHANNEL, 0).threads
        content["threads.db"] = msgspec.json.encode(threads)
    return content


def test_wrong_arguments(run: Run) -> None:
    """Two different stores are needed."""
    for arguments in (["file", "file"], ["file"], ["file", "memory"]):
        assert run("migrate", *arguments).code == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of another owner")
def test_file_made_by_root(run: Run, tmp_path: Path, in_redis: RedisStore) -> None:
    """The service, as the owner of the folder, can use what root has copied for it."""
    fill(in_redis)
    nobody = pwd.getpwnam("nobody")
    os.chown(tmp_path, nobody.pw_uid, nobody.pw_gid)
    assert run("migrate", "redis", "file").code == 0
    assert {path.name: path.stat().st_uid for path in tmp_path.iterdir()} == {
        "threads.db": nobody.pw_uid,
        "threads.json": nobody.pw_uid,
        "threads.json.lock": nobody.pw_uid,
    }


# -- check ----------------------------------------------------------------------------------------------------


def said_of_store(ran: Ran) -> list[str]:
    """The lines about the store, each as its verdict and its text."""
    words = [line.split(maxsplit=2) for line in ran.out]
    return [f"{verdict} {text}" for verdict, subject, text in words if subject == "store"]


@pytest.mark.usefixtures("with_redis")
def test_check_redis(run: Run, server: RedisServer, in_redis: RedisStore) -> None:
    """A Redis that keeps what it is given is one line, with its version and how many threads it has."""
    fill(in_redis)
    with redis.Redis.from_url(server.url) as client:
        version = client.info()["redis_version"]
    ran = run("check")
    assert ran.code == 0
    assert said_of_store(ran) == [f"ok Redis {version} can be written; 3 threads"]


def test_check_redis_that_may_lose(run: Run, with_redis: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A Redis that evicts or keeps nothing on disk works today: warnings with what to do, and exit code 0."""
    settings = {"appendonly": "no", "maxmemory": "100mb", "maxmemory-policy": "allkeys-lru"}
    with RedisServer(tmp_path / "redis", 0, **settings) as server:
        with_redis.setenv("REDIS_URL", server.url)
        ran = run("check")
    assert ran.code == 0
    good, evicts, loses = said_of_store(ran)
    assert good.startswith("ok Redis ")
    assert evicts == "warn Redis may evict threads (maxmemory-policy allkeys-lru): set it to noeviction"
    assert loses == "warn Redis keeps nothing on disk, a restart loses all threads: set appendonly yes"


@pytest.mark.usefixtures("with_redis")
def test_damaged_record_in_redis(run: Run, server: RedisServer, in_redis: RedisStore, prefix: str) -> None:
    """A check names it and what to do, once; nothing was copied without it."""
    fill(in_redis)
    name = f"{prefix}-record:told"
    with redis.Redis.from_url(server.url) as client:
        client.hset(name, mapping={"thread": "{", "rev": "by hand"})
    for _ in range(2):
        ran = run("check")
        assert (ran.code, ran.err) == (0, [])
        good, damaged = said_of_store(ran)
        assert good.endswith(" 3 threads")
        assert damaged.startswith("warn a record in Redis cannot be read")
        assert f"DEL '{name}'" in damaged
        said = run.refused("migrate", "redis", "file")
        assert said.startswith("alert-threader migrate: nothing was copied: a record in Redis cannot be read")
        with pytest.raises(StoreError):
            in_redis.read("told")  # as a service does: now it is known, and looked for all the same


@pytest.mark.parametrize("login", ["", f":{PASSWORD}@", f"someone:{PASSWORD}@"])
def test_check_wrong_password(run: Run, with_redis: pytest.MonkeyPatch, tmp_path: Path, login: str) -> None:
    """A login that Redis refuses fails with where to correct it, and does not show the password."""
    with RedisServer(tmp_path / "redis") as server:
        with redis.Redis.from_url(server.url) as client:
            client.config_set("requirepass", "another")
        with_redis.setenv("REDIS_URL", server.url.replace("://", f"://{login}"))
        ran = run("check")
    assert ran.code == 1
    (said,) = said_of_store(ran)
    assert said.startswith("FAIL Redis refuses the login: correct user and password in REDIS_URL (")


# 192.0.2.0/24 is for documentation (RFC 5737): nobody is there, and often no refusal comes either.
@pytest.mark.parametrize("host", ["127.0.0.1:1", "192.0.2.99:6379"])
def test_check_redis_away(run: Run, with_redis: pytest.MonkeyPatch, host: str) -> None:
    """A Redis that is not there fails soon, with what to look at."""
    with_redis.setenv("REDIS_URL", f"redis://:{PASSWORD}@{host}/0")
    started = time.monotonic()
    ran = run("check")
    assert time.monotonic() - started < 3
    assert ran.code == 1
    (said,) = said_of_store(ran)
    assert said.startswith(("FAIL Redis cannot be reached: check", "FAIL Redis does not answer: check"))


# -- hand-back ------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("with_redis")
def test_hand_back(run: Run, server: RedisServer, in_redis: RedisStore, prefix: str) -> None:
    """The first release finds every record where it looks, also one with an attempt under way."""
    fill(in_redis)
    ran = run("hand-back")
    assert (ran.code, ran.out[0].partition(":")[0]) == (0, "3 threads in Redis are left to the first release")
    with redis.Redis.from_url(server.url) as client:
        for key in ("told", "begun", "new@C0OTHER99"):
            record = client.hgetall(f"{prefix}-record:{key}")
            assert set(record) == {b"rev", b"data"}
            assert msgspec.json.decode(record[b"data"])["key"] == key


def test_what_the_way_back_drops(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """People's answers are named, which the first release does not know; the store stays as it is."""
    file = tmp_path / "threads.json"
    monkeypatch.setenv("THREAD_STORE", "file")
    answered = thread(
        "Down|critical",
        acknowledgement=Acknowledgement(by="U0KIM", name="Kim", at=NOW),
        silences=(Silence(id="s1", name="Lee", ends_at=NOW + 60, ours=True),),
        commands=(Command(op="o", kind=CommandKind.EXTEND, targets=("s1",), cluster="am", name="Lee"),),
    )
    with closing(SqliteStore(file, POLICY, CHANNEL, time.time())) as store:
        Threads(store, POLICY).insert([answered, thread("Other|info")], replace=False)
    ran = run("hand-back")
    assert ran.code == 0
    (line, last) = ran.out
    assert "of Down|critical: the acknowledgement by Kim; the silence by Lee (it stays in Alertmanager)" in line
    assert "what Lee has asked of Alertmanager (extend)" in line
    assert "is read by both" in last
