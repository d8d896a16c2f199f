"""The service with either store, and the other contenders, ready to be measured."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from types import MappingProxyType

from alert_threader.store import Threads
from alert_threader.store.redis.client import connect
from alert_threader.store.redis.store import RedisStore
from alert_threader.threads import Policy
from bench import processes
from bench.processes import FORMER_REDIS, REDIS, Contender
from bench.stored import delivered, prepare

_PREFIX = "threader:ts"
_NONE: Mapping[str, str] = MappingProxyType({})


@contextmanager
def running(
    name: str, folder: Path, api_url: str, settings: Mapping[str, str] = _NONE, *, open_threads: int = 0
) -> Iterator[Contender]:
    """Run a contender, with a Redis of its own where it needs one, and that many open threads that Slack shows."""
    with ExitStack() as stack:
        if name in {REDIS, FORMER_REDIS}:
            url = stack.enter_context(processes.redis(folder))
            contender = Contender(name, folder, api_url, THREAD_STORE=REDIS, REDIS_URL=url, **settings)
            if open_threads:
                _fill(url, open_threads, contender.channel)
        else:
            contender = Contender(name, folder, api_url, **settings)
            prepare(contender.store, open_threads, contender.channel)
        yield stack.enter_context(contender)


def _fill(url: str, count: int, channel: str) -> None:
    with closing(RedisStore(connect(url), _PREFIX, Policy())) as store:
        Threads(store, Policy()).insert([delivered(number, channel) for number in range(count)], replace=True)
