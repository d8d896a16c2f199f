"""How records are changed: by compare-and-set, however many in two round trips.

Records are read with their revisions, ``decide`` says what to store, and a script writes each record unless its
revision has changed since, or the sender's lease on the lane has passed on. Those that others have changed meanwhile
are tried again. A script has all of its effect or none, and when its answer is lost the change may be made again: the
functions of ``threads`` change nothing the second time.
"""

import threading
import time
import uuid
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, NamedTuple, TypeVar

import msgspec

from alert_threader.errors import RecordDamagedError, StoreError
from alert_threader.store.base import Decide, Lease
from alert_threader.store.redis.commit import Change, Committer
from alert_threader.store.redis.leases import Leases, lost, ttl
from alert_threader.store.redis.names import Names
from alert_threader.store.redis.records import BATCH, Found, Records
from alert_threader.threads import AlertThread, Plan, Policy, plan
from alert_threader.threads.schema import encode

T = TypeVar("T")

#: How many times a change is tried against others that change the same thread at the same moment.
_MAX_CONFLICTS = 100
#: Threads that are changed at the same time by one process, and how long one waits for its turn, in seconds.
_TURNS = 64
_TURN_WAIT = 0.3

#: What the first release finds where it keeps a record. It cannot read it, so it leaves the thread alone: its webhooks
#: are answered 503, are sent again, and reach a replica of this release.
_UNREADABLE = "of a newer version"

_encode = msgspec.json.Encoder().encode
_NOTHING = Plan(actions={}, ages_at=None, is_open=False)


class Place(msgspec.Struct, frozen=True):
    """What a lane lists of a record: its action as JSON, empty for nothing any more."""

    lane: str
    action: str


class Write(msgspec.Struct, frozen=True, kw_only=True):
    """What the commit script must know beside the record itself. An empty text stands for none.

    ``expected`` is the revision that must be there, ``rev`` the next one; ``token`` and ``ttl`` (milliseconds) are of
    the lease that must hold; ``listed`` are the lanes that list the record then, as JSON, ``places`` those that change.
    """

    expected: str
    rev: str
    key: str
    ts: str
    ages_at: str
    is_open: bool
    token: str
    ttl: int
    listed: str
    places: list[Place]
    unreadable: str = _UNREADABLE


class Transactions:
    """Changes records in Redis. Safe to use from several threads."""

    def __init__(self, records: Records, committer: Committer, names: Names, leases: Leases, policy: Policy) -> None:
        self._records = records
        self._committer = committer
        self._names = names
        self._leases = leases
        self._policy = policy
        self._turns = [threading.Lock() for _ in range(_TURNS)]

    def run(self, decisions: Sequence[tuple[str, Decide[T]]], lease: Lease | None = None) -> list[T]:
        """Change these records; see ``Store.transact`` and ``Store.transact_all``."""
        words: list[T] = []
        damage: RecordDamagedError | None = None
        for start in range(0, len(decisions), BATCH):
            batch = _Batch(decisions[start : start + BATCH])
            with self._in_turn(batch.left):
                self._change(batch, lease)
            words += [batch.words[position] for position in sorted(batch.words)]
            damage = damage or batch.damage
        if damage is not None:
            raise damage
        return words

    @contextmanager
    def _in_turn(self, keys: Iterable[str]) -> Iterator[None]:
        """Let the threads of this process change a record one after the other, so that they need not try again.

        Nobody waits long: where Redis hangs, each would wait for all the others' timeouts.
        """
        until = time.monotonic() + _TURN_WAIT
        taken: list[threading.Lock] = []
        try:
            # In one order, so that no two wait for each other.
            for number in sorted({hash(key) % _TURNS for key in keys}):
                turn = self._turns[number]
                taken += [turn] if turn.acquire(timeout=max(until - time.monotonic(), 0)) else []
            yield
        finally:
            for turn in taken:
                turn.release()

    def _change(self, batch: "_Batch[T]", lease: Lease | None) -> None:
        for _ in range(_MAX_CONFLICTS):
            keys = list(batch.left)
            decided = [batch.decide(key, found) for key, found in zip(keys, self._records.fetch(keys), strict=True)]
            written = [each for each in decided if each is not None and (each.is_change or lease is not None)]
            inputs = [self._script_input(each, lease) for each in written]
            results = self._committer.commit([change for change, _ in inputs]) if inputs else []
            if lease is not None and -1 in results:
                raise lost(lease)
            conflicts = {each.key for each, result in zip(written, results, strict=True) if result == 0}
            for each, (_, after) in zip(written, inputs, strict=True):
                if each.key not in conflicts:
                    self._records.written(each.key, after)
            is_unchanged = len(written) < sum(each is not None for each in decided)
            if is_unchanged and len(conflicts) == len(written):
                # It may be so by a change that no replica had in time.
                self._committer.confirm()
            batch.keep(conflicts)
            if not batch.left:
                return
        raise StoreError(f"too many changes of {next(iter(batch.left))} at the same moment: send it again")

    def _script_input(self, decided: "_Decided", lease: Lease | None) -> tuple[Change, Found]:
        """What the commit script is given to write a record, and the record as it is then."""
        key, thread, names = decided.key, decided.thread, self._names
        planned = _NOTHING if thread is None else plan(thread, self._policy)
        # A record may be gone, deleted by hand say, while its action is still listed in the sender's lane.
        lanes = dict.fromkeys([*decided.found.lanes, *planned.actions, *([lease.lane] if lease else [])])
        write = Write(
            expected=decided.found.rev.decode(),
            rev=uuid.uuid4().hex,
            key=key,
            ts=(thread and thread.ts) or "",
            ages_at="+inf" if planned.ages_at is None else repr(planned.ages_at),
            is_open=planned.is_open,
            token=lease.token if lease else "",
            listed=_encode(list(planned.actions)).decode(),
            places=[
                Place(lane, _encode(planned.actions[lane]).decode() if lane in planned.actions else "")
                for lane in lanes
            ],
            ttl=ttl(),
        )
        keys = [
            names.record(key),
            names.stamp(key),
            names("threads"),
            names("open"),
            names("lanes"),
            self._leases.name(lease.lane) if lease else names("lease"),
            *(names("lane", lane) for lane in lanes),
        ]
        data = b"" if thread is None else encode(thread)
        after = Found(write.rev.encode(), thread, tuple(planned.actions), len(data))
        return (keys, [data, _encode(write)]), after


class _Decided(NamedTuple):
    """What is to become of a record."""

    key: str
    found: Found
    thread: AlertThread | None

    @property
    def is_change(self) -> bool:
        """Whether it must be written. What lists a record that is gone must be taken away."""
        return self.thread is None or self.thread is not self.found.thread


class _Batch(Generic[T]):
    """Decisions that are made together. Those on the same key are one change: each sees what the one before it made."""

    def __init__(self, decisions: Sequence[tuple[str, Decide[T]]]) -> None:
        self._decisions = decisions
        #: By position; a damaged record has none.
        self.words: dict[int, T] = {}
        self.damage: RecordDamagedError | None = None
        #: The positions of what is still to be changed, by key.
        self.left: dict[str, list[int]] = {}
        for position, (key, _) in enumerate(decisions):
            self.left.setdefault(key, []).append(position)

    def decide(self, key: str, found: Found) -> _Decided | None:
        """What is to become of a record, None where it is damaged. May be called again."""
        if found.damage is not None:
            self.damage = found.damage
            return None
        thread = found.thread
        for position in self.left[key]:
            thread, self.words[position] = self._decisions[position][1](thread)
        return _Decided(key, found, thread)

    def keep(self, keys: Container[str]) -> None:
        """Leave only these keys to be changed."""
        self.left = {key: positions for key, positions in self.left.items() if key in keys}
