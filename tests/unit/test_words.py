"""The fixed words of messages: each language says the same, with the same places for what it speaks of."""

import re
from pathlib import Path
from string import Formatter
from typing import Any

import msgspec
import pytest

from alert_threader.formatter import LANGUAGES, render
from alert_threader.threads import AlertThread, Batch, Policy, Step, apply
from tests.build import HOUR, NOW, alert, change
from tests.payloads.golden import messages, pairs

WORDS = [field.name for field in msgspec.structs.fields(LANGUAGES["en"])]
_STORIES = [file for file, _ in pairs() if file.stem.startswith("korean")]


@pytest.mark.parametrize("name", WORDS)
def test_languages_speak_of_the_same(name: str) -> None:
    """A count or a name that one language tells is told by every other."""
    places = [
        sorted(field for _, field, _, _ in Formatter().parse(getattr(words, name)) if field is not None)
        for words in LANGUAGES.values()
    ]
    assert all(each == places[0] for each in places)


@pytest.mark.parametrize("name", WORDS)
def test_every_word_is_used(name: str) -> None:
    """The tables hold nothing that no message says."""
    folder = Path(__file__).parents[2] / "src" / "alert_threader" / "formatter"
    code = "".join(file.read_text() for file in folder.glob("*.py") if file.stem not in ("words", "english", "korean"))
    assert re.search(rf'words\.{name}\b|"{name}"', code)


def said(message: dict[str, Any]) -> str:
    """All text of a message but the sender's: what is in links' addresses, and labels as they are sent."""
    blocks = [*message["blocks"], *(b for a in message["attachments"] for b in a["blocks"])]
    found = [t["text"] for b in blocks for t in (b.get("fields") or b.get("elements") or [b["text"]])]
    return re.sub(r"<[^|>]*\||\S+=\S+", "<", "\n".join([message["text"], *found]))


def english_in(text: str) -> list[str]:
    """The fixed English words that a text still has."""
    phrases = {part for name in WORDS for part in re.split(r"\{\w+\}", getattr(LANGUAGES["en"], name))}
    words = {phrase.strip(" :|,.()+") for phrase in phrases}
    return sorted(each for each in words if len(each) > 2 and re.search(rf"(?<![\w-]){re.escape(each)}(?![\w-])", text))


@pytest.mark.parametrize("file", _STORIES, ids=[file.stem for file in _STORIES])
def test_no_english_is_left_in_a_korean_message(file: Path) -> None:
    """But for what the sender sent: its texts here have none of our words."""
    for each in messages(file):
        assert english_in(said(each["message"]).replace("Pod is", "").replace("Pod ", "")) == []


@pytest.mark.parametrize("step", [Step.POST_ROOT, Step.POST_REPLY])
def test_no_english_is_left_in_any_state(step: Step) -> None:
    """Of a thread to which everything happened that can."""
    alerts = [alert(f"n{i}-{'x' * 60}", annotations={"description": f"d{i} " * 300}) for i in range(60)]
    thread: AlertThread | None = None
    over = [alert(each.fingerprint, "resolved", ends_at=NOW + 60) for each in alerts]
    for late, those in ((0, alerts), (60, over), (120, alerts[:30]), (130, over[:7])):
        thread = apply(thread, change(*those, truncated=3), NOW + late, Policy()).thread
    assert thread is not None
    for stale, repeats in ((False, 3), (True, 0)):
        thread.stale, thread.repeats, thread.unconfirmed_since = stale, repeats, NOW
        for batch in (thread.pending, Batch(repeated=True), Batch()):
            text = said(render(thread, step, batch, environment="운영", words=LANGUAGES["ko"]))
            assert english_in(text.replace("Down", "")) == []


def test_durations_and_counts_are_in_korean_order() -> None:
    """As a Korean on-call engineer writes them."""
    started = alert("a", starts_at=NOW)
    thread = apply(None, change(started), NOW, Policy()).thread
    over = alert("a", "resolved", starts_at=NOW, ends_at=NOW + 2 * HOUR + 180)
    thread = apply(thread, change(over), NOW + 3 * HOUR, Policy()).thread
    text = said(render(thread, Step.POST_ROOT, Batch(), environment="운영", words=LANGUAGES["ko"]))
    assert "지속 시간: 2시간 3분" in text
    assert "✅ 해소됨 — " in text
