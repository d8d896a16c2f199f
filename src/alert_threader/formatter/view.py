"""A thread as people see it, read once for each message: its title, its alerts' names, what they share and do not."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

from alert_threader.formatter import facts
from alert_threader.formatter.facts import Said
from alert_threader.formatter.matchers import matchers_of
from alert_threader.formatter.mrkdwn import one_line, unmarked
from alert_threader.formatter.words import Words
from alert_threader.threads import FOLDER, MAX_TITLE, AlertState, AlertThread, environment_of, full_name


class ThreadView:
    """What all parts of a message read. Nothing in it changes the thread."""

    def __init__(self, thread: AlertThread, environment: str, words: Words) -> None:
        """Take the record, the ``ENVIRONMENT`` for alerts that name none, and the language's words."""
        self.thread = thread
        self.words = words
        self._environment = environment
        #: The alerts whose details are kept.
        self.detailed = [alert for alert in thread.alerts.values() if alert.labels or alert.annotations]
        self.state = _state(thread)
        self.firing = thread.firing
        self.resolved = thread.resolved
        #: How many alerts the thread has had, those included of which only the number is kept.
        self.total = len(thread.alerts) + thread.forgotten
        self.level = thread.severity_level
        self._said = {id(alert): facts.said(alert.annotations) for alert in self.detailed}

    @cached_property
    def alerts(self) -> list[AlertState]:
        """All alerts, the firing ones first."""
        return [self.thread.alerts[each] for each in self.thread.firing_first]

    @cached_property
    def title(self) -> str:
        """The title on one line, never empty."""
        return unmarked(self.thread.title) or self.words.alert

    @cached_property
    def counted_title(self) -> str:
        """The title, with the number of the alerts where it is not what all of them say."""
        said = self.shared.summary
        if self.total < 2 or (said and said[:MAX_TITLE] == self.thread.title):
            return self.title
        return self.words.counted.format(title=self.title, count=self.total)

    @property
    def emoji(self) -> str:
        """The sign of the thread's severity."""
        return facts.emoji(self.level)

    @property
    def sign(self) -> str:
        """What a root begins with, so that its state can be read without its colour."""
        words = self.words
        signs = {
            "resolved": f"✅ {words.resolved} — ",
            "stale": f"💤 {words.stale} — ",
            "silenced": f"🔕 {words.silenced} — ",
            "acknowledged": "👀 ",
        }
        return signs.get(self.state, f"{self.emoji} ")

    @property
    def severity(self) -> str:
        """The severity as its sender wrote it: in capitals where it is known to be one, empty where none was given."""
        given = one_line(self.thread.severity)
        return given.upper() if self.level else given

    def colour(self, state: str) -> str:
        """The colour of a message that speaks of this state."""
        if state == "resolved":
            return facts.GREEN
        return facts.GREY if state in ("stale", "silenced") else facts.colour(self.level)

    @cached_property
    def environment(self) -> str:
        """The environment that all alerts are of: their own, else the setting's; empty where they are of several."""
        named = {environment_of(each.labels) or self._environment for each in self.detailed}
        if len(named) > 1:
            return ""
        return named.pop() if named else self._environment

    @cached_property
    def shared_labels(self) -> dict[str, str]:
        """The labels that all alerts have in common, as far as their details are kept."""
        return _common([alert.labels for alert in self.detailed if alert.labels])

    @cached_property
    def matchers(self) -> str:
        """What matches the thread's alerts on Alertmanager's pages; empty where nothing does without others."""
        labels = [alert.labels for alert in self.detailed if alert.labels]
        all_known = len(labels) == self.total
        return matchers_of(self.thread.identity, labels, self.shared_labels, all_known=all_known)

    @cached_property
    def shared(self) -> Said:
        """What all alerts say in common; empty where they differ."""
        if not self.detailed:
            return Said()
        first, *others = self._said.values()

        def common(read: Callable[[Said], str]) -> str:
            return read(first) if all(read(each) == read(first) for each in others) else ""

        return Said(
            summary=common(lambda each: each.summary),
            description=common(lambda each: each.description),
            runbook=common(lambda each: each.runbook),
            dashboard=common(lambda each: each.dashboard),
            others=_common([each.others for each in self._said.values()]),
        )

    @cached_property
    def shared_values(self) -> str:
        """The measured values (Grafana's) where all alerts have the same, else empty."""
        values = {alert.values for alert in self.detailed}
        return values.pop() if len(values) == 1 else ""

    @cached_property
    def shared_links(self) -> dict[str, str]:
        """The addresses that all alerts have in common, by name."""
        return _common([alert.links for alert in self.detailed])

    @cached_property
    def is_grafana(self) -> bool:
        """Whether the alerts come from Grafana, whose pages have other addresses than Alertmanager's."""
        return any("silence" in each.links or "panel" in each.links or FOLDER in each.labels for each in self.detailed)

    @cached_property
    def left_out(self) -> int:
        """How many labels and texts of a thread's only alert are not kept; of several each has its own number."""
        return self.detailed[0].left_out if self.total == 1 and self.detailed else 0

    def said(self, alert: AlertState) -> Said:
        """What an alert says of itself."""
        return self._said.get(id(alert)) or Said()

    def name(self, alert: AlertState) -> str:
        """An alert's name, by which it can be told from all others of the thread; never empty."""
        return one_line(full_name(alert)) or one_line(alert.labels.get("alertname", "")) or self.words.alert

    def own_labels(self, alert: AlertState) -> dict[str, str]:
        """The labels of an alert that are not its thread's, nor in its name, those that say most first."""
        return {
            name: value
            for name, value in alert.labels.items()
            if value
            and name not in self.shared_labels
            and name not in alert.distinct
            and alert.name not in (value, f"{name}={value}")
        }


def _common(mappings: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The entries that all of the mappings have."""
    if not mappings:
        return {}
    first, *others = mappings
    return {name: value for name, value in first.items() if all(other.get(name) == value for other in others)}


def _state(thread: AlertThread) -> str:
    """Of several states the first that holds: resolved, stale, silenced, acknowledged, firing."""
    if thread.state != "firing":
        return thread.state
    if all(alert.mute for alert in thread.alerts.values() if facts.fires(alert)):
        return "silenced"
    return "acknowledged" if thread.acknowledgement else "firing"
