"""What people see of their answers: buttons, notes, the line of a first message, the form. All fits Slack's limits."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from alert_threader.formatter import LANGUAGES, Matching, Pressing, render, silence_form
from alert_threader.formatter.answers import RefusedPress, answer_to
from alert_threader.threads import (
    Acknowledgement,
    AlertThread,
    Batch,
    Note,
    NoteKind,
    Operation,
    Silence,
    Step,
    Verdict,
    apply,
)
from slack_sandbox.checks import check_message, check_view
from slack_sandbox.mentions import mentions_of
from slack_sandbox.messages import Content
from tests.build import HOUR, NOW, alert, change
from tests.unit.test_press import IDENTITY, POLICY, opened

#: A name that would mention a channel, and break a block.
EVIL = "<!channel> *x* `" + "y" * 400
PRESSING = Pressing(durations=tuple(f"{n}h" for n in range(1, 21)))


def message(
    thread: AlertThread, step: Step = Step.UPDATE_ROOT, batch: Batch | None = None, **more: Any
) -> dict[str, Any]:
    """A message as it is sent; Slack takes it, and it mentions nobody."""
    made = render(thread, step, batch or Batch(), environment="production", **more)
    sent = Content(text=made["text"], blocks=tuple(made["blocks"]), attachments=tuple(made["attachments"]))
    check_message(sent, 4000)
    expected = {each for each in ("U0KIM", "U0LEE") if step is Step.UPDATE_ROOT and f"<@{each}>" in str(made)}
    assert set(mentions_of(sent.text, sent.blocks, sent.attachments)) == expected
    return made


def texts(made: dict[str, Any]) -> str:
    """All that is read."""

    def found(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            if isinstance(node.get("text"), str):
                yield node["text"]
            for value in node.values():
                yield from found(value)
        elif isinstance(node, list):
            for value in node:
                yield from found(value)

    return "\n".join(found([made["blocks"], made["attachments"]]))


def pressable(made: dict[str, Any]) -> list[str]:
    """What can be pressed."""
    blocks = [block for attachment in made["attachments"] for block in attachment["blocks"]]
    return [each["action_id"] for block in blocks if block["type"] == "actions" for each in block["elements"]]


def answered(**fields: Any) -> AlertThread:
    """A thread that Kim has acknowledged and Lee silenced."""
    silence = Silence(id="s/1", by="U0LEE", name="Lee", comment="disk swap", ours=True, ends_at=NOW + HOUR)
    by = Acknowledgement(by="U0KIM", name="Kim", at=NOW + 60)
    values = {"acknowledgement": by, "silences": (silence,), "external_url": "http://am.test"}
    return opened(**{**values, **fields})


class TestButtons:
    """What can be pressed, by what was pressed before."""

    def test_by_state(self) -> None:
        """Each button where it makes sense, none where nothing does."""
        silenced = answered().silences
        for fields, wanted in (
            ({}, ["acknowledge", "silence"]),
            ({"acknowledgement": answered().acknowledgement}, ["unacknowledge", "silence"]),
            ({"silences": silenced}, ["acknowledge", "unsilence", "extend"]),
            ({"silences": silenced, "identity": {}}, ["acknowledge", "unsilence", "extend"]),
            ({"identity": {}}, ["acknowledge"]),
        ):
            assert pressable(message(opened(**fields), pressing=PRESSING)) == wanted
        assert pressable(message(opened(), pressing=Pressing())) == ["acknowledge"]
        assert pressable(message(opened())) == []

    def test_once_it_is_over(self) -> None:
        """None, and nothing of the answers."""
        over = apply(answered(), change(alert(status="resolved"), identity=IDENTITY), NOW + 90, POLICY).thread
        made = message(over, pressing=PRESSING)
        assert pressable(made) == []
        assert "👀" not in texts(made)
        assert "🔕" not in texts(made)

    def test_simpler_messages(self) -> None:
        """Blocks without an attachment have buttons too; a plain text has none."""
        plain = message(opened(), pressing=PRESSING, simple=1)
        assert "acknowledge" in str(plain["blocks"])
        assert message(opened(), pressing=PRESSING, simple=2)["blocks"] == []

    def test_a_long_key(self) -> None:
        """It fits a button, and a hash of it an option."""
        made = message(opened(key="k" * 450), pressing=PRESSING)
        assert "k" * 450 in str(made)


class TestFirstMessage:
    """Who works on it, and until when it is quiet."""

    def test_an_edit_links_people(self) -> None:
        """An edit notifies nobody. The end has its date where that is another day."""
        said = texts(message(answered()))
        assert '👀 <@U0KIM> since 08:01 UTC · 🔕 by <@U0LEE> until 09:00 UTC: "disk swap"' in said
        assert "<http://am.test/#/silences/s%2F1|Silence>" in said
        later = msgspec.structs.replace(answered().silences[0], ends_at=NOW + 30 * HOUR)
        assert "until 2027-01-16 14:00 UTC" in texts(message(answered(silences=(later,))))

    def test_a_post_names_them(self) -> None:
        """So does a first message that must be posted anew."""
        said = texts(message(answered(), Step.POST_ROOT))
        assert "👀 Kim since" in said
        assert "by Lee until" in said
        assert "<@" not in said

    def test_nothing_of_theirs_is_markup(self) -> None:
        """A name, a comment, a reason: whatever is in them."""
        evil = answered(
            acknowledgement=Acknowledgement(by="<!here>", name=EVIL, at=NOW),
            silences=(Silence(id="<!channel>", by="", name=EVIL, comment=EVIL, ours=True, ends_at=NOW + HOUR),),
        )
        for step in (Step.UPDATE_ROOT, Step.POST_ROOT):
            message(evil, step, pressing=PRESSING)

    def test_silenced_alerts_one_by_one(self) -> None:
        """The thread is silenced where all that fires is."""
        thread = opened(alert("a"), alert("b"))
        of_a = Silence(id="s1", name="Lee", alert="a", ours=True, ends_at=NOW + HOUR)
        of_b = msgspec.structs.replace(of_a, id="s2", alert="b")
        thread.silences = (of_a,)
        assert "SILENCED" not in texts(message(thread))
        thread.silences = (of_a, of_b)
        assert "🔕 SILENCED — " in texts(message(thread))


class TestNotes:
    """What is told in a reply."""

    @pytest.mark.parametrize("language", LANGUAGES)
    @pytest.mark.parametrize("kind", [kind for kind in NoteKind if kind is not NoteKind.NOT_EDITABLE])
    def test_each(self, kind: NoteKind, language: str) -> None:
        """In each language, alone and beside an event; whatever the names are."""
        note = Note(kind=kind, who="Kim", at=NOW, until=NOW + HOUR, text="Lee")
        alone = message(opened(), Step.POST_REPLY, Batch(notes=(note,)), words=LANGUAGES[language], attempt_id="a")
        of_others = {NoteKind.INHIBITED: "Lee", NoteKind.MUTED: "Lee", NoteKind.LOUD_AGAIN: "Alertmanager"}
        named = of_others.get(kind, "Kim")
        assert named in alone["text"]
        assert alone["metadata"]["event_payload"]["notes"] == f"{kind}:Kim"
        fired = apply(opened(), change(alert("b"), identity=IDENTITY), NOW + 90, POLICY).thread
        both = Batch(notes=(note,), events=fired.pending.events)
        assert named in texts(message(fired, Step.POST_REPLY, both, words=LANGUAGES[language]))
        for url in ("", "https://x.test/><!channel>|y", "javascript:x", "https://x.test/" + "a" * 2000):
            evil = Note(kind=kind, who=EVIL, text=EVIL, until=NOW, url=url)
            for notes in ((evil,), (evil, evil), (evil,) * 50):
                message(opened(), Step.POST_REPLY, Batch(notes=notes))
                message(fired, Step.POST_REPLY, Batch(notes=notes, events=fired.pending.events))

    def test_several(self) -> None:
        """The last one is the headline, the others are below it; one of a newer version is left out."""
        notes = tuple(Note(kind=kind, who="Kim") for kind in ("acknowledged", "of_the_future", "unacknowledged"))
        said = texts(message(opened(), Step.POST_REPLY, Batch(notes=notes))).splitlines()
        assert said[0].startswith("*👐 No longer acknowledged")
        assert "👀 Acknowledged by Kim" in said

    def test_why_a_silence_failed(self) -> None:
        """Alertmanager's own line is in the reply."""
        note = Note(kind=NoteKind.NOT_SILENCED, who="Kim", text="am:9093 answers 400: bad matcher")
        made = message(opened(), Step.POST_REPLY, Batch(notes=(note,)))
        assert made["text"].startswith("⚠️ Could not be silenced (Kim)")
        assert "am:9093 answers 400: bad matcher" in texts(made)


class TestForm:
    """What "Custom…" opens."""

    @pytest.mark.parametrize("language", LANGUAGES)
    @pytest.mark.parametrize(
        "matching", [None, "am:9093 cannot be reached", Matching(1, 0), Matching(5, 0), Matching(5, 2)]
    )
    def test_slack_takes_it(self, language: str, matching: Matching | str | None) -> None:
        """With as many labels, and as long a title, as there can be."""
        matchers = {f"label_{number}": "v" * 400 for number in range(40)}
        form = silence_form(LANGUAGES[language], "a" * 900, EVIL * 3, matchers, "7d", matching)
        check_view(form)
        assert not mentions_of("", form["blocks"], [])

    def test_what_it_would_silence(self) -> None:
        """Alerts that are not in the thread are a reason to stop."""
        said = str(silence_form(LANGUAGES["en"], "", "t", {"a": ""}, "7d", Matching(5, 2)))
        assert "not in this thread: 2" in said
        assert "`a=`" in said


@pytest.mark.parametrize("verdict", [*Verdict, *RefusedPress])
def test_every_press_is_answered(verdict: Verdict | RefusedPress) -> None:
    """In words, in each language."""
    assert answer_to(verdict, LANGUAGES["en"])
    assert answer_to(verdict, LANGUAGES["ko"]) != answer_to(verdict, LANGUAGES["en"])


def test_buttons_are_operations() -> None:
    """What is on a message is what a press is read as."""
    assert {"acknowledge", "unacknowledge", "silence", "extend", "unsilence"} == set(map(str, Operation))
