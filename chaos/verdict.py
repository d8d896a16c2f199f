"""The three accounts side by side: what the balancer handed on, what Redis kept, what Slack tells."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from chaos.balancer import Handed
from chaos.history import Transition
from tests.e2e.story import Said

#: Redis and this process read the same clock; their times differ by no more than this, in seconds.
_BLUR = 0.005
#: What a replica had begun when it was killed can still reach Redis within this time, in seconds.
_LAST_WORDS = 1.0


@dataclass
class Verdict:
    """What is wrong, one line each, and how much there was to go wrong."""

    #: A change that was accepted and is not stored, or is stored and not told.
    lost: list[str] = field(default_factory=list)
    #: A message that was posted again, a change that is told again, a thread with two roots.
    twice: list[str] = field(default_factory=list)
    #: A message that tells another state than the alert had at that point, or stands in another thread.
    disordered: list[str] = field(default_factory=list)
    #: A stored change that no webhook said.
    invented: list[str] = field(default_factory=list)
    #: What still waits to be told in the end.
    pending: int = 0
    figures: dict[str, int] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.lost or self.twice or self.disordered or self.invented or self.pending)

    def __str__(self) -> str:
        """A line of figures, the verdict, and the first of each kind of fault."""
        faults = {
            "lost": self.lost,
            "told twice": self.twice,
            "out of order": self.disordered,
            "told, but never sent": self.invented,
        }
        lines = [", ".join(f"{count} {name}" for name, count in self.figures.items())]
        lines.append(
            ", ".join(f"{name}: {len(found)}" for name, found in faults.items()) + f", pending: {self.pending}"
        )
        lines += [f"  {name}: {fault}" for name, found in faults.items() for fault in found[:5]]
        return "\n".join(lines)


def judge_messages(
    verdict: Verdict,
    messages: Sequence[Said],
    transitions: Mapping[str, Sequence[Transition]],
    attempts: Mapping[str, Mapping[str, int]],
) -> None:
    """Compare what Slack tells, oldest message first, with what is stored. One message may tell several changes."""
    _judge_threads(verdict, messages)
    told: Counter[str] = Counter()
    for each in messages:
        for what, fingerprint in each.told:
            stored = transitions.get(fingerprint, ())
            told[fingerprint] += attempts.get(each.attempt, {}).get(fingerprint, 1)
            position = told[fingerprint]
            if position <= len(stored) and stored[position - 1].what != what:
                verdict.disordered.append(f"{fingerprint}: {what} is told as change {position} of {_words(stored)}")
    for fingerprint in {*transitions, *told}:
        stored, count = transitions.get(fingerprint, ()), told[fingerprint]
        if count < len(stored):
            verdict.lost.append(f"{fingerprint}: {count} of {len(stored)} changes are told: {_words(stored)}")
        elif count > len(stored):
            verdict.twice.append(f"{fingerprint}: {count} changes are told, {len(stored)} are stored: {_words(stored)}")


def judge_webhooks(verdict: Verdict, handed: Sequence[Handed], transitions: Mapping[str, Sequence[Transition]]) -> None:
    """Compare what is stored with what came: all that was accepted, and nothing that nobody said."""
    said: dict[tuple[str, str], list[Handed]] = {}
    for each in handed:
        for fingerprint, status in each.alerts:
            what = "fired" if status == "firing" else status
            said.setdefault((fingerprint, what), []).append(each)
            if each.accepted and not _held(transitions.get(fingerprint, ()), what, each):
                verdict.lost.append(f"{fingerprint}: {what} was accepted at {each.ended:.3f} and is not stored")
    for fingerprint, stored in transitions.items():
        for transition in stored:
            if not any(_may_cause(each, transition) for each in said.get((fingerprint, transition.what), ())):
                verdict.invented.append(f"{fingerprint}: {transition.what} at {transition.at:.3f}")


def _judge_threads(verdict: Verdict, messages: Iterable[Said]) -> None:
    attempts: set[str] = set()
    roots: dict[str, str] = {}
    for each in messages:
        if each.attempt in attempts:
            verdict.twice.append(f"attempt {each.attempt} of {each.key}")
        attempts.add(each.attempt)
        if each.message.thread_ts is None:
            if each.key in roots:
                verdict.twice.append(f"{each.key} has a second root, {each.message.ts}")
            roots.setdefault(each.key, each.message.ts)
        elif roots.get(each.key) != each.message.thread_ts:
            verdict.disordered.append(f"a reply of {each.key} stands under {each.message.thread_ts}")


def _held(stored: Sequence[Transition], what: str, webhook: Handed) -> bool:
    """Whether an alert was stored in a state at some moment while its webhook was under way."""
    first = max(bisect_right(stored, webhook.began - _BLUR, key=lambda transition: transition.at) - 1, 0)
    return any(each.what == what and each.at <= webhook.ended + _BLUR for each in stored[first:])


def _may_cause(webhook: Handed, transition: Transition) -> bool:
    grace = _BLUR if webhook.status else _LAST_WORDS
    return webhook.began - _BLUR <= transition.at <= webhook.ended + grace


def _words(stored: Sequence[Transition]) -> str:
    return " ".join(transition.what for transition in stored)
