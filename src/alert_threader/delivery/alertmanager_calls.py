"""Makes a thread's calls to Alertmanager, and judges the answers."""

import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, assert_never

from alert_threader.alertmanager.model import (
    AlertmanagerError,
    AlertmanagerFailure,
    HeldAlert,
    KnownSilence,
    Matcher,
)
from alert_threader.delivery.retry import Verdict, backoff
from alert_threader.formatter import Matching, Words, silence_comment
from alert_threader.store.tokens import Budget
from alert_threader.telemetry.alertmanager_metrics import AlertmanagerMetrics, AlertmanagerOutcome
from alert_threader.threads import (
    AlertThread,
    Command,
    CommandKind,
    Expired,
    NotDone,
    OfCommand,
    Silence,
    Silenced,
    Step,
    Tag,
    Wait,
    cluster_of,
    of_target,
    tag_of,
)

log = logging.getLogger(__name__)

#: The kind of lane that is served here.
KIND = "alertmanager"
#: Calls a second, and in a burst: Alertmanager has other work to do.
_BUDGET = Budget(10, 10)
#: How soon a lost answer is looked for, in seconds: other members may not know of it sooner.
_LOOK_UP_AFTER = 1.0
#: After this long without a failure a problem is over, in seconds: another process may have made the call.
_LASTS = 150.0


class Cluster(Protocol):
    """What delivery needs of a cluster of Alertmanagers. Every method raises AlertmanagerError."""

    @property
    def name(self) -> str:
        """What it is called."""

    def alerts(self, matchers: Sequence[Matcher] = ()) -> Sequence[HeldAlert]:
        """The alerts that it holds, or those of them that match."""

    def silence(self, silence_id: str) -> KnownSilence | None:
        """A silence by its id."""

    def tagged(self, tag: str) -> KnownSilence | None:
        """The silence that holds and has this tag in its comment."""

    def create(self, matchers: Sequence[Matcher], ends_at: float, created_by: str, comment: str) -> str:
        """Make a silence; return its id."""

    def extend(self, silence: KnownSilence, ends_at: float, comment: str) -> str:
        """Let a silence end at another time; return its id."""

    def expire(self, silence_id: str) -> None:
        """End a silence."""


class AlertmanagerCalls:
    """Makes the calls of Alertmanager's lanes. See Calls."""

    def __init__(
        self,
        clusters: Mapping[str, Cluster],
        link: Callable[[str, str], str],
        words: Words,
        metrics: AlertmanagerMetrics,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take the clusters by name, and how to find the address of a message (raises AlertThreaderError)."""
        self._clusters = clusters
        self._link = link
        self._words = words
        self._metrics = metrics
        self._clock = clock
        self._problems: dict[str, tuple[str, float]] = {}

    @property
    def problems(self) -> dict[str, str]:
        """What keeps silences from Alertmanager, by cluster; a call that waits is made again at least once a minute."""
        since = self._clock() - _LASTS
        return {cluster: text for cluster, (text, at) in list(self._problems.items()) if at > since}

    def method(self, _step: Step) -> str:
        """See Calls. Each command waits for itself alone."""
        return KIND

    def budget(self, _step: Step, lane: str, *, answers_press: bool = False) -> tuple[str, Budget]:
        """See Calls."""
        del answers_press  # all of them do
        return lane, _BUDGET

    def is_unchanged(self, _thread: AlertThread) -> bool:
        """See Calls."""
        return False

    def call(self, thread: AlertThread, _step: Step) -> Verdict:
        """Make the call; see Calls."""
        started = time.monotonic()
        command = thread.commands[0]
        try:
            outcome = self._ask(thread, command)
            self._problems.pop(command.cluster, None)
            word: AlertmanagerOutcome = "ok"
        except AlertmanagerError as error:
            outcome, word = self._failed(command, error), error.kind.value
        except Exception:
            # The call may have been made.
            log.exception("unexpected fault in a call for %s", thread.key)
            outcome, word = self._again(command, "unexpected fault (see the log)", outcome_unknown=True), "fault"
        self._metrics.called(command.kind.value, word)
        about = {"key": thread.key, "op": command.op, "ms": round((time.monotonic() - started) * 1000)}
        log.info("%s %s", command.kind, word, extra=about)
        return Verdict(outcome=outcome, works=(KIND,))

    def _ask(self, thread: AlertThread, command: Command) -> OfCommand:
        cluster = self._clusters.get(command.cluster)
        if cluster is None:
            return NotDone(f"{command.cluster} is no longer in ALERTMANAGER_URL", is_final=True)
        match command.kind:
            case CommandKind.SILENCE:
                return self._silence(cluster, thread, command, tag_of(command))
            case CommandKind.EXTEND:
                return self._extend(cluster, thread, command)
            case CommandKind.UNSILENCE:
                cluster.expire(command.targets[0])
                return Expired(command.targets[0])
            case _:
                assert_never(command.kind)

    def _silence(
        self, cluster: Cluster, thread: AlertThread, command: Command, tag: Tag, former: str = ""
    ) -> OfCommand:
        matchers = of_target(thread, tag.target)
        if matchers is None:
            return NotDone("no matchers are known any more that silence this and nothing else", is_final=True)
        made = ""
        if command.outcome_unknown and (found := cluster.tagged(str(tag))):
            made = found.id
        if not made:
            comment = silence_comment(self._words, command.comment, self._permalink(thread), str(tag))
            wanted = [Matcher(name, value) for name, value in matchers.items()]
            made = cluster.create(wanted, command.until, command.name, comment)
        silence = Silence(
            id=made,
            by=command.by,
            name=command.name,
            comment=command.comment,
            ends_at=command.until,
            ours=True,
            matchers=tuple(matchers.items()),
            alert=tag.target,
            ends_with_problem=command.ends_with_problem,
            cluster=cluster.name,
        )
        return Silenced(silence, former)

    def _extend(self, cluster: Cluster, thread: AlertThread, command: Command) -> OfCommand:
        former = command.targets[0]
        ours = next((silence for silence in thread.silences if silence.id == former), None)
        if ours is None:  # it was ended in Alertmanager before it could be made longer
            return self._silence(cluster, thread, command, Tag(command.op, ""))
        tag = str(tag_of(command))
        again = Tag(command.op, ours.alert)
        found = cluster.tagged(tag) if command.outcome_unknown else None
        if found is None:
            known = cluster.silence(former)
            if known is None or not known.holds:
                return self._silence(cluster, thread, command, again, former)
            # Somebody may have made it longer in Alertmanager.
            until = max(command.until, known.ends_at)
            try:
                made = cluster.extend(known, until, f"{known.comment} [alert-threader {tag}]")
            except AlertmanagerError as error:
                if error.kind is not AlertmanagerFailure.GONE:
                    raise
                return self._silence(cluster, thread, command, again, former)
        else:
            made, until = found.id, max(command.until, found.ends_at)
        later = Silence(
            id=made,
            by=ours.by,
            name=ours.name,
            comment=ours.comment,
            ends_at=until,
            ours=True,
            matchers=ours.matchers,
            alert=ours.alert,
            ends_with_problem=ours.ends_with_problem or command.ends_with_problem,
            cluster=cluster.name,
        )
        return Silenced(later, former)

    def _permalink(self, thread: AlertThread) -> str:
        """The address of the thread; without one the silence is made all the same."""
        try:
            return self._link(thread.channel, thread.ts) if thread.ts else ""
        except Exception as error:  # noqa: BLE001 - nothing that is wrong with Slack may keep a silence from being made
            log.info("no link to a thread: %s", error)
            return ""

    def _failed(self, command: Command, error: AlertmanagerError) -> NotDone:
        if error.kind in (AlertmanagerFailure.REFUSED, AlertmanagerFailure.GONE):
            return NotDone(str(error), is_final=True)
        self._problems[command.cluster] = str(error), self._clock()
        log.warning("a silence waits: %s", error)
        return self._again(command, str(error), outcome_unknown=error.outcome_unknown)

    def _again(self, command: Command, text: str, *, outcome_unknown: bool) -> NotDone:
        wait = max(_LOOK_UP_AFTER, backoff(command.tries, random.random()))
        return NotDone(text, Wait(self._clock() + wait, wait), outcome_unknown=outcome_unknown)


def matching(clusters: Mapping[str, Cluster], thread: AlertThread) -> Matching:
    """Count what a silence of a thread would match now. Raises AlertmanagerError."""
    cluster, matchers = clusters.get(cluster_of(thread)), of_target(thread, "")
    if cluster is None or matchers is None:
        raise AlertmanagerError(AlertmanagerFailure.REFUSED, "no Alertmanager that is known holds the thread")
    found = cluster.alerts([Matcher(name, value) for name, value in matchers.items()])
    return Matching(len(found), sum(alert.fingerprint not in thread.alerts for alert in found))
