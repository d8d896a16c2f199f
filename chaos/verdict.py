"""The accounts side by side: what was sent, what was stored where that is known, and what Slack tells."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from chaos.balancer import Handed
from chaos.history import Transition
from harness.story import GREEN, Said, is_fold, story_of

#: Redis and this process read the same clock; their times differ by no more than this, in seconds.
_BLUR = 0.005
#: What a replica had begun when it was killed can still reach Redis within this time, in seconds.
_LAST_WORDS = 1.0


@dataclass
class Verdict:
    """What is wrong, one line each, and how much there was to go wrong."""

    #: A change that was accepted and is not stored, or is stored and not delivered.
    lost: list[str] = field(default_factory=list)
    #: A message that was posted again, a change that is delivered again, a thread with two roots.
    twice: list[str] = field(default_factory=list)
    #: A message that tells another state than the alert had at that point, or stands in another thread.
    disordered: list[str] = field(default_factory=list)
    #: A stored change that no webhook said.
    invented: list[str] = field(default_factory=list)
    #: What else is not as it should be.
    wrong: list[str] = field(default_factory=list)
    #: What is still pending in the end.
    pending: int = 0
    #: How many changes were sent, and how many were delivered on their own: of those that followed each
    #: other while nothing could be delivered, the last one stands for all (rule 8).
    sent: int = 0
    delivered: int = 0
    #: What else there is to know, by name.
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.reasons or self.pending)

    @property
    def faults(self) -> dict[str, list[str]]:
        """What is wrong, by what it is called."""
        return {
            "lost": self.lost,
            "delivered twice": self.twice,
            "out of order": self.disordered,
            "delivered, but never sent": self.invented,
            "wrong": self.wrong,
        }

    @property
    def reasons(self) -> list[str]:
        """The first of each kind of fault, a line each."""
        return [f"{name}: {fault}" for name, found in self.faults.items() for fault in found[:5]]

    def __str__(self) -> str:
        """What was delivered and what was not, the figures, and the first of each kind of fault."""
        counts = ", ".join(f"{name} {len(found)}" for name, found in self.faults.items() if name != "wrong")
        figures = ", ".join(f"{count:g} {name}" for name, count in self.figures.items())
        first = f"sent {self.sent}, delivered {self.delivered}, {counts}, pending {self.pending}"
        return "\n".join([first, *(f"  {line}" for line in (figures, *self.reasons) if line)])


def merged(verdicts: Sequence[Verdict]) -> Verdict:
    """One verdict on several installations that were under the same fire."""
    figures: Counter[str] = Counter()
    for each in verdicts:
        figures.update(each.figures)
    return Verdict(
        lost=[line for each in verdicts for line in each.lost],
        twice=[line for each in verdicts for line in each.twice],
        disordered=[line for each in verdicts for line in each.disordered],
        invented=[line for each in verdicts for line in each.invented],
        wrong=[line for each in verdicts for line in each.wrong],
        pending=sum(each.pending for each in verdicts),
        sent=sum(each.sent for each in verdicts),
        delivered=sum(each.delivered for each in verdicts),
        figures=dict(figures),
    )


def judge_messages(
    verdict: Verdict,
    messages: Sequence[Said],
    transitions: Mapping[str, Sequence[Transition]],
    attempts: Mapping[str, Mapping[str, int]],
) -> None:
    """Compare what Slack tells, oldest message first, with what is stored. One message may tell several changes."""
    _judge_threads(verdict, messages)
    verdict.sent = sum(map(len, transitions.values()))
    delivered: Counter[str] = Counter()
    for each in messages:
        for what, fingerprint in each.delivered:
            stored = transitions.get(fingerprint, ())
            delivered[fingerprint] += attempts.get(each.attempt, {}).get(fingerprint, 1)
            position = delivered[fingerprint]
            if position <= len(stored) and stored[position - 1].what != what:
                verdict.disordered.append(
                    f"{fingerprint}: {what} is delivered as change {position} of {_words(stored)}"
                )
    verdict.delivered = delivered.total()
    for fingerprint in {*transitions, *delivered}:
        stored, count = transitions.get(fingerprint, ()), delivered[fingerprint]
        if count < len(stored):
            verdict.lost.append(f"{fingerprint}: {count} of {len(stored)} changes are delivered: {_words(stored)}")
        elif count > len(stored):
            verdict.twice.append(
                f"{fingerprint}: {count} changes are delivered, {len(stored)} are stored: {_words(stored)}"
            )


def judge_sent(
    verdict: Verdict,
    messages: Sequence[Said],
    sent: Mapping[str, Sequence[str]],
    firing: Mapping[str, bool],
    again: Collection[str] = (),
) -> None:
    """Compare what Slack tells, oldest message first, with what was sent where nothing says what was stored.

    ``sent`` is each alert's changes in order, ``firing`` whether a key's thread fires in the end. Of changes that
    followed each other the last may stand for all (rule 8). The threads of the keys in ``again`` may have begun anew,
    and delivered once more what they delivered.
    """
    _judge_threads(verdict, messages, again)
    story = story_of(messages)
    keys = {fingerprint: each.key for each in messages for _, fingerprint in each.delivered}
    verdict.sent += sum(map(len, sent.values()))
    verdict.delivered += sum(map(len, story.values()))
    for fingerprint in {*sent, *story}:
        wanted, delivered = sent.get(fingerprint, ()), story.get(fingerprint, [])
        may_repeat = bool(wanted) and keys.get(fingerprint) in again
        if not (delivered[-1:] == list(wanted[-1:]) if may_repeat else is_fold(delivered, wanted)):
            kind = verdict.lost if may_repeat else _kind_of(verdict, wanted, delivered)
            kind.append(f"{fingerprint}: sent {' '.join(wanted)}, delivered {' '.join(delivered) or 'nothing'}")
    roots = {each.key: each.message for each in messages if each.message.thread_ts is None}
    for name, is_firing in firing.items():
        if name in roots and (roots[name].color == GREEN) == is_firing:
            verdict.disordered.append(f"{name} {'fires' if is_firing else 'is over'}, and its root says otherwise")


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


def _kind_of(verdict: Verdict, wanted: Sequence[str], delivered: Sequence[str]) -> list[str]:
    """Where a story belongs that is not the one that was sent."""
    if not wanted:
        return verdict.invented
    if any(delivered.count(what) > wanted.count(what) for what in set(delivered)):
        return verdict.twice
    rest = iter(wanted)
    return verdict.lost if all(what in rest for what in delivered) else verdict.disordered


def _judge_threads(verdict: Verdict, messages: Iterable[Said], again: Collection[str] = ()) -> None:
    attempts: set[str] = set()
    roots: dict[str, str] = {}
    for each in messages:
        if each.attempt in attempts:
            verdict.twice.append(f"attempt {each.attempt} of {each.key}")
        attempts.add(each.attempt)
        if each.message.thread_ts is None:
            if each.key in roots and each.key not in again:
                verdict.twice.append(f"{each.key} has a second root, {each.message.ts}")
            elif each.key not in roots or each.key in again:
                roots[each.key] = each.message.ts
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
