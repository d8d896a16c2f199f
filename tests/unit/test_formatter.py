"""Messages, built from webhooks by the real rules: a test says what came, and what people then see."""

import json
import re
from typing import Any

import msgspec
import pytest

from alert_threader.alertmanager.webhook import Alert, Status
from alert_threader.formatter import message_hash, render
from alert_threader.formatter.mrkdwn import MAX_MESSAGE
from alert_threader.threads import AlertState, AlertThread, Batch, Change, Event, EventKind, Policy, Step, apply
from alert_threader.threads.answers import Acknowledgement, Mute
from slack_sandbox.checks import MAX_UPDATE_TEXT, blocks_size, check_message
from slack_sandbox.messages import Content
from tests import build

T0 = 1705329025.0  # 2024-01-15 14:30:25 UTC
LABELS = {
    "alertname": "DatabaseCriticalFailure",
    "severity": "critical",
    "service": "database",
    "cluster": "production",
    "instance": "db01.example.com",
    "job": "mysql-exporter",
}
ANNOTATIONS = {
    "summary": "Database Critical Failure",
    "description": "MySQL connection completely failed.",
    "runbook_url": "https://wiki.example.com/db",
}
SILENCE = (
    "http://am.test/#/silences/new?filter=%7Balertname%3D%22DatabaseCriticalFailure%22%2C%20cluster%3D%22production%22%2C"
    "%20instance%3D%22db01.example.com%22%2C%20job%3D%22mysql-exporter%22%2C%20service%3D%22database%22%2C"
    "%20severity%3D%22critical%22%7D"
)


def alert(fingerprint: str = "f1", *, resolved: float | None = None, started: float = T0, **more: Any) -> Alert:
    """One alert of the database, firing unless it has resolved; ``labels`` are added, an empty one is taken away."""
    labels = LABELS | more.pop("labels", {})
    return build.alert(
        fingerprint,
        Status.FIRING if resolved is None else Status.RESOLVED,
        labels={name: value for name, value in labels.items() if value},
        starts_at=started,
        ends_at=resolved,
        **{"annotations": ANNOTATIONS, **more},
    )


def instance(name: str, *, resolved: float | None = None, summary: str = "") -> Alert:
    """One alert of several, known by its instance, and with no text of its own but a summary."""
    annotations = {"summary": summary} if summary else {}
    return alert(name, resolved=resolved, labels={"instance": name}, annotations=annotations)


def thread_of(
    *webhooks: list[Alert], truncated: int = 0, url: str = "http://am.test", delivered: bool = True
) -> AlertThread:
    """A thread that has seen these webhooks, a minute apart; what the last one brought is pending."""
    thread: AlertThread | None = None
    for i, alerts in enumerate(webhooks):
        if thread is not None and delivered:
            thread = msgspec.structs.replace(thread, ts="1.2", pending=Batch())
        change = Change(
            key="k",
            channel="C1",
            alerts=tuple(alerts),
            truncated=truncated,
            external_url=url,
            identity={"alertname": LABELS["alertname"]},
        )
        thread = apply(thread, change, T0 + 60 * i, Policy()).thread
    assert thread is not None
    return thread


def root(thread: AlertThread, **more: Any) -> dict[str, Any]:
    """The opening message of a thread, or its edit where it is posted already."""
    step = Step.POST_ROOT if thread.ts is None else Step.UPDATE_ROOT
    return render(thread, step, thread.pending, environment="production", **more)


def reply(thread: AlertThread, batch: Batch | None = None, **more: Any) -> dict[str, Any]:
    """The reply that tells a batch, or else what the last webhook brought."""
    return render(thread, Step.POST_REPLY, batch or thread.pending, environment="production", **more)


def shown(message: dict[str, Any]) -> list[str]:
    """All lines of a message from top to bottom, as they are sent."""
    blocks = [*message["blocks"], *(b for a in message["attachments"] for b in a["blocks"])]
    texts = [t for b in blocks for t in (b.get("fields") or b.get("elements") or [b["text"]])]
    return [line for text in texts for line in text["text"].split("\n")]


def colour(message: dict[str, Any]) -> str:
    """The colour of the bar beside a message."""
    return str(message["attachments"][0]["color"])


class TestRoot:
    def test_one_alert(self) -> None:
        """The opening message is the one that DESIGN.md draws, line for line."""
        message = root(thread_of([alert()]))
        assert shown(message) == [
            "🚨 Database Critical Failure",
            "*Severity:* CRITICAL",
            "*Environment:* production",
            "*Service:* database",
            "*Cluster:* production",
            "*Instance:* db01.example.com",
            "*Job:* mysql-exporter",
            "*Description:*",
            "MySQL connection completely failed.",
            f"*Runbook:* <https://wiki.example.com/db|View Runbook>  ·  <{SILENCE}|Silence>",
            "Started: 2024-01-15 14:30:25 UTC",
            "env=production | alertname=DatabaseCriticalFailure",
        ]
        assert message["text"] == "🚨 CRITICAL: Database Critical Failure (db01.example.com) [production]"
        assert colour(message) == "#E01E5A"

    def test_form(self) -> None:
        """A header on top; one attachment with nothing but colour, fallback and blocks; nothing is unfurled."""
        message = root(thread_of([alert()]))
        assert [block["type"] for block in message["blocks"]] == ["header"]
        assert message["blocks"][0]["text"]["emoji"] is True
        assert [set(a) for a in message["attachments"]] == [{"color", "fallback", "blocks"}]
        assert (message["unfurl_links"], message["unfurl_media"]) == (False, False)

    def test_resolved_keeps_title_and_values(self) -> None:
        """A resolved root says so, is green and gains the times; title, fields and description stay, Silence goes."""
        firing = shown(root(thread_of([alert()])))
        message = root(thread_of([alert()], [alert(resolved=T0 + 905)]))
        assert colour(message) == "#2EB67D"
        assert shown(message)[0] == "✅ RESOLVED — Database Critical Failure"
        assert shown(message)[1:9] == firing[1:9]
        assert "Silence" not in json.dumps(message)
        assert "Started: 2024-01-15 14:30:25 UTC | Resolved: 2024-01-15 14:45:30 UTC | Duration: 15m 5s" in shown(
            message
        )
        assert message["text"] == "✅ RESOLVED — Database Critical Failure (db01.example.com) [production]"

    def test_mixed_group(self) -> None:
        """Several alerts are counted and listed by their own status, the firing ones first."""
        message = root(thread_of([instance("a"), instance("b"), instance("c")], [instance("a", resolved=T0 + 9)]))
        lines = shown(message)
        assert lines[lines.index("*Firing: 2 | Resolved: 1*") :][:4] == [
            "*Firing: 2 | Resolved: 1*",
            "🔴 b",
            "🔴 c",
            "✅ a",
        ]
        assert "*Instance:*" not in "".join(lines)
        assert message["text"] == "🚨 CRITICAL: Database Critical Failure (2 firing, 1 resolved) [production]"

    def test_long_summary_is_shown_below_its_header(self) -> None:
        """As far as there is room, with a sign where it was cut; and a title beside a summary is a text of its own."""
        summary = "word " * 60
        lines = shown(root(thread_of([alert(annotations={"Summary": summary, "title": "Another"})])))
        assert lines[0].endswith("…")
        assert summary.strip() in lines
        assert "*Title:* Another" in lines
        lines = shown(root(thread_of([alert(annotations={"summary": "word " * 500})])))
        assert any(len(line) > 500 and line.endswith("…") for line in lines)

    def test_long_texts_do_not_share_a_section(self) -> None:
        """Each fits a section of Slack, but not all of them together with two links to the rest."""
        said = {"summary": "s" * 700, "description": "d" * 3000, **{f"note_{n}": f"{n}" * 900 for n in range(4)}}
        labels = {f"label_{n:02}": "v" * 20 for n in range(14)}
        message = root(thread_of([alert(annotations=said, labels=labels)], url="http://am.test/" + "a" * 60))
        check_message(Content(text=message["text"], blocks=message["blocks"], attachments=message["attachments"]), 4000)
        assert str(message).count("in <http") > 1

    def test_silence_of_one_alert_says_what_fails(self) -> None:
        """In a group that shares nothing, an alert that is known by its severity alone gets no link for all of it."""
        thread = thread_of([alert("a", labels={"instance": "a"}), build.alert("b", labels={"severity": "warning"})])
        thread.identity = {"severity": "critical"}
        (link,) = re.findall(r"filter=([^|]*)\|Silence>", "\n".join(shown(root(thread))))
        assert "instance" in link

    def test_state_of_several(self) -> None:
        """Silenced where all that fires is muted, else acknowledged; neither outlives the end."""
        thread = thread_of([instance("a"), instance("b")])
        thread.acknowledgement = Acknowledgement(by="U1", name="Ada <Lovelace>", at=T0)
        message = root(thread)
        assert shown(message)[0] == "👀 Database Critical Failure (2)"
        assert message["text"].startswith("👀 CRITICAL: Database Critical Failure (a, b)")
        assert "👀 Ada &lt;Lovelace&gt; since 14:30 UTC" in shown(message)
        assert colour(message) == "#E01E5A"
        for name, state in thread.alerts.items():
            assert "SILENCED" not in shown(root(thread))[0]
            thread.alerts[name] = msgspec.structs.replace(state, mute=Mute(silenced_by=("s",), until=T0 + 60))
        message = root(thread)
        assert shown(message)[0] == "🔕 SILENCED — Database Critical Failure (2)"
        assert "Silenced in Alertmanager until 14:31 UTC" in "\n".join(shown(message))
        assert colour(message) == "#868686"
        over = apply(
            thread,
            Change(key="k", channel="C1", alerts=(instance("a", resolved=T0 + 9), instance("b", resolved=T0 + 9))),
            T0 + 9,
            Policy(),
        ).thread
        assert shown(root(over))[0] == "✅ RESOLVED — Database Critical Failure (2)"
        assert "Acknowledged" not in str(root(over))

    def test_own_summary(self) -> None:
        """An alert's summary stands beside its name; a name that the summary holds is not said twice."""
        thread = thread_of([instance("a1", summary="Pod a1 crashes"), instance("b", summary="out of memory")])
        assert [line for line in shown(root(thread)) if line[0] == "🔴"] == [
            "🔴 Pod *a1* crashes",
            "🔴 b — out of memory",
        ]

    def test_namesakes_are_told_apart(self) -> None:
        """Where what failed is named alike, the labels that differ stand beside it."""
        disks = [
            alert(f"{host}{disk}", labels={"instance": host, "mountpoint": disk}, annotations={})
            for host, disk in (("db01", "/"), ("db01", "/var"), ("db02", "/"))
        ]
        lines = [line for line in shown(root(thread_of(disks))) if line[0] == "🔴"]
        assert lines == ["🔴 db01 (mountpoint=/)", "🔴 db01 (mountpoint=/var)", "🔴 db02"]

    def test_many(self) -> None:
        """The first ten have a line each, the others are named close together."""
        lines = shown(root(thread_of([instance(f"n{i}") for i in range(60)], [instance("n59", resolved=T0 + 9)])))
        assert [line for line in lines if line[0] == "🔴"][:10] == [f"🔴 n{i}" for i in range(10)]
        assert f"🔴 {', '.join(f'n{i}' for i in range(10, 59))}" in lines
        assert "✅ n59" in lines

    def test_more_than_can_be_named(self) -> None:
        """Only what has no room for a name is a number, with a link to where it is."""
        lines = shown(root(thread_of([instance(f"{i:03d}.{'n' * 60}") for i in range(60)])))
        named = sum(len(line.split(", ")) for line in lines if line[0] == "🔴")
        assert named > 35
        (more,) = [line for line in lines if line.startswith("+")]
        assert more.startswith(f"+{60 - named} more in <http://am.test/#/alerts?filter=%7Balertname")

    def test_without_address(self) -> None:
        """Where Alertmanager's address is unknown, it is named all the same."""
        lines = shown(root(thread_of([instance(f"{i:03d}.{'n' * 70}") for i in range(60)], url="")))
        assert any(line.endswith("more in Alertmanager") for line in lines)
        assert "Silence" not in "".join(lines)

    def test_grafana(self) -> None:
        """Grafana's own links and values are used, and no address of Alertmanager's is made up."""
        links = {name: f"https://g.test/{name}" for name in ("dashboard", "panel", "graph", "silence")}
        message = root(thread_of([alert(links=links, values="A=1.5")], url="https://g.test"))
        (line,) = [line for line in shown(message) if "Runbook" in line]
        assert [part.rpartition("|")[2] for part in line.split("  ·  ")] == [
            "View Runbook>", "Dashboard>", "Panel>", "Graph>", "Silence>",
        ]  # fmt: skip
        assert "<https://g.test/silence|Silence>" in line
        assert "*Values:* A=1.5" in shown(message)

    @pytest.mark.parametrize(
        ("severity", "emoji", "expected"),
        [
            ("critical", "🚨", "#E01E5A"),
            ("error", "❌", "#E01E5A"),
            ("warning", "⚠️", "#ECB22E"),
            ("info", "ℹ️", "#2EB67D"),
            ("success", "✅", "#2EB67D"),
            ("debug", "🐛", "#36C5F0"),
            ("P1", "🚨", "#E01E5A"),
            ("Major", "❌", "#E01E5A"),
            ("avocado", "📢", "#868686"),
        ],
    )
    def test_severity(self, severity: str, emoji: str, expected: str) -> None:
        """Each level has its sign and colour, an unknown word a neutral grey; the word is the sender's."""
        message = root(thread_of([alert(labels={"severity": severity})]))
        assert shown(message)[0] == f"{emoji} Database Critical Failure"
        assert colour(message) == expected
        said = severity if severity == "avocado" else severity.upper()
        assert f"*Severity:* {said}" in shown(message)
        assert message["text"].startswith(f"{emoji} {said}: ")

    def test_no_severity(self) -> None:
        """None is made up."""
        message = root(thread_of([alert(labels={"severity": ""})]))
        assert (shown(message)[0], colour(message)) == ("📢 Database Critical Failure", "#868686")
        assert "everity" not in json.dumps(message["attachments"])
        assert message["text"] == "📢 Database Critical Failure (db01.example.com) [production]"

    def test_problem_that_flaps_has_one_length(self) -> None:
        """From its first firing to its end, and how much of that it fired: a short flap is no long outage."""
        first = [alert("a"), alert("b")]
        over = [alert("a", resolved=T0 + 50), alert("b", resolved=T0 + 50)]
        again, at_last = alert("b", started=T0 + 100), alert("b", started=T0 + 100, resolved=T0 + 120)
        times = shown(root(thread_of(first, over, [again], [at_last])))[-3:-1]
        assert times == [
            "Started: 2024-01-15 14:30:25 UTC | Resolved: 2024-01-15 14:32:25 UTC | Duration: 2m",
            "Flapped once, firing for 1m 10s of 2m",
        ]

    def test_state_lines(self) -> None:
        """Repeats, flaps, what max_alerts cut off and a silence of days are each said in words."""
        thread = thread_of([alert()], truncated=7)
        thread.repeats, thread.flaps, thread.stale = 3, 2, True
        message = root(thread)
        assert shown(message)[-6:] == [
            "Started: 2024-01-15 14:30:25 UTC",
            "Still firing, notified 4 times",
            "Flapped 2 times",
            "7 more alerts were left out by Alertmanager (max_alerts)",
            "Nothing heard for a long time: marked stale",
            "env=production | alertname=DatabaseCriticalFailure",
        ]
        assert colour(message) == "#868686"
        assert message["text"].startswith("💤 STALE — ")
        assert shown(message)[0] == "💤 STALE — Database Critical Failure"

    def test_annotations_without_a_place_are_shown(self) -> None:
        """By their names; Grafana's own are not meant for people."""
        said = {
            "impact": "checkout is down",
            "current_value": "37 %",
            "__dashboardUid__": "x",
            "Summary": "Down",
            "x": " ",
        }
        lines = shown(root(thread_of([alert(annotations=said)])))
        assert "*Impact:* checkout is down" in lines
        assert "*Current value:* 37 %" in lines
        assert not any("__id__" in line or line.startswith("*X:") for line in lines)

    def test_annotations_that_do_not_fit_are_counted(self) -> None:
        """Nothing is left out without a word."""
        said = {f"note{i}": "y" * 300 for i in range(8)}
        lines = shown(root(thread_of([alert(annotations=said)])))
        assert sum(line.startswith("*Note") for line in lines) == 2
        assert any(line.startswith("+6 more in <http") for line in lines)

    def test_long_title_and_description(self) -> None:
        """What is cut ends in an ellipsis; the title is whole below the header, the rest a link away."""
        thread = thread_of([alert(annotations={"summary": "t" * 200, "description": "d " * 2000})])
        lines = shown(root(thread))
        assert len(lines[0]) == 150
        assert lines[0].endswith("…")
        assert "t" * 200 in lines
        assert any(line.endswith("d…") for line in lines)
        assert any(line.startswith("The rest is in <http://am.test/#/alerts") for line in lines)

    def test_open_fence_is_closed(self) -> None:
        """A description that is cut inside a code block closes it."""
        thread = thread_of([alert(annotations={"description": "```\n" + "x\n" * 2000})])
        (section,) = [b for b in root(thread)["attachments"][0]["blocks"] if "Description" in json.dumps(b)]
        assert section["text"]["text"].count("```") == 2

    def test_hostile_values(self) -> None:
        """A label cannot mention, link, start a new field or format its neighbours; no script becomes a link."""
        evil = {"service": "x\n*Severity:* LOW <!channel>", "instance": "<@U1>", "job": "`a`"}
        thread = thread_of(
            [alert(labels=evil, annotations={"runbook_url": "javascript:alert(1)", "summary": "<!here>"})]
        )
        message = root(thread)
        assert "*Service:* `x *Severity:* LOW &lt;!channel&gt;`" in shown(message)
        assert "*Runbook:* javascript:alert(1)  ·  " in json.dumps(message, ensure_ascii=False)
        assert message["text"] == "🚨 CRITICAL: &lt;!here&gt; (&lt;@U1&gt;) [production]"

    def test_silence_is_never_wider_than_the_thread(self) -> None:
        """It carries all that the thread's key was made from; where that has no room, there is none."""
        thread = thread_of([alert(labels={"path": "x" * 400})])
        assert "path%3D" not in json.dumps(root(thread))
        thread.identity = {"alertname": "DatabaseCriticalFailure", "path": "x" * 400}
        assert "silences/new" not in json.dumps(root(thread))

    @pytest.mark.parametrize("simple", range(4))
    def test_nothing_known(self, simple: int) -> None:
        """An alert without a label, and a thread without anything, still make a message."""
        for thread in (
            AlertThread(key="", channel=""),
            AlertThread(key="", channel="", forgotten=1),
            AlertThread(key="", channel="", alerts={"": AlertState(status=Status.FIRING, starts_at=1e300)}),
        ):
            message = render(thread, Step.POST_ROOT, Batch(), environment="", simple=simple)
            assert message["text"] in {"✅ RESOLVED — Alert", "📢 Alert", "RESOLVED - Alert", "Alert"}
            assert render(thread, Step.POST_REPLY, Batch(), environment="", simple=simple)["text"]


class TestReply:
    def test_resolved(self) -> None:
        """The reply that ends a problem has the root's body, the times, and green."""
        message = reply(thread_of([alert()], [alert(resolved=T0 + 905)]))
        lines = shown(message)
        assert lines[0] == "*✅ RESOLVED — Database Critical Failure*"
        assert lines[1:9] == shown(root(thread_of([alert()])))[1:9]
        assert "Started: 2024-01-15 14:30:25 UTC | Resolved: 2024-01-15 14:45:30 UTC | Duration: 15m 5s" in lines
        assert colour(message) == "#2EB67D"
        assert message["text"] == "✅ RESOLVED — Database Critical Failure (db01.example.com) [production]"

    def test_resolutions_own_words(self) -> None:
        """They say why it ended; the root keeps what the firing said."""
        ended = alert(
            resolved=T0 + 905, annotations={"description": "Failed over.", "grafana_state_reason": "MissingSeries"}
        )
        thread = thread_of([alert()], [ended])
        lines = shown(reply(thread))
        assert lines[lines.index("*Description:*") + 1] == "Failed over."
        assert "Resolved: the series is gone (MissingSeries)" in lines
        assert "MySQL connection completely failed." in shown(root(thread))

    def test_ends_in_their_own_words(self) -> None:
        """Of several alerts too, whether some end or all do: what the end of each says, and no more of it."""
        fired = [instance("a", summary="A is down"), instance("b", summary="B is down")]
        over = [
            alert(name, resolved=T0 + 9, labels={"instance": name}, annotations={"description": f"{name} at 3 %"})
            for name in ("a", "b")
        ]
        lines = shown(reply(thread_of(fired, over[:1])))
        assert [line for line in lines if line[0] == ">"] == [">a at 3 %"]
        lines = shown(reply(thread_of(fired, over)))
        assert [line for line in lines if line[0] == ">"] == [">a at 3 %", ">b at 3 %"]

    def test_why_one_of_several_ended(self) -> None:
        """Beside its name."""
        ended = alert(
            "b", resolved=T0 + 65, labels={"instance": "b"}, annotations={"grafana_state_reason": "RuleDeleted"}
        )
        message = reply(thread_of([instance("a"), instance("b")], [ended]))
        assert "✅ b (the rule was deleted (RuleDeleted))" in shown(message)

    def test_part_resolved(self) -> None:
        """Where others still fire, the headline says how many of all have resolved."""
        message = reply(thread_of([instance("a"), instance("b"), instance("c")], [instance("b", resolved=T0 + 65)]))
        assert shown(message) == [
            "*✅ RESOLVED (1 of 3) — Database Critical Failure*",
            "*Firing: 2 | Resolved: 1*",
            "✅ b",
            "Started: 2024-01-15 14:30:25 UTC | Resolved: 2024-01-15 14:31:30 UTC | Duration: 1m 5s",
        ]
        assert message["text"] == "✅ RESOLVED (1 of 3) — Database Critical Failure (b) [production]"
        assert colour(message) == "#2EB67D"

    def test_joined(self) -> None:
        """An alert that joins is told in the thread's colour, with its own description where the root has none."""
        late = alert("b", started=T0 + 60, labels={"instance": "b"}, annotations={"description": "Also *down*."})
        message = reply(thread_of([instance("a")], [late]))
        assert shown(message) == [
            "*🚨 FIRING — Database Critical Failure*",
            "*1 new, 2 of 2 firing*",
            "🔴 b",
            ">Also *down*.",
            "Started: 2024-01-15 14:31:25 UTC",
        ]
        assert colour(message) == "#E01E5A"

    def test_mixed(self) -> None:
        """What fired and what resolved at once is one message, the firing first."""
        message = reply(thread_of([instance("a")], [instance("a", resolved=T0 + 9), instance("b")]))
        assert shown(message)[:4] == [
            "*🚨 FIRING (1 fired, 1 resolved) — Database Critical Failure*",
            "*Firing: 1 | Resolved: 1*",
            "🔴 b",
            "✅ a (after 9s)",
        ]

    def test_again(self) -> None:
        """A thread that re-opens says so, and how often it did."""
        message = reply(thread_of([alert()], [alert(resolved=T0 + 9)], [alert(started=T0 + 100)]))
        assert shown(message) == [
            "*🔁 FIRING AGAIN — Database Critical Failure*",
            "🔴 db01.example.com",
            "Started: 2024-01-15 14:32:05 UTC",
            "Quiet for 1m 31s | Flapped once",
        ]
        assert message["text"].startswith("🔁 FIRING AGAIN — ")

    def test_repeated(self) -> None:
        """A repeat that is told lists what still fires, and since when."""
        thread = thread_of([instance("a"), instance("b")], [instance("b", resolved=T0 + 9)])
        thread.repeats = 1
        assert shown(reply(thread, Batch(repeated=True))) == [
            "*🔁 STILL FIRING — Database Critical Failure*",
            "*Firing: 1 | Resolved: 1*",
            "🔴 a",
            "Started: 2024-01-15 14:30:25 UTC",
            "Still firing, notified 2 times",
        ]

    @pytest.mark.parametrize(
        ("kind", "changes", "note"),
        [
            (EventKind.RESOLVED, 1, ""),
            (EventKind.RESOLVED, 2, " (fired and resolved)"),
            (EventKind.FIRED, 2, " (resolved and fired again)"),
            (EventKind.FIRED, 3, " (changed 3 times)"),
        ],
    )
    def test_folded(self, kind: EventKind, changes: int, note: str) -> None:
        """Changes that were folded into one event are not hidden."""
        thread = thread_of([instance("a"), instance("b")])
        batch = Batch(events={"a": Event(kind=kind, at=T0, changes=changes)})
        mark = "🔴" if kind is EventKind.FIRED else "✅"
        assert f"{mark} a{note}" in shown(reply(thread, batch))

    def test_many(self) -> None:
        """A reply gives twenty alerts a line each and names the others."""
        message = reply(thread_of([instance("x")], [instance(f"n{i}") for i in range(50)]))
        assert [line for line in shown(message) if line[0] == "🔴"][:20] == [f"🔴 n{i}" for i in range(20)]
        assert f"🔴 {', '.join(f'n{i}' for i in range(20, 50))}" in shown(message)
        assert message["text"].endswith("(50 alerts) [production]")


class TestMetadata:
    def test_names_the_attempt_and_what_was_told(self) -> None:
        """By its metadata a message is found again after a crash, and shows which changes it told."""
        thread = thread_of([instance("a")], [instance("a", resolved=T0 + 9), instance("b")])
        assert reply(thread, attempt_id="id1")["metadata"] == {
            "event_type": "alert_threader",
            "event_payload": {"attempt": "id1", "key": "k", "told_count": 2, "told": "resolved:a fired:b"},
        }

    def test_only_of_an_attempt(self) -> None:
        """An update is no attempt, and the plainest message carries nothing but its line."""
        thread = thread_of([alert()])
        assert "metadata" not in root(thread)
        assert "metadata" in root(thread, attempt_id="id1", simple=2)
        assert "metadata" not in root(thread, attempt_id="id1", simple=3)

    def test_stays_small(self) -> None:
        """However many alerts, and however long their fingerprints and the key, it keeps below 6,000 bytes."""
        thread = thread_of([instance(f"{i}" + "é" * 99) for i in range(300)])
        thread.key = "鍵" * 400
        payload = root(thread, attempt_id="id1")["metadata"]["event_payload"]
        assert len(json.dumps(payload)) <= 6000
        assert payload["told_count"] == 300
        assert payload["told"].startswith("fired:0")


class TestHash:
    """By what a root shows, not by a list of what it may show, it is decided whether an edit is needed."""

    def test_is_of_what_is_seen(self) -> None:
        """The same thread has the same hash, whichever attempt its message carries in its metadata."""
        thread = thread_of([alert()])
        hashes = {message_hash(root(thread, attempt_id=attempt)) for attempt in (None, "id1", "id2")}
        assert len(hashes) == 1
        (one,) = hashes
        assert re.fullmatch("[0-9a-f]{16}", one)

    @pytest.mark.parametrize(
        "seen",
        [
            {"severity": "warning"},
            {"title": "Another title"},
            {"truncated": 3},
            {"flaps": 1},
            {"stale": True},
            {"unconfirmed_since": T0},
            {"external_url": "http://other.test"},
        ],
        ids=lambda seen: next(iter(seen)),
    )
    def test_differs_with_the_thread(self, seen: dict[str, Any]) -> None:
        """Whatever a root shows of a thread is in its hash."""
        thread = thread_of([alert()])
        assert message_hash(root(msgspec.structs.replace(thread, **seen))) != message_hash(root(thread))

    @pytest.mark.parametrize("simple", range(3))
    def test_differs_with_an_annotation(self, simple: int) -> None:
        """A new description is a new hash, in every form that shows it."""
        before, after = (thread_of([alert(annotations={"description": text})]) for text in ("2 %", "99 %"))
        assert message_hash(root(before, simple=simple)) != message_hash(root(after, simple=simple))

    @pytest.mark.parametrize("part", ["text", "blocks", "attachments"])
    def test_covers_each_part(self, part: str) -> None:
        """None of the three is left out."""
        message = root(thread_of([alert()]))
        assert message_hash(message | {part: []}) != message_hash(message)

    def test_does_not_depend_on_order(self) -> None:
        """Two releases that write an object's keys in another order mean the same message."""
        message = root(thread_of([alert()]))
        turned = json.loads(json.dumps(message), object_pairs_hook=lambda pairs: dict(reversed(pairs)))
        assert message_hash(turned) == message_hash(message)


class TestSimpler:
    def test_without_attachment(self) -> None:
        """Refused once, the same content stands in top-level blocks, without links."""
        message = root(thread_of([alert()]), simple=1)
        assert message["attachments"] == []
        assert [block["type"] for block in message["blocks"]] == ["header", "section", "section", "context"]
        assert "Runbook" not in json.dumps(message)
        assert "*Instance:* db01.example.com" in shown(message)

    def test_text(self) -> None:
        """Refused twice, everything is in the text; empty lists take away what an edited message showed."""
        message = root(thread_of([instance("a"), instance("b")]), simple=2)
        assert (message["blocks"], message["attachments"]) == ([], [])
        assert message["text"].split("\n")[:4] == [
            "🚨 CRITICAL: Database Critical Failure (a, b) [production]",
            "*Firing: 2 | Resolved: 0*",
            "🔴 a",
            "🔴 b",
        ]

    def test_ascii(self) -> None:
        """At last it is one line that nothing can refuse."""
        message = reply(thread_of([alert()], [alert(resolved=T0 + 9)]), simple=3)
        assert message["text"] == "RESOLVED - Database Critical Failure (db01.example.com) [production]"
        assert message["text"].isascii()


def greedy(i: int, size: int) -> Alert:
    """An alert that takes all the room it can get, each sign of it five as it is sent."""
    texts = {name: f"{'&' * size}{i if name == 'summary' else ''}" for name in ("summary", "description")}
    addresses = {f"{name}_url": "https://x.test/" + "a" * 1400 for name in ("runbook", "dashboard")}
    names = ("service", "cluster", "job", "namespace", "pod", "node", "team", "alertname")
    labels = dict.fromkeys(names, "&" * 79)
    labels |= {f"l{n}": "&" * 99 for n in range(20)}
    return alert(f"{i}", labels=labels | {"instance": f"{'&' * 90}{i}"}, annotations=texts | addresses)


@pytest.mark.parametrize("count", [1, 2, 60])
@pytest.mark.parametrize("size", [150, 3000])
@pytest.mark.parametrize("simple", range(4))
def test_the_greediest_alerts_fit(count: int, size: int, simple: int) -> None:
    """Texts that take all the room there is make a message within every limit, and within 10,000 signs in all."""
    thread = thread_of([greedy(i, size) for i in range(count)], truncated=5, url="https://am.test/" + "a" * 80)
    over = thread_of([greedy(i, size) for i in range(count)], url="https://am.test/" + "a" * 80)
    for state in over.alerts.values():
        state.status = Status.RESOLVED
    for message in (root(thread, simple=simple), reply(thread, simple=simple), reply(over, simple=simple)):
        blocks = (*message["blocks"], *(b for a in message["attachments"] for b in a["blocks"]))
        content = Content(text=message["text"], blocks=blocks)
        check_message(content, MAX_UPDATE_TEXT)
        assert blocks_size(content) + len(message["text"]) <= MAX_MESSAGE
