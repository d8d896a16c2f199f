"""Replicas of the service that share a Redis, and what can happen to them."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import redis

from harness.service import Answer, Service, wait_for

#: A webhook is answered within this time even while Redis is away, in seconds.
PROMPT = 2.0

#: Makes a running replica.
MakeReplica = Callable[..., "Replica"]


class Replica(Service):
    """One of several services that keep their threads in the same Redis, by default with two workers."""

    def __init__(self, folder: Path, api_url: str, redis_url: str, **settings: str) -> None:
        """Take where its files are, Slack's address, and Redis'."""
        shared = {"THREAD_STORE": "redis", "REDIS_URL": redis_url, "WEB_CONCURRENCY": "2", "RESPONSE_WAIT": "0"}
        super().__init__(folder, SLACK_API_URL=api_url, **shared | settings)

    def freeze(self) -> None:
        """Stop all its processes where they are, as a machine does that is paused."""
        self._signal(signal.SIGSTOP)
        # The signal takes effect once one thread of each process has seen it: until then the others still run.
        wait_for(self._stands_still, 5)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    @property
    def commit(self) -> object:
        """What every commit of any replica changes: the records' revisions in Redis."""
        with redis.Redis.from_url(self.settings["REDIS_URL"]) as client:
            return {name: client.hget(name, "rev") for name in client.scan_iter("threader:ts-record:*", count=1000)}

    @property
    def cache(self) -> dict[str, str]:
        """The ts of each thread, by key."""
        answer = self.get("/cache")
        assert answer.status == 200, answer
        threads: dict[str, str] = answer.json["threads"]
        return threads

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.killpg(self._process.pid, number)

    def _stands_still(self) -> bool:
        assert self._process is not None
        try:
            processes = [self._process.pid, *self.workers]
            stats = [task.read_text() for pid in processes for task in Path(f"/proc/{pid}/task").glob("*/stat")]
        except OSError:
            return False  # a thread has just ended
        # The state follows the command's name, which stands in brackets (proc(5)).
        return all(stat.rpartition(")")[2].split()[0] == "T" for stat in stats)


@contextmanager
def replicas(folder: Path, api_url: str) -> Iterator[MakeReplica]:
    """Make replicas; at the end they are killed, and nothing that they wrote may hold a secret."""
    with ExitStack() as closing:

        def make(name: str, redis_url: str, **settings: Any) -> Replica:
            values = {setting: str(value) for setting, value in settings.items()}
            replica = Replica(folder / name, api_url, redis_url, **values)
            closing.callback(replica.close)
            return replica

        yield make


def start_all(services: list[Replica]) -> list[Replica]:
    """Start them side by side."""
    for service in services:
        service.launch()
    for service in services:
        wait_for(service.answers_health, 30, lambda service=service: service.log)  # type: ignore[misc]
    return services


def asked(ask: Callable[[], Answer]) -> Answer:
    """The answer to a request, which must come in time."""
    began = time.monotonic()
    answer = ask()
    took = time.monotonic() - began
    assert took < PROMPT, f"{took:.1f} s for {answer}"
    return answer


def assert_refused(answer: Answer, words: str) -> None:
    """Fail unless a webhook was refused for the time being, with one line that says why."""
    assert answer.status == 503, answer
    assert answer.error.startswith(words), answer
