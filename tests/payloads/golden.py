"""The golden pairs of this folder: what Alertmanager sent, and beside it what people see of it.

A file ``NAME.json`` here is one webhook, as a real Alertmanager sent it, that comes alone. In ``cases/`` are others, in
the shape of reports that went wrong. A file ``stories/NAME.json`` names several of them, when each one comes, and
settings if it needs any. ``NAME.expected.json`` beside either holds the messages that Slack gets.

A new pair needs no code: put the payload here, write what is expected with ``python -m
tests.payloads.regenerate``, and read it as the person on call would.
"""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from alert_threader.cli.preview import preview, story
from alert_threader.formatter import LANGUAGES
from alert_threader.threads import Identity, Policy, ThreadBy

_FOLDER = Path(__file__).parent
_IDENTITY = Identity(environment="production", channel="C0ALERTS")
#: When a payload arrives that comes alone.
_ARRIVAL = datetime.fromisoformat("2026-11-23T09:13:20Z").timestamp()


def pairs() -> Iterator[tuple[Path, Path]]:
    """Yield each payload or story with the file of what is expected of it, which may be missing."""
    for file in (*sorted(_FOLDER.glob("*.json")), *sorted(_FOLDER.glob("*/*.json"))):
        if not file.name.endswith(".expected.json"):
            yield file, file.with_name(f"{file.stem}.expected.json")


def messages(file: Path) -> list[dict[str, Any]]:
    """Make the messages that a payload or a story causes."""
    if file.parent.name != "stories":
        return preview(file.read_bytes(), _IDENTITY, Policy(), _ARRIVAL)
    given = json.loads(file.read_text())
    times = [datetime.fromisoformat(webhook["at"]).timestamp() for webhook in given["webhooks"]]
    bodies = [(_FOLDER / webhook["payload"]).read_bytes() for webhook in given["webhooks"]]
    settings = given.get("settings", {})
    identity = msgspec.structs.replace(_IDENTITY, by=ThreadBy(settings.get("THREAD_BY", "labels")))
    return story(zip(times, bodies, strict=True), identity, Policy(), LANGUAGES[settings.get("LANGUAGE", "en")])


def written(made: list[dict[str, Any]]) -> str:
    """Write messages as an expected file holds them."""
    return json.dumps(made, indent=2, ensure_ascii=False) + "\n"
