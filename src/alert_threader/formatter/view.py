"""A thread as people see it, read once for each message: its title, its alerts' names, what they share and do not."""

import re
from collections.abc import Collection, Sequence
from functools import cached_property

import msgspec

from alert_threader.formatter import facts
from alert_threader.formatter.facts import Said
from alert_threader.formatter.matchers import matchers_of, matchers_of_one
from alert_threader.formatter.mrkdwn import literal, truncate, unmarked
from alert_threader.formatter.muting import Cause, causes, state_of
from alert_threader.formatter.words import Words
from alert_threader.threads import (
    ENVIRONMENT_LABELS,
    FOLDER,
    MAX_TITLE,
    AlertState,
    AlertThread,
    Common,
    Severities,
    environment_of,
    full_name,
    in_common,
    one_line,
    severity_of,
    short_name,
)

#: Users of Slack; one of another workspace begins with a W.
_USER = re.compile("[UW][A-Z0-9]+")
#: A longer name is cut, in characters.
_MAX_PERSON = 80


class ThreadView:
    """What all parts of a message read. Nothing in it changes the thread."""

    def __init__(
        self,
        thread: AlertThread,
        environment: str,
        words: Words,
        severities: Severities,
        *,
        is_edit: bool = False,
    ) -> None:
        """Take the record, the ``ENVIRONMENT`` for alerts that name none, and the settings of words and severities.

        An edit notifies nobody, so it may link to people; and it lists muted alerts after loud ones. A post keeps the
        record's order, by which ``threads.plan`` decides which alerts need a further message to be named.
        """
        self.thread = thread
        self._is_edit = is_edit
        self.words = words
        self.severities = severities
        self._environment = environment
        #: The alerts whose details are kept, and what is known of the others.
        self.detailed = list(thread.detailed.values())
        self._others = _of_others(thread, len(self.detailed))
        #: Why alerts that fire are muted, by fingerprint.
        self.muted = causes(thread)
        self._muted = {id(thread.alerts[each]) for each in self.muted}
        self.state = state_of(thread, self.muted)
        #: How many alerts the thread has had, those included of which only the number is kept.
        self.total = len(thread.alerts) + thread.forgotten
        self.firing = thread.firing
        self.resolved = self.total - self.firing
        self.level = thread.severity_level
        self._said = {id(alert): facts.said(alert.annotations) for alert in self.detailed}
        self._ended = {id(alert): facts.said(alert.ended_with) for alert in self.detailed if alert.ended_with}

    def without(self, fingerprints: Collection[str]) -> "ThreadView":
        """The same thread as it would be without some alerts."""
        alerts = {each: state for each, state in self.thread.alerts.items() if each not in fingerprints}
        thread = msgspec.structs.replace(self.thread, alerts=alerts)
        return ThreadView(thread, self._environment, self.words, self.severities, is_edit=self._is_edit)

    def person(self, user: str, name: str) -> str:
        """A person, as mrkdwn: linked to where that notifies nobody, else by name."""
        if self._is_edit and _USER.fullmatch(user):
            return f"<@{user}>"
        return literal(name or user, _MAX_PERSON)

    def clock(self, at: float | None) -> str:
        """A time to the minute, with its date where the thread began on another day; empty for none."""
        return facts.clock(at, self.thread.began_at or self.thread.opened_at) if at else ""

    @cached_property
    def alerts(self) -> list[AlertState]:
        """All alerts, the firing ones first; in an edit, of those the muted ones last."""
        alerts = [self.thread.alerts[each] for each in self.thread.firing_first]
        if not (self.muted and self._is_edit):
            return alerts
        return sorted(alerts, key=lambda alert: (not facts.fires(alert), self.is_muted(alert)))

    def is_muted(self, alert: AlertState) -> bool:
        """Whether an alert fires and is muted."""
        return id(alert) in self._muted

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
    def sign(self) -> str:
        """What a root begins with, so that its state can be read without its colour."""
        words = self.words
        signs = {
            "resolved": f"✅ {words.resolved} — ",
            "stale": f"💤 {words.stale} — ",
            Cause.SILENCED: f"🔕 {words.silenced} — ",
            Cause.INHIBITED: f"🔕 {words.inhibited} — ",
            Cause.MUTED: f"🔕 {words.muted} — ",
            "acknowledged": "👀 ",
        }
        return signs.get(self.state, f"{facts.emoji(self.level)} ")

    @property
    def severity(self) -> str:
        """The worst severity as its sender wrote it: in capitals where it is known to be one, empty for none."""
        given = one_line(self.thread.severity)
        return given.upper() if self.level else given

    @property
    def shared_severity(self) -> str:
        """The severity where all alerts have the same, written likewise; else empty."""
        if not self.detailed:
            return self.severity
        given = one_line(self.severities.of(self.shared_labels))
        return given.upper() if self.severities.level(given) else given

    def level_of(self, alerts: Sequence[AlertState]) -> str:
        """The worst level of some alerts; without any, the thread's."""
        if not alerts:
            return self.level
        words = (severity_of(alert, self.severities) for alert in alerts)
        return self.severities.level(self.severities.worst(words))

    def colour(self, state: str, level: str) -> str:
        """The colour of a message that speaks of this state, and of alerts of this level."""
        if state == "resolved":
            return facts.GREEN
        return facts.GREY if state in ("stale", *Cause) else facts.colour(level)

    @cached_property
    def environment(self) -> str:
        """The environment that all alerts are of: their own, else the setting's; empty where they are of several."""
        if self._others and not set(self._others.differing).isdisjoint(ENVIRONMENT_LABELS):
            return ""
        named = {environment_of(labels) or self._environment for labels in self._all_labels}
        if len(named) > 1:
            return ""
        return named.pop() if named else self._environment

    @cached_property
    def shared_labels(self) -> dict[str, str]:
        """The labels that all alerts have in common."""
        return in_common(self._all_labels)

    @cached_property
    def _all_labels(self) -> list[dict[str, str]]:
        """The labels of each alert with details, and those that the others share."""
        labels = [alert.labels for alert in self.detailed]
        return [*labels, self._others.labels] if self._others else labels

    @cached_property
    def label_names(self) -> set[str]:
        """The names of all labels that any alert has."""
        return set(self._others.differing if self._others else ()).union(*self._all_labels)

    @property
    def ended_values(self) -> str:
        """The measured values at the end of the thread's only alert, where they differ from those of its firing."""
        return self.alerts[0].ended_values if self.total == 1 and self.alerts else ""

    @cached_property
    def matchers(self) -> str:
        """Matchers for the thread's alerts, for Alertmanager's pages; empty where none match these alerts alone."""
        all_known = self._others is None or self.thread.common is not None
        differing = self._others.differing if self._others else ()
        return matchers_of(self.thread.identity, self._all_labels, self.shared_labels, differing, all_known=all_known)

    @cached_property
    def alerts_url(self) -> str:
        """Alertmanager's page that lists the thread's alerts; empty where there is none."""
        return self._page("alerts", self.matchers)

    @cached_property
    def silence_url(self) -> str:
        """The page that silences the thread's alerts and no others; empty where there is none."""
        return self.shared_links.get("silence") or self._page("silences/new", self.matchers)

    def silence_url_of(self, alert: AlertState) -> str:
        """The page that silences one alert and no other of the thread; empty where there is none."""
        if self._others or alert.left_out or not alert.labels:
            return ""
        return self._page("silences/new", matchers_of_one(alert.labels, self.thread.identity, self._all_labels))

    def _page(self, name: str, matchers: str) -> str:
        if not self.thread.external_url or self.is_grafana or not matchers:
            return ""
        return f"{self.thread.external_url.rstrip('/')}/#/{name}?filter={matchers}"

    @cached_property
    def shared(self) -> Said:
        """What all alerts say in common; empty where they differ."""
        all_said = [*self._said.values(), *([facts.said(self._others.annotations)] if self._others else [])]
        if not all_said:
            return Said()
        return Said(
            summary=_if_same([each.summary for each in all_said]),
            description=_if_same([each.description for each in all_said]),
            runbook=_if_same([each.runbook for each in all_said]),
            dashboard=_if_same([each.dashboard for each in all_said]),
            others=in_common([each.others for each in all_said]),
        )

    @cached_property
    def shared_summary(self) -> str:
        """The summary of all alerts on one line; empty where they differ."""
        return unmarked(self.shared.summary)

    @cached_property
    def shared_values(self) -> str:
        """The measured values (Grafana's) where all alerts have the same, else empty."""
        values = [alert.values for alert in self.detailed]
        return _if_same([*values, self._others.values] if self._others else values)

    @cached_property
    def shared_links(self) -> dict[str, str]:
        """The addresses that all alerts have in common, by name."""
        return in_common([*(alert.links for alert in self.detailed), *([self._others.links] if self._others else [])])

    @cached_property
    def is_grafana(self) -> bool:
        """Whether the alerts come from Grafana, whose pages have other addresses than Alertmanager's."""
        return any("silence" in each.links or "panel" in each.links or FOLDER in each.labels for each in self.detailed)

    def left_out(self, alert: AlertState) -> int:
        """How many labels and texts of an alert are not kept, but for those that all alerts share."""
        if alert.is_detailed or not alert.left_out:
            return alert.left_out
        shared = self.shared
        texts = [text for text in (shared.summary, shared.description, shared.runbook, shared.dashboard) if text]
        named = 1 + len(alert.distinct)
        return max(alert.left_out - named - len(self.shared_labels) - len(texts) - len(shared.others), 0)

    def said(self, alert: AlertState) -> Said:
        """What an alert says of itself."""
        return self._said.get(id(alert)) or Said()

    def ended(self, alert: AlertState) -> Said:
        """What an alert's end says, where that is not what its firing said."""
        return self._ended.get(id(alert)) or Said()

    def name(self, alert: AlertState, room: int = 0) -> str:
        """An alert's name, which no other alert of the thread has; never empty.

        With ``room``, one that is longer is cut where what tells it apart is not lost.
        """
        name = one_line(full_name(alert)) or self.words.alert
        if not 0 < room < len(name):
            return name
        first = one_line(short_name(alert))
        return truncate(first, max(room + len(first) - len(name), room // 2)) + name[len(first) :]


def _of_others(thread: AlertThread, detailed: int) -> Common | None:
    """What is known of the alerts without details: at least the labels that made them one thread.

    None where there are no such alerts.
    """
    if detailed and detailed == len(thread.alerts) + thread.forgotten:
        return None
    return thread.common or Common(labels={name: value for name, value in thread.identity.items() if value})


def _if_same(texts: Sequence[str]) -> str:
    """The one text that all of them are; empty where they differ."""
    return texts[0] if texts and texts.count(texts[0]) == len(texts) else ""
