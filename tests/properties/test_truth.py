"""The channel tells the truth: whatever is sent is shown or counted as left out, and what was not sent is not shown."""

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alert_threader.alertmanager.webhook import Status, parse
from alert_threader.cli.preview import story
from alert_threader.formatter import LANGUAGES, Words, render
from alert_threader.threads import (
    AlertThread,
    Batch,
    Gone,
    Identity,
    Inhibitor,
    Mute,
    Policy,
    Silence,
    Step,
    ThreadBy,
    apply,
    changes,
)
from tests.build import NOW

IDENTITY = Identity(environment="the-setting", channel="C0ALERTS")
_SILENCE = re.compile(r"#/silences/new\?filter=([^|>]*)[|>]")
_MATCHER = re.compile(r'("[^"]*"|\w+)="((?:[^"\\]|\\.)*)"')
_MUTES = [None, Mute(silenced_by=("s1",)), Mute(inhibited_by=("f99",)), Mute(muted_by=("weekends",))]
_LABELS = ["instance", "pod", "container", "job", "namespace", "service", "team", "zone", "uid", "env", "severity"]
_ANNOTATIONS = ["summary", "title", "description", "message", "impact", "Action", "runbook_url", "dashboard"]


@st.composite
def notifications(draw: st.DrawFn) -> list[list[dict[str, Any]]]:
    """Draw what is sent of one alert rule: some labels and texts are the same for all, each value is found again."""
    numbers = iter(range(10_000))

    def value() -> str:
        return f"v{next(numbers)}v{'x' * draw(st.sampled_from([0, 0, 0, 40, 700]))}"

    shared = {name: value() for name in draw(st.lists(st.sampled_from(_LABELS), unique=True))}
    texts = {name: value() for name in draw(st.lists(st.sampled_from(_ANNOTATIONS), unique=True))}
    extra = draw(st.sampled_from([0, 0, 2, 40]))
    sent = []
    for place in range(draw(st.integers(1, 30))):
        own = draw(st.lists(st.sampled_from(_LABELS), unique=True, max_size=3))
        said = draw(st.lists(st.sampled_from(_ANNOTATIONS), unique=True, max_size=3))
        labels = {"alertname": "Down", **shared, **{name: value() for name in own}}
        labels |= {f"extra_{number}": value() for number in range(extra)}
        sent.append(
            {
                "status": "firing",
                "labels": labels,
                "annotations": {**texts, **{name: value() for name in said}},
                "fingerprint": f"f{place}",
                "generatorURL": "http://prometheus.test/graph",
            }
        )
    first = draw(st.integers(1, len(sent)))
    return [alerts for alerts in (sent[:first], sent[first:]) if alerts]


GROUP = Identity(environment="the-setting", channel="C0ALERTS", by=ThreadBy.GROUP)


def webhooks_of(alerts: list[list[dict[str, Any]]]) -> list[tuple[float, bytes]]:
    """These notifications as webhooks of one group, each with the time of its arrival."""
    labels = {"alertname": "Down"}
    bodies = [
        {"alerts": each, "externalURL": "http://am.test", "groupLabels": labels, "groupKey": "k", "receiver": "r"}
        for each in alerts
    ]
    return [(NOW + 600 * place, json.dumps(body).encode()) for place, body in enumerate(bodies)]


def messages_of(alerts: list[list[dict[str, Any]]], words: Words = LANGUAGES["en"]) -> list[dict[str, Any]]:
    """The messages of these notifications, as one group."""
    return story(webhooks_of(alerts), GROUP, Policy(), words)


def thread_of(alerts: list[list[dict[str, Any]]]) -> AlertThread:
    """The thread of these notifications."""
    thread: AlertThread | None = None
    for now, body in webhooks_of(alerts):
        (change,) = changes(parse(body), GROUP)
        thread = apply(thread, change, now, Policy()).thread
    assert thread is not None
    return thread


def root_of(thread: AlertThread) -> str:
    """What can be read in the first message of a thread, edited."""
    message = render(thread, Step.UPDATE_ROOT, Batch(), environment="the-setting")
    return "\n".join(t for part in ("text", "blocks", "attachments") for t in texts(message[part]))


def read(message: dict[str, Any]) -> dict[str, Any]:
    """What people can read of a message."""
    return {part: message["message"][part] for part in ("text", "blocks", "attachments")}


def texts(node: Any) -> Iterator[str]:
    """Every text in a message."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict | list):
        for value in node.values() if isinstance(node, dict) else node:
            yield from texts(value)


@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(notifications())
def test_nothing_is_dropped_without_a_word(sent: list[list[dict[str, Any]]]) -> None:
    """Each label's and annotation's value of each alert stands in some message, or messages say that some are left."""
    messages = messages_of(sent)
    shown = "\n".join(text for each in messages for text in texts(read(each)))
    # Links are percent-encoded and say nothing to a reader.
    shown = re.sub(r"<[^|>]*\|", "<", shown) + "\n".join(re.findall(r"<(http[^|>]*)", shown))
    missing = [
        value
        for alerts in sent
        for alert in alerts
        for value in (*alert["labels"].values(), *alert["annotations"].values())
        if value.rstrip("x") not in shown
    ]
    assert not missing or re.search(r"\+\d+ more", shown), missing


@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(notifications())
def test_nothing_that_was_shown_disappears(sent: list[list[dict[str, Any]]]) -> None:
    """What the root said before others joined it says still, or their reply repeats it."""
    root, *later = messages_of(sent)
    last_root = [message for message in (root, *later) if message["step"] != "reply"][-1]
    replies = [message for message in later if message["step"] == "reply"]
    before, after = (
        "\n".join(t for each in part for t in texts(read(each))) for part in ([root], [last_root, *replies])
    )
    shown = set(re.findall(r"v\d+v", re.sub(r"<[^|>]*\|", "<", before)))
    gone = sorted(value for value in shown if value not in after)
    assert not gone or re.search(r"\+\d+ more", after), gone


@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(notifications())
def test_nothing_is_made_up(sent: list[list[dict[str, Any]]]) -> None:
    """No severity that nobody gave; the setting's environment only where no alert names its own."""
    alerts = [alert["labels"] for each in sent for alert in each]
    messages = messages_of(sent)
    fields = [text for each in messages for text in texts(read(each)) if text.startswith("*")]
    if not any("severity" in labels for labels in alerts):
        assert not [text for text in fields if text.startswith("*Severity:*")]
    if all("env" in labels for labels in alerts):
        assert "the-setting" not in json.dumps(read(messages[-1]))


@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(notifications())
def test_silence_silences_no_more_than_the_thread(sent: list[list[dict[str, Any]]]) -> None:
    """The root's matchers hold for every alert, and hold all of the labels that the thread is made from."""
    alerts: list[dict[str, str]] = []
    messages = messages_of(sent)
    posted = iter(messages)
    for each in sent:
        alerts += [alert["labels"] for alert in each]
        root = next(message for message in posted if message["step"] in ("root", "update"))
        blocks = root["message"]["attachments"][0]["blocks"]
        (links,) = [text for text in texts(blocks) if "|Silence>" in text and not text.startswith("*Firing")] or [""]
        for encoded in _SILENCE.findall(links):
            matchers = dict(_MATCHER.findall(unquote(encoded)))
            assert matchers["alertname"] == "Down"
            assert all(labels.get(name, "") == value for labels in alerts for name, value in matchers.items())


@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(notifications(), st.data())
def test_mutes_hide_nothing(sent: list[list[dict[str, Any]]], data: st.DataObject) -> None:
    """The root says of how many alerts nothing is sent, by whom and why, and still says or counts what it said."""
    thread = thread_of(sent)
    before = root_of(thread)
    mutes = {name: data.draw(st.sampled_from(_MUTES)) for name in thread.alerts}
    thread.alerts = {name: msgspec.structs.replace(each, mute=mutes[name]) for name, each in thread.alerts.items()}
    thread.silences = (Silence(id="s1", name="kim", ends_at=NOW),)
    thread.inhibitors = (Inhibitor(name="NodeDown"),)
    after = root_of(thread)
    gone = [value for value in re.findall(r"v\d+v", re.sub(r"<[^|>]*\|", "<", before)) if value not in after]
    assert not gone or re.search(r"\+\d+ more", after), gone
    muted = [mute for mute in mutes.values() if mute]
    if len(mutes) > 1:
        assert (f"Firing: {len(mutes)} ({len(muted)} muted)" in after) == bool(muted)
    assert ("🔕 SILENCED — " in after) == all(mute and mute.silenced_by for mute in mutes.values())
    for cause, said in (("silenced_by", "by kim"), ("inhibited_by", "by NodeDown"), ("muted_by", "weekends")):
        assert (said in after) == any(getattr(mute, cause) for mute in muted)


@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(notifications(), st.data())
def test_late_words_are_shown_or_counted(sent: list[list[dict[str, Any]]], data: st.DataObject) -> None:
    """The words of a resolution that came after its reply stand in the root, or are counted; a cause does not."""
    thread = thread_of(sent)
    words = {name: f"w{place}w{'x' * data.draw(st.sampled_from([0, 700]))}" for place, name in enumerate(thread.alerts)}
    kind = data.draw(st.sampled_from(["summary", "description", "runbook_url", "impact"]))
    thread.alerts = {
        name: msgspec.structs.replace(
            each, status=Status.RESOLVED, ends_at=NOW, gone=str(Gone.CONFIRMED), ended_with={kind: words[name]}
        )
        for name, each in thread.alerts.items()
    }
    after = root_of(thread)
    missing = [said for said in words.values() if said.rstrip("x") not in after]
    assert not missing or re.search(r"\+\d+ more", after), missing
    assert "without a notification" not in after
