"""Traffic whose alerts a cluster of Alertmanagers holds as well, and what happens to them without a webhook."""

import random
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from itertools import count

from chaos.traffic import Traffic
from harness.scripts import Step, script
from harness.service import Service
from harness.stand_in_truth import Truth
from harness.webhooks import FIRED, RESOLVED, key, labels, print_of, webhook

#: A group changes about so often, then the next one begins.
_SHORTEST, _LONGEST = 2, 4
_SENDERS = 4
#: How long a group is left alone first, in seconds: of what ends before the first look, nobody knows whose it was.
_SEEN = 3.0
#: How long a silence stands before something else happens, in seconds.
_SILENT = 5.0
#: How late a webhook comes, in seconds: before or after the alert counts as gone.
_LATE = 16.0

#: What happens to a group that no webhook tells: it yields how many seconds to wait before it goes on.
Course = Iterator[float]


class QuietTraffic(Traffic):
    """Webhooks as ``Traffic`` sends them, each after the truth has changed; then some groups go on without webhooks."""

    def __init__(self, service: Service, truth: Truth, *, seed: int, pause: float) -> None:
        scripts = [self._groups(f"Quiet{n}", random.Random(seed * 1000 + n)) for n in range(_SENDERS)]
        super().__init__(service, seed=seed, pause=pause, scripts=scripts)
        self._service = service
        self._truth = truth
        self._choice = random.Random(seed + 1)
        self._guard = threading.Lock()
        #: Which instances of a group fire, and since when any of them does, or none.
        self._instances: dict[str, set[str]] = {}
        self._history: dict[str, list[tuple[float, bool]]] = {}
        #: The groups that no sender will name again.
        self._idle: list[str] = []
        self._courses: list[tuple[float, Course]] = []
        #: What became of alerts without a webhook, by fingerprint.
        self._more: dict[str, list[str]] = {}
        #: The groups that are silenced to the end, each with the time of its silence, in seconds since the epoch.
        self.kept_silent: dict[str, float] = {}
        #: All that ever were, each with its silence's comment.
        self.comments: dict[str, str] = {}
        #: How many groups went through which course.
        self.courses: dict[str, int] = {}

    @property
    def changes(self) -> dict[str, list[str]]:
        """What happened to each alert, by fingerprint, in order: what was said, and then what was not."""
        with self._guard:
            return {name: [*story, *self._more.get(name, ())] for name, story in super().changes.items()}

    @property
    def firing(self) -> dict[str, bool]:
        """Whether any alert of a thread fires in truth, by the thread's key."""
        with self._guard:
            return {key(group): bool(instances) for group, instances in self._instances.items()}

    def fired_throughout(self, thread: str, since: float) -> bool:
        """Whether an alert of a thread, by its key, fired at every moment since a time (seconds since the epoch)."""
        with self._guard:
            changes = self._history.get(thread, [])
            first = bisect_right(changes, since, key=lambda change: change[0]) - 1
            return first >= 0 and all(is_firing for _, is_firing in changes[first:])

    def go_on(self, seconds: float) -> None:
        """Let everything go on for so long; return early if a sender failed."""
        until = time.monotonic() + seconds
        while not self.is_over and (now := time.monotonic()) < until:
            self._begin(now)
            due = [course for course in self._courses if course[0] <= now]
            self._courses = [course for course in self._courses if course[0] > now]
            for _, course in due:
                self._step(course, now)
            time.sleep(min(0.05, max(until - time.monotonic(), 0)))

    def finish(self) -> None:
        """Bring every course to its end, without another wait."""
        for _, course in self._courses:
            for _ in course:
                pass
        self._courses.clear()

    # -- the truth ------------------------------------------------------------------------------------------------

    def _groups(self, name: str, chance: random.Random) -> Iterator[Step]:
        for number in count():
            group = f"{name}x{number}"
            for step in script(group, chance, chance.randint(_SHORTEST, _LONGEST)):
                self._follow(*step)
                yield step
            with self._guard:
                self._idle.append(group)

    def _follow(self, group: str, states: Mapping[str, str]) -> None:
        """Let the alerts of a group fire and end in truth."""
        with self._guard:
            firing = self._instances.setdefault(group, set())
            for instance, state in states.items():
                if state == FIRED:
                    self._truth.fire(labels(group, instance))
                    firing.add(instance)
                else:
                    self._truth.end(print_of(group, instance))
                    firing.discard(instance)
            self._history.setdefault(key(group), []).append((time.time(), bool(firing)))

    # -- the courses ----------------------------------------------------------------------------------------------

    def _begin(self, now: float) -> None:
        """Choose a course for each group that fires and is named no more."""
        with self._guard:
            groups = [group for group in self._idle if self._instances[group]]
            self._idle.clear()
        kinds: tuple[Callable[[str], Course], ...] = (
            self._vanish,
            self._end_silenced,
            self._stay_silenced,
            self._be_heard_again,
            self._be_inhibited,
            self._be_told_late,
            self._fire_again,
            self._shrink,
            self._burn,
        )
        for group in groups:
            # Each in turn: what happens is for chance, that it happens is not.
            course = kinds[sum(self.courses.values()) % len(kinds)]
            name = course.__name__.strip("_").replace("_", " ")
            self.courses[name] = self.courses.get(name, 0) + 1
            self._courses.append((now + _SEEN, course(group)))

    def _step(self, course: Course, now: float) -> None:
        wait = next(course, None)
        if wait is not None:
            self._courses.append((now + wait, course))

    def _burn(self, _group: str) -> Course:
        """Keep firing."""
        yield from ()

    def _vanish(self, group: str) -> Course:
        """End, and the webhook gets lost."""
        self._end(group)
        yield from ()

    def _end_silenced(self, group: str) -> Course:
        """End under a silence, of which no webhook tells."""
        self._silence(group)
        yield self._choice.uniform(0, _SILENT)
        self._end(group)

    def _stay_silenced(self, group: str) -> Course:
        """Keep firing under a silence."""
        self._silence(group)
        self.kept_silent[group] = time.time()
        yield from ()

    def _be_heard_again(self, group: str) -> Course:
        """Keep firing, under a silence for a while."""
        silence = self._silence(group)
        yield self._choice.uniform(0, _SILENT)
        self._truth.expire(silence)

    def _be_inhibited(self, group: str) -> Course:
        """Keep firing, inhibited for a while."""
        names = [print_of(group, instance) for instance in self._instances[group]]
        source = print_of("Elsewhere")
        for name in names:
            self._truth.inhibit(name, source)
        yield self._choice.uniform(0, _SILENT)
        for name in names:
            self._truth.inhibit(name)

    def _be_told_late(self, group: str) -> Course:
        """End, and the webhook comes late."""
        ended = self._end(group)
        yield self._choice.uniform(0, _LATE)
        self._service.send_until_taken(webhook(group, ended))

    def _fire_again(self, group: str) -> Course:
        """End without a webhook, and fire again with one."""
        again = dict.fromkeys(self._end(group), FIRED)
        yield self._choice.uniform(0, _LATE)
        self._happen(group, again)
        self._service.send_until_taken(webhook(group, again))

    def _shrink(self, group: str) -> Course:
        """Lose one alert without a webhook; the others keep firing."""
        self._happen(group, {min(self._instances[group]): RESOLVED})
        yield from ()

    def _silence(self, group: str) -> str:
        self.comments[group] = f"disk swap of {group}."
        return self._truth.silence({"alertname": group}, by="kim", comment=self.comments[group])

    def _end(self, group: str) -> dict[str, str]:
        """End all that fires of a group, and return it."""
        ended = dict.fromkeys(self._instances[group], RESOLVED)
        self._happen(group, ended)
        return ended

    def _happen(self, group: str, states: Mapping[str, str]) -> None:
        self._follow(group, states)
        with self._guard:
            for instance, state in states.items():
                self._more.setdefault(print_of(group, instance), []).append(state)
