"""What people see of alerts that Alertmanager mutes, and of those that ended while nothing was said of them."""

import re
from typing import Any

import msgspec
import pytest

from alert_threader.alertmanager.webhook import Status
from alert_threader.formatter import LANGUAGES, Pressing, render
from alert_threader.formatter.mrkdwn import MAX_MESSAGE
from alert_threader.threads import (
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
    apply,
    covers,
)
from slack_sandbox.checks import blocks_size, check_message
from slack_sandbox.mentions import mentions_of
from slack_sandbox.messages import Content
from tests.build import HOUR, NOW, alert, change
from tests.unit.test_answers import pressable, texts
from tests.unit.test_formatter import greedy
from tests.unit.test_press import IDENTITY, POLICY, opened

#: Would mention a channel, forge a link, break a block.
EVIL = "<!channel> <@U1> <https://x.test|y> & *x* `\n" + "y" * 1000
THREAD_URL = "https://x.slack.com/archives/C1/p1"
SILENCED = Mute(silenced_by=("s1",))
INHIBITED = Mute(inhibited_by=("f9",))
TIMED = Mute(muted_by=("weekends",))
OF_KIM = Silence(id="s1", name="kim", comment="disk swap", ends_at=NOW + HOUR)


def inhibitor(name: str, url: str = "") -> Inhibitor:
    """An alert that inhibits others."""
    return Inhibitor(name=name, url=url)


def thread_of(mutes: dict[str, Mute | None], **fields: Any) -> AlertThread:
    """A thread of alerts, each with what mutes it."""
    thread = opened(*map(alert, mutes), external_url="http://am.test", **fields)
    thread.alerts = {name: msgspec.structs.replace(state, mute=mutes[name]) for name, state in thread.alerts.items()}
    return thread


def message(thread: AlertThread, step: Step = Step.UPDATE_ROOT, batch: Batch | None = None, **more: Any) -> Any:
    """A message as it is sent; Slack takes it, and it mentions nobody."""
    made = render(thread, step, batch or Batch(), environment="production", **more)
    sent = Content(text=made["text"], blocks=tuple(made["blocks"]), attachments=tuple(made["attachments"]))
    check_message(sent, 4000)
    assert blocks_size(sent) + len(made["text"]) <= MAX_MESSAGE
    assert not mentions_of(sent.text, sent.blocks, sent.attachments)
    return made


def root(thread: AlertThread, language: str = "en") -> list[str]:
    """The lines of the first message, edited."""
    return texts(message(thread, words=LANGUAGES[language])).splitlines()


def said(thread: AlertThread, language: str = "en") -> str:
    """The line on what mutes the thread."""
    return next(line for line in root(thread, language)[1:] if re.match("🔕 (?![a-e]( |$))", line))


class TestCovers:
    """Which alerts a silence covers."""

    def test_made_elsewhere(self) -> None:
        """Those of which Alertmanager says so: of its matchers nothing is known."""
        thread = thread_of({"a": SILENCED, "b": None, "c": INHIBITED})
        assert [covers(OF_KIM, name, thread.alerts[name]) for name in "abc"] == [True, False, False]


class TestSign:
    """What the first message begins with, its colour, its counts, its buttons."""

    @pytest.mark.parametrize(
        ("mutes", "english", "korean"),
        [
            ([SILENCED, SILENCED], "🔕 SILENCED — ", "🔕 음소거됨 — "),
            ([INHIBITED, INHIBITED], "🔕 INHIBITED — ", "🔕 억제됨 — "),
            ([TIMED, TIMED], "🔕 MUTED — ", "🔕 통지 꺼짐 — "),
            ([SILENCED, INHIBITED], "🔕 MUTED — ", "🔕 통지 꺼짐 — "),
            ([Mute(silenced_by=("s1",), inhibited_by=("f9",)), SILENCED], "🔕 SILENCED — ", "🔕 음소거됨 — "),
        ],
    )
    def test_all_that_fires_is_muted(self, mutes: list[Mute], english: str, korean: str) -> None:
        """By its cause, grey, still counted as firing, with the buttons of any thread that fires."""
        thread = thread_of(dict(zip("ab", mutes, strict=True)))
        assert root(thread)[0].startswith(english)
        assert root(thread, "ko")[0].startswith(korean)
        assert "*Firing: 2 (2 muted) | Resolved: 0*" in root(thread)
        assert "*발생 중: 2건 (통지 꺼짐 2건) | 해소됨: 0건*" in root(thread, "ko")
        made = message(thread, pressing=Pressing(durations=("1h",)))
        assert made["attachments"][0]["color"] == "#868686"
        assert made["text"].startswith(english)
        assert pressable(made) == ["acknowledge", "silence"]

    def test_some_of_it(self) -> None:
        """It is as loud as before, and the counts say how many are muted."""
        thread = thread_of({"a": SILENCED, "b": None, "c": None})
        assert root(thread)[0].startswith("🚨 ")
        assert "*Firing: 3 (1 muted) | Resolved: 0*" in root(thread)
        assert message(thread)["attachments"][0]["color"] == "#E01E5A"

    def test_nothing_of_it(self) -> None:
        """Then nothing is said."""
        thread = thread_of({"a": None, "b": None}, silences=(OF_KIM,), inhibitors=(inhibitor("DiskFull"),))
        assert "🔕" not in "".join(root(thread))
        assert "*Firing: 2 | Resolved: 0*" in root(thread)

    def test_once_it_is_over(self) -> None:
        """What muted it is over too."""
        thread = thread_of({"a": SILENCED}, silences=(OF_KIM,))
        over = apply(thread, change(alert("a", "resolved"), identity=IDENTITY), NOW + 90, POLICY).thread
        over.alerts = {name: msgspec.structs.replace(each, mute=SILENCED) for name, each in over.alerts.items()}
        assert root(over)[0].startswith("✅ RESOLVED — ")
        assert "🔕" not in "".join(root(over))


class TestStatusLine:
    """What mutes a thread, on its first message."""

    def test_silenced_elsewhere(self) -> None:
        """By whom, until when, why, with the page of the silence."""
        thread = thread_of({"a": SILENCED}, silences=(OF_KIM,))
        page = "<http://am.test/#/silences/s1|{}>"
        assert said(thread) == (
            f'🔕 Silenced in Alertmanager by kim until 09:00 UTC: "disk swap" ({page.format("Silence")})'
        )
        assert said(thread, "ko") == (
            f'🔕 kim 님이 Alertmanager에서 09:00 UTC까지 음소거함: "disk swap" ({page.format("음소거")})'
        )

    def test_nobody_is_linked_by_name(self) -> None:
        """Whoever silences in Alertmanager can call themselves anything."""
        thread = thread_of({"a": SILENCED}, silences=(msgspec.structs.replace(OF_KIM, name="U0KIM"),))
        assert "by U0KIM until" in said(thread)

    def test_of_nobody(self) -> None:
        """Without a name there is none; an unknown silence has its end at least."""
        nameless = msgspec.structs.replace(OF_KIM, name="", comment="")
        assert said(thread_of({"a": SILENCED}, silences=(nameless,))).startswith(
            "🔕 Silenced in Alertmanager until 09:00 UTC (<"
        )
        unknown = Mute(silenced_by=("other",), until=NOW + HOUR)
        assert said(thread_of({"a": unknown})) == "🔕 Silenced in Alertmanager until 09:00 UTC"
        assert said(thread_of({"a": SILENCED})) == "🔕 Silenced in Alertmanager"

    def test_extended_here(self) -> None:
        """An extension gives our silence a new id, which the alerts do not name before the next look: it is one."""
        ours = msgspec.structs.replace(OF_KIM, id="s2", ours=True, comment="")
        assert said(thread_of({"a": SILENCED}, silences=(ours,))).startswith("🔕 by kim until 09:00 UTC (<")
        assert " · " not in said(thread_of({"a": SILENCED}, silences=(ours,)))

    def test_some_alerts(self) -> None:
        """How many of those that fire."""
        thread = thread_of(dict.fromkeys("ab", SILENCED) | dict.fromkeys("cde"), silences=(OF_KIM,))
        assert 'until 09:00 UTC (2 of 5 alerts): "disk swap"' in said(thread)
        assert '음소거함 (알림 5건 중 2건): "disk swap"' in said(thread, "ko")
        thread = thread_of({"a": INHIBITED, "b": TIMED, "c": None})
        assert said(thread) == (
            "🔕 Inhibited by another alert (1 of 3 alerts) · 🔕 Muted by the time interval weekends (1 of 3 alerts)"
        )

    def test_inhibited(self) -> None:
        """By which alerts, with links to their threads; the first three."""
        named = [inhibitor("Disk|Full <b>", THREAD_URL), *map(inhibitor, ("NodeDown", "_x_", "D", "E"))]
        thread = thread_of({"a": INHIBITED}, inhibitors=tuple(named))
        linked = f"<{THREAD_URL}|Disk∣Full &lt;b&gt;>"
        assert said(thread) == f"🔕 Inhibited by {linked}, NodeDown, `_x_`, +2"
        assert said(thread, "ko") == f"🔕 {linked}, NodeDown, `_x_`, +2에 의해 억제됨"
        assert said(thread_of({"a": INHIBITED}), "ko") == "🔕 다른 알림에 의해 억제됨"

    def test_time_intervals(self) -> None:
        """By their names, where Alertmanager gives them."""
        two = Mute(muted_by=("weekends", "nights"))
        assert said(thread_of({"a": TIMED})) == "🔕 Muted by the time interval weekends"
        assert said(thread_of({"a": two})) == "🔕 Muted by the time intervals weekends, nights"
        assert said(thread_of({"a": TIMED}), "ko") == "🔕 시간 구간 weekends에 따라 통지가 꺼짐"
        assert said(thread_of({"a": Mute()})) == "🔕 Muted in Alertmanager"

    def test_nothing_in_it_is_markup(self) -> None:
        """Whatever the names, comments and addresses are, and however many there are."""
        ids = tuple(f"s{i}" for i in range(5))
        mute = Mute(silenced_by=ids, inhibited_by=("x",), muted_by=(EVIL,) * 5)
        silences = tuple(Silence(id=each, name=EVIL, comment=EVIL, ends_at=NOW + HOUR) for each in ids)
        inhibitors = tuple(inhibitor(EVIL, f"https://x.test/><!channel>|{'u' * 90}") for _ in range(5))
        for language in LANGUAGES:
            for fields in ({"silences": silences}, {"inhibitors": inhibitors}, {}):
                lines = root(thread_of({"a": mute, "b": None}, **fields), language)
                assert "<!channel>" not in "".join(lines)


class TestListing:
    """Alerts in the first message."""

    def test_sign_and_order(self) -> None:
        """Loud, muted, resolved: each with its sign."""
        thread = thread_of({"over": None, "muted": SILENCED, "loud": None})
        over = apply(thread, change(alert("over", "resolved"), identity=IDENTITY), NOW + 90, POLICY).thread
        signs = [line[:7] for line in root(over) if line.startswith(("🔴", "🔕", "✅"))]
        assert [each.strip() for each in signs[:3]] == ["🔴 loud", "🔕 muted", "✅ over"]

    def test_names_alone(self) -> None:
        """A line for each sign."""
        thread = thread_of({f"n{i}": SILENCED if i % 2 else None for i in range(40)})
        lines = root(thread)
        assert sum(line.startswith("🔴 n") for line in lines) == 11
        assert len([line for line in lines if line.startswith("🔕 n")]) == 1
        assert "🔕 n1, n3, n5" in "\n".join(lines)

    def test_a_post_keeps_the_order(self) -> None:
        """Which alerts it names is decided without the formatter: the others are named in replies."""
        thread = thread_of({"muted": SILENCED, "loud": None})
        lines = [line[:7].strip() for line in texts(message(thread, Step.POST_ROOT)).splitlines()]
        assert lines.index("🔕 muted") < lines.index("🔴 loud")


class TestNotes:
    """What a reply says."""

    @pytest.mark.parametrize(
        ("note", "headline", "korean", "below"),
        [
            (
                Note(kind=NoteKind.SILENCED_ELSEWHERE, who="kim", until=NOW + HOUR, text="disk swap"),
                "🔕 Silenced in Alertmanager by kim until 09:00 UTC — ",
                "🔕 kim 님이 Alertmanager에서 09:00 UTC까지 음소거함 — ",
                "disk swap",
            ),
            (
                Note(kind=NoteKind.SILENCED_ELSEWHERE, until=NOW + HOUR),
                "🔕 Silenced in Alertmanager until 09:00 UTC — ",
                "🔕 09:00 UTC까지 Alertmanager에서 음소거됨 — ",
                "",
            ),
            (
                Note(kind=NoteKind.SILENCED_ELSEWHERE, who="kim", until=NOW + HOUR, count=2),
                "🔕 2 alerts silenced in Alertmanager by kim until 09:00 UTC — ",
                "🔕 kim 님이 Alertmanager에서 알림 2건을 09:00 UTC까지 음소거함 — ",
                "",
            ),
            (
                Note(kind=NoteKind.SILENCED_ELSEWHERE, until=NOW + HOUR, count=1),
                "🔕 1 alert silenced in Alertmanager until 09:00 UTC — ",
                "🔕 알림 1건이 09:00 UTC까지 Alertmanager에서 음소거됨 — ",
                "",
            ),
            (
                Note(kind=NoteKind.INHIBITED, text="NodeDown & co", url=THREAD_URL),
                "🔕 Inhibited by NodeDown &amp; co — ",
                "🔕 NodeDown &amp; co에 의해 억제됨 — ",
                f"<{THREAD_URL}|NodeDown &amp; co>",
            ),
            (Note(kind=NoteKind.INHIBITED), "🔕 Inhibited by another alert — ", "🔕 다른 알림에 의해 억제됨 — ", ""),
            (
                Note(kind=NoteKind.MUTED, text="weekends"),
                "🔕 Muted by the time interval weekends — ",
                "🔕 시간 구간 weekends에 따라 통지가 꺼짐 — ",
                "",
            ),
            (
                Note(kind=NoteKind.LOUD_AGAIN),
                "🔔 No longer muted in Alertmanager — ",
                "🔔 Alertmanager에서 통지가 다시 켜짐 — ",
                "",
            ),
        ],
    )
    def test_alone(self, note: Note, headline: str, korean: str, below: str) -> None:
        """A headline, which cannot hold a link, and what belongs to it below."""
        thread = thread_of({"a": None})
        for language, opening in (("en", headline), ("ko", korean)):
            made = message(thread, Step.POST_REPLY, Batch(notes=(note,)), words=LANGUAGES[language])
            first, *others = texts(made).splitlines()
            assert first.startswith(f"*{opening}")
            assert others == ([below] if below else [])
            assert made["text"].startswith(opening)

    def test_beside_others(self) -> None:
        """On a line, with the link in it."""
        notes = (
            Note(kind=NoteKind.INHIBITED, text="NodeDown", url=THREAD_URL),
            Note(kind=NoteKind.SILENCED_ELSEWHERE, who="kim", until=NOW + HOUR, text="disk swap"),
            Note(kind=NoteKind.LOUD_AGAIN),
        )
        said = texts(message(thread_of({"a": None}), Step.POST_REPLY, Batch(notes=notes))).splitlines()
        assert f"🔕 Inhibited by <{THREAD_URL}|NodeDown>" in said
        assert "🔕 Silenced in Alertmanager by kim until 09:00 UTC: disk swap" in said

    def test_too_many(self) -> None:
        """The latest are shown, the others counted."""
        notes = tuple(Note(kind=NoteKind.MUTED, text=f"interval {i}") for i in range(60))
        said = texts(message(thread_of({"a": None}), Step.POST_REPLY, Batch(notes=notes))).splitlines()
        assert "interval 59" in said[0]
        assert "interval 58" in said[-1]
        assert said[1].startswith("+")


def ended(*hows: Gone | None, late: dict[str, str] | None = None) -> AlertThread:
    """A thread whose alerts a, b, … ended this way; None for one whose resolution was sent. ``late`` are the words."""
    names = "abcdef"[: len(hows)]
    thread = opened(*(alert(name, annotations={"summary": "It is full"}) for name in names))
    thread = msgspec.structs.replace(thread, pending=Batch())
    over = apply(
        thread, change(*(alert(name, "resolved") for name in names), identity=IDENTITY), NOW + 90, POLICY
    ).thread
    over.alerts = {
        name: msgspec.structs.replace(over.alerts[name], gone=str(how or ""), ended_with=late or {}, ended_left_out=0)
        for name, how in zip(names, hows, strict=True)
    }
    return over


def replied(thread: AlertThread, language: str = "en") -> list[str]:
    """The lines of the reply that says what is pending."""
    made = message(thread, Step.POST_REPLY, thread.pending, words=LANGUAGES[language])
    return texts(made).splitlines()


class TestGone:
    """An alert that ended without a notification."""

    @pytest.mark.parametrize(
        ("how", "english", "korean"),
        [
            (Gone.WHILE_SILENCED, "It resolved while silenced", "음소거된 동안 해소됨"),
            (Gone.WHILE_INHIBITED, "It resolved while inhibited", "억제된 동안 해소됨"),
            (Gone.WHILE_MUTED, "It resolved while muted", "통지가 꺼진 동안 해소됨"),
            (
                Gone.UNANNOUNCED,
                "It is gone from Alertmanager without a notification",
                "통지 없이 Alertmanager에서 사라짐",
            ),
        ],
    )
    def test_all_of_it(self, how: Gone, english: str, korean: str) -> None:
        """The root and the reply say so once, green as always."""
        for thread in (ended(how), ended(how, how)):
            for lines, line in ((root(thread), english), (replied(thread), english), (root(thread, "ko"), korean)):
                assert lines.count(line) == 1
                assert not any(f"({line[3:]}" in each for each in lines)
            assert root(thread)[0].startswith("✅ RESOLVED — ")

    def test_some_of_it(self) -> None:
        """Beside the names of those."""
        thread = ended(Gone.WHILE_SILENCED, Gone.UNANNOUNCED, None)
        for lines in (root(thread), replied(thread)):
            a, b, c = (line for line in lines if line.startswith("✅ ") and not line.startswith("✅ RES"))
            assert a.endswith("(resolved while silenced)")
            assert b.endswith("(gone from Alertmanager without a notification)")
            assert "resolved while" not in c
            assert not any(line.startswith("It ") and "full" not in line for line in lines)
        assert any(line.endswith("(음소거된 동안 해소됨)") for line in root(thread, "ko"))

    def test_unknown(self) -> None:
        """A way that only a newer version knows is not said."""
        thread = ended(None)
        thread.alerts["a"].gone = "of_the_future"
        assert "future" not in "".join(root(thread))

    def test_late_words_of_one(self) -> None:
        """No cause any more; what the resolution says stands below the description, for no reply says it."""
        late = {"summary": "It has room again", "description": "40% free\nsince 9", "impact": "none"}
        lines = root(ended(Gone.CONFIRMED, late=late))
        place = lines.index(">*When it resolved:*")
        assert lines[place + 1 : place + 5] == [">It has room again", ">40% free", ">since 9", ">*Impact:* none"]
        assert not any("gone" in line or "while" in line for line in lines)
        assert ">*해소 통지의 내용:*" in root(ended(Gone.CONFIRMED, late=late), "ko")

    def test_late_words_of_several(self) -> None:
        """Below the line of each."""
        lines = root(ended(Gone.CONFIRMED, None, late={"description": "40% free"}))
        place = lines.index(">*When it resolved:*")
        assert lines[place - 1].startswith("✅ a")
        assert lines[place + 1] == ">40% free"
        assert lines.count(">*When it resolved:*") == 1

    def test_no_late_words(self) -> None:
        """Without any there is no heading."""
        assert "When it resolved" not in "".join(root(ended(Gone.CONFIRMED)))

    def test_late_words_are_counted(self) -> None:
        """Those that have no room, like all others."""
        hows = [Gone.CONFIRMED] * 6
        late = {f"text{i}": f"{i}" * 900 for i in range(9)}
        assert any("more texts and labels in" in line for line in root(ended(*hows, late=late)))


def muted_greedy(count: int, *, gone: bool) -> AlertThread:
    """Alerts that take all the room there is, and are muted in all ways, or ended late."""
    thread = opened(*(greedy(i, 3000) for i in range(count)), external_url="https://am.test/" + "a" * 80)
    ids = tuple(f"s{i}" for i in range(5))
    mute = Mute(silenced_by=ids, inhibited_by=("x",), muted_by=("&" * 200,) * 5)
    thread.silences = tuple(Silence(id=each, name="&" * 90, comment="&" * 400, ends_at=NOW) for each in ids)
    thread.inhibitors = tuple(inhibitor("&" * 90, "https://x.test/" + "u" * 200) for _ in range(5))
    over = {"status": Status.RESOLVED, "gone": str(Gone.CONFIRMED), "ended_with": {"description": "&" * 3000}}
    fields = over if gone else {"mute": mute}
    thread.alerts = {name: msgspec.structs.replace(each, **fields) for name, each in thread.alerts.items()}
    return thread


@pytest.mark.parametrize("count", [1, 2, 60])
@pytest.mark.parametrize("gone", [False, True])
@pytest.mark.parametrize("simple", range(4))
def test_the_greediest_fit(count: int, gone: bool, simple: int) -> None:
    """Within every limit, with all notes."""
    thread = muted_greedy(count, gone=gone)
    kind = EventKind.RESOLVED if gone else EventKind.FIRED
    events = {name: Event(kind=kind, at=NOW) for name in thread.alerts}
    notes = tuple(Note(kind=NoteKind.SILENCED_ELSEWHERE, who="&" * 90, until=NOW, text="&" * 400) for _ in range(20))
    for step, batch in (
        (Step.POST_ROOT, Batch()),
        (Step.UPDATE_ROOT, Batch()),
        (Step.POST_REPLY, Batch(events=events, notes=notes)),
        (Step.POST_REPLY, Batch(notes=notes)),
    ):
        message(thread, step, batch, simple=simple)
