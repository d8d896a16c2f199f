"""Whatever alerts say, what we make of them fits Slack, mentions nobody and can be read."""

import json
import re
from collections.abc import Iterator
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alert_threader.alertmanager.webhook import Status
from alert_threader.formatter import LANGUAGES, render
from alert_threader.formatter.mrkdwn import MAX_MESSAGE, escape, link, literal, prose, truncate
from alert_threader.threads import (
    AlertState,
    AlertThread,
    Batch,
    Event,
    EventKind,
    Gone,
    Inhibitor,
    Mute,
    Note,
    NoteKind,
    Silence,
    Step,
)
from slack_sandbox.checks import MAX_UPDATE_TEXT, blocks_size, check_message
from slack_sandbox.mentions import mentions_of
from slack_sandbox.messages import Content

#: What could break out of its place, in every position.
_EVIL = [
    "<!channel>",
    "<@U123>",
    "<#C1|x>",
    "<https://x.test|y>",
    "&amp;",
    "&" * 400,
    "```",
    "`",
    "*",
    "_a_",
    "|",
    ">",
    "\n",
    "…",
]
_PIECES = st.one_of(st.sampled_from(_EVIL), st.text(max_size=30), st.text("a<&>`*\n ", max_size=400))
#: The only thing that may stand between angle brackets.
_LINK = r"<https?://[^<>|\s]+(\|[^<>|]+)?>"

TEXTS = st.lists(_PIECES, max_size=5).map("".join)
URLS = st.one_of(TEXTS, TEXTS.map(lambda text: f"https://x.test/{text}"), st.just("http://x.test/" + "&" * 1400))
NAMES = st.one_of(TEXTS, st.sampled_from(["alertname", "service", "instance", "job", "namespace", "severity"]))
ANNOTATION_NAMES = st.sampled_from(["summary", "description", "runbook_url", "dashboard", "message", "title"])
TIMES = st.one_of(st.just(0.0), st.floats(0, 4e9), st.floats(allow_nan=False))

#: Ids of silences, which alerts and the thread's silences share.
_IDS = st.sampled_from(["s1", "s2", "<!here>", "s|3"])
_LONG = st.one_of(TEXTS, st.sampled_from(_EVIL).map(lambda text: text * 200))
MUTES = st.builds(
    Mute,
    silenced_by=st.lists(_IDS, max_size=3).map(tuple),
    inhibited_by=st.sampled_from([(), ("x",)]),
    muted_by=st.lists(_LONG, max_size=5).map(tuple),
    until=st.one_of(st.none(), TIMES),
)
SILENCES = st.builds(
    Silence, id=_IDS, by=st.sampled_from(["", "<!here>"]), name=_LONG, comment=_LONG, ends_at=TIMES, ours=st.booleans()
)
INHIBITORS = st.builds(Inhibitor, name=_LONG, url=URLS)
NOTES = st.builds(
    Note,
    kind=st.sampled_from(NoteKind),
    who=_LONG,
    until=st.one_of(st.none(), TIMES),
    text=_LONG,
    count=st.integers(0, 5000),
    url=URLS,
)

ALERTS = st.builds(
    AlertState,
    status=st.sampled_from(Status),
    name=TEXTS,
    starts_at=TIMES,
    ends_at=st.one_of(st.none(), TIMES),
    labels=st.dictionaries(NAMES, TEXTS, max_size=8),
    annotations=st.dictionaries(ANNOTATION_NAMES, st.one_of(TEXTS, URLS), max_size=6),
    links=st.dictionaries(st.sampled_from(["graph", "dashboard", "panel", "silence"]), URLS, max_size=4),
    values=TEXTS,
    mute=st.one_of(st.none(), MUTES),
    gone=st.sampled_from(["", *Gone, "of_the_future"]),
    ended_with=st.dictionaries(ANNOTATION_NAMES, st.one_of(TEXTS, URLS), max_size=3),
)
THREADS = st.builds(
    AlertThread,
    key=TEXTS.map(lambda text: text[:400]),
    channel=st.just("C1"),
    severity=st.one_of(st.sampled_from(["critical", "warning", "info", ""]), TEXTS),
    title=TEXTS,
    external_url=URLS,
    alerts=st.dictionaries(TEXTS, ALERTS, max_size=30),
    forgotten=st.integers(0, 5000),
    truncated=st.integers(0, 5000),
    repeats=st.integers(0, 5000),
    flaps=st.integers(0, 5000),
    opened_at=TIMES,
    stale=st.booleans(),
    silences=st.lists(SILENCES, max_size=5).map(tuple),
    inhibitors=st.lists(INHIBITORS, max_size=5).map(tuple),
)
EVENTS = st.builds(Event, kind=st.sampled_from(EventKind), at=TIMES, changes=st.integers(1, 9))


@st.composite
def threads_and_batches(draw: st.DrawFn) -> tuple[AlertThread, Batch]:
    """Draw a thread, and a batch that tells of some of its alerts, and of some that it does not know."""
    thread = draw(THREADS)
    known = st.sampled_from([*thread.alerts, "unknown"])
    events = draw(st.dictionaries(known, EVENTS, max_size=30))
    notes = tuple(draw(st.lists(NOTES, max_size=9)))
    return thread, Batch(events=events, reopened=draw(st.booleans()), repeated=draw(st.booleans()), notes=notes)


def texts(node: Any) -> Iterator[str]:
    """Yield all that Slack reads as mrkdwn; plain_text is shown as it is."""
    if isinstance(node, dict):
        if node.get("type") != "plain_text" and isinstance(node.get("text"), str):
            yield node["text"]
        for value in node.values():
            yield from texts(value)
    elif isinstance(node, list):
        for value in node:
            yield from texts(value)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    threads_and_batches(),
    st.sampled_from([Step.POST_ROOT, Step.UPDATE_ROOT, Step.POST_REPLY]),
    st.integers(0, 3),
    TEXTS,
    st.sampled_from(list(LANGUAGES)),
)
def test_any_message_fits_and_mentions_nobody(
    given_: tuple[AlertThread, Batch], step: Step, simple: int, environment: str, language: str
) -> None:
    """Every message passes Slack's checks, and nothing in it mentions anybody or links where we did not."""
    thread, batch = given_
    words = LANGUAGES[language]
    message = render(thread, step, batch, environment=environment, words=words, attempt_id="attempt", simple=simple)
    content = Content(
        text=message["text"],
        blocks=tuple(message["blocks"]),
        attachments=tuple(message["attachments"]),
        metadata=message.get("metadata"),
    )
    check_message(content, MAX_UPDATE_TEXT)
    assert message["text"].strip()
    assert "\n" not in message["text"] or simple == 2
    assert blocks_size(content) + len(message["text"]) <= MAX_MESSAGE
    assert not mentions_of(content.text, message["blocks"], message["attachments"])
    for text in texts(message):
        assert all(re.fullmatch(_LINK, part, re.IGNORECASE) for part in re.findall("<[^>]*>?", text))
    assert len(json.dumps(message.get("metadata"), ensure_ascii=True)) < 6200
    json.dumps(message).encode()


@given(TEXTS, st.integers(0, 200))
def test_a_cut_text_is_well_formed(text: str, limit: int) -> None:
    """Cutting holds the limit, and leaves neither half an entity nor half a link."""
    cut = truncate(prose(text), limit)
    assert len(cut) <= limit
    assert cut.count("<") == cut.count(">")
    assert all(re.match("&(amp|lt|gt);", cut[match.start() :]) for match in re.finditer("&", cut))


@given(URLS, TEXTS)
def test_a_link_stays_one(url: str, text: str) -> None:
    """No address and no text can end a link early."""
    made = link(url, text)
    assert made is None or re.fullmatch(r"<https?://[^<>|\s]+(\|[^<>\n]+)?>", made, re.IGNORECASE)


@given(TEXTS, st.integers(3, 300))
def test_a_literal_value_is_one_line(text: str, limit: int) -> None:
    """A label's value stays on its line and within its limit, and what it has of code is closed."""
    said = literal(text, limit)
    assert len(said) <= limit
    assert "\n" not in said
    assert said.count("`") in {0, 2}
    assert "<" not in escape(text)
