"""What people read in a thread from its first webhook to its last: the whole way, from JSON to the message."""

import html
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import unquote

import msgspec
import pytest

from alert_threader.alertmanager.webhook import parse
from alert_threader.cli.preview import story
from alert_threader.formatter import LANGUAGES, render
from alert_threader.formatter.mrkdwn import MAX_MESSAGE, MAX_SECTION
from alert_threader.threads import Batch, Identity, Policy, Step, ThreadBy, apply, changes

NOW = 1_800_000_000.0
#: The end of a text that is too long for its place.
LONG = "Look at the graph, then at the log. " * 30

Json = dict[str, Any]


def alert(name: str, *, resolved: bool = False, texts: dict[str, str] | None = None, **labels: str) -> Json:
    """One alert as it is sent; its name is its instance unless labels say otherwise."""
    return {
        "status": "resolved" if resolved else "firing",
        "fingerprint": name,
        "labels": {"alertname": "DiskFull", "severity": "critical", "instance": name, **labels},
        "annotations": texts or {},
        "startsAt": "2027-01-15T08:00:00Z",
        "endsAt": "2027-01-15T08:20:00Z" if resolved else "0001-01-01T00:00:00Z",
    }


def without(label: str, sent: Json) -> Json:
    """The same alert without a label."""
    return {**sent, "labels": {name: value for name, value in sent["labels"].items() if name != label}}


def with_labels(sent: Json, labels: dict[str, str]) -> Json:
    """The same alert with more labels."""
    return {**sent, "labels": {**sent["labels"], **labels}}


class Message:
    """One message, as people read it."""

    def __init__(self, made: Json) -> None:
        """Take it as ``story`` makes it."""
        message = made["message"]
        blocks = [*message["blocks"], *(block for each in message["attachments"] for block in each["blocks"])]
        self.step = made["step"]
        self.text = str(message["text"])
        self.colour = str(message["attachments"][0]["color"])
        self.sections = list(_texts(blocks))
        self.said = unquote("\n".join(_texts(blocks)))
        self.lines = self.said.split("\n")
        self.silences = [
            dict(re.findall(r'(\w+)="([^"]*)"', each))
            for each in re.findall(r"silences/new\?filter=([^|]*)\|", self.said)
        ]

    def has(self, *texts: str) -> bool:
        """Whether all of the texts stand in it."""
        return all(text in self.said for text in texts)


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for each in node:
            yield from _texts(each)
    elif "fields" in node or "elements" in node:
        yield from _texts(node.get("fields") or node["elements"])
    else:
        text = node["text"]
        yield text if isinstance(text, str) else text["text"]


def messages_of(*webhooks: Sequence[Json], by: ThreadBy = ThreadBy.LABELS, **fields: Any) -> list[Message]:
    """The messages of webhooks that come ten minutes apart, each delivered in full before the next."""
    top = {"externalURL": "http://am.test", "groupLabels": {"alertname": "DiskFull"}, "groupKey": "k", "receiver": "r"}
    bodies = [json.dumps({**top, **fields, "alerts": list(each)}).encode() for each in webhooks]
    identity = Identity(environment="production", channel="C0ALERTS1", by=by)
    hooks = [(NOW + 600 * place, body) for place, body in enumerate(bodies)]
    return [Message(each) for each in story(hooks, identity, Policy(), LANGUAGES["en"])]


class TestSeverity:
    """Of alerts that are not equally bad: the thread is as bad as the worst that fires, a reply as what it tells."""

    def test_worst_that_fires(self) -> None:
        """Once the critical one is over the warning is no siren; a thread that is over shows none at all."""
        bad, mild = alert("db1"), alert("db2", severity="warning")
        over = alert("db1", resolved=True)
        root, _, partly, *_ = messages_of([bad, mild], [over], by=ThreadBy.GROUP)
        assert root.text.startswith("🚨 CRITICAL: ")
        assert partly.text.startswith("⚠️ WARNING: ")
        assert (root.colour, partly.colour) == ("#E01E5A", "#ECB22E")

    def test_reply_is_as_bad_as_its_news(self) -> None:
        """A warning that joins a critical thread wakes nobody; the thread stays critical."""
        _, reply, root = messages_of([alert("db1")], [alert("db2", severity="warning")], by=ThreadBy.GROUP)
        assert reply.text.startswith("⚠️ FIRING")
        assert reply.colour == "#ECB22E"
        assert root.text.startswith("🚨 CRITICAL: ")

    def test_field_is_of_all_or_of_none(self) -> None:
        """An alert without a severity does not stand under another's."""
        (root,) = messages_of([alert("db1"), without("severity", alert("db2"))], by=ThreadBy.GROUP)
        assert not root.has("*Severity:*")
        assert root.lines[root.lines.index("🔴 db1") + 1] == ">severity=critical"

    def test_one_that_is_bad_among_many(self) -> None:
        """However many alerts come at once, and when it is over."""
        many = [alert(f"h{n}", severity="critical" if n == 75 else "warning") for n in range(100)]
        root, *_ = messages_of(many, by=ThreadBy.GROUP)
        *_, partly = messages_of(many, [alert("h75", resolved=True)], by=ThreadBy.GROUP)
        assert root.text.startswith("🚨 CRITICAL: ")
        assert partly.text.startswith("⚠️ WARNING: ")

    def test_nobody_knows_how_bad_is_worse_than_harmless(self) -> None:
        """An alert without a severity is not green because another is."""
        (root,) = messages_of([without("severity", alert("db1")), alert("db2", severity="info")], by=ThreadBy.GROUP)
        assert root.text.startswith("📢 ")


class TestPastFifty:
    """Of so many alerts the labels and texts are not kept of each: what is said of all must be true of all."""

    def many(self, numbers: range, **labels: Any) -> list[Json]:
        """Alerts that share a text and a runbook."""
        texts = {"description": "A host is down.", "runbook_url": "https://wiki.test/host"}
        return [alert(f"h{number}", texts=texts, **labels) for number in numbers]

    def test_what_one_has_not_is_not_said_of_all(self) -> None:
        """Not its team, its text, its runbook or its matcher."""
        odd = alert("odd", texts={"description": "A switch is down.", "runbook_url": "https://wiki.test/switch"})
        *_, root = messages_of(self.many(range(60), team="hosts"), self.many(range(60, 65), team="hosts"), [odd])
        assert root.lines[0].endswith("Disk Full (66)")
        assert not root.has("*Team:*")
        assert not root.has("*Description:*")
        assert all("team" not in matchers for matchers in root.silences)

    def test_what_all_share_is(self) -> None:
        """However many there are."""
        *_, root = messages_of(self.many(range(60), team="hosts"), self.many(range(60, 100), team="hosts"))
        assert root.has("*Team:* hosts", "*Description:*\nA host is down.", "|View Runbook>")
        assert root.silences[0]["team"] == "hosts"

    def test_first_ones_keep_theirs(self) -> None:
        """The root lists them."""
        first = [alert(f"first{n}", texts={"description": f"First of all: {n}."}) for n in range(3)]
        *_, root = messages_of(first, self.many(range(80)))
        assert root.has(*(f"🔴 first{n}\n>First of all: {n}." for n in range(3)))

    def test_of_several_environments_is_of_none(self) -> None:
        """The setting is for alerts that name none."""
        many = [with_labels(alert(f"h{n}"), {"env": f"env{n % 2}"} if n >= 70 else {}) for n in range(100)]
        (root,) = messages_of(many, by=ThreadBy.GROUP)
        assert "production" not in root.said + root.text

    def test_newcomers_say_their_own(self) -> None:
        """The reply has what they say, though their details are not kept for long."""
        texts = {"description": "A switch is down.", "runbook_url": "https://wiki.test/switch"}
        *_, reply, _ = messages_of(self.many(range(100)), [alert("odd", texts=texts)])
        assert reply.has("🔴 odd\n>A switch is down.\n", "<https://wiki.test/switch|Runbook>")

    def test_what_is_not_shown_is_counted(self) -> None:
        """A text, a runbook and a label of each alert that has no line; not its name, which is there."""
        sent = [
            alert(f"h{number}", texts={"description": f"Down: {number}.", "runbook_url": f"https://wiki.test/{number}"})
            for number in range(100)
        ]
        sent = [{**each, "labels": {**each["labels"], "rack": f"r{place}"}} for place, each in enumerate(sent)]
        (root,) = messages_of(sent)
        assert root.has(f"+{90 * 3} more texts and labels in ")


class TestSilence:
    """A link to silence holds for every alert that it stands beside, and for no other."""

    def test_missing_label_of_the_key_must_be_missing(self) -> None:
        """With it, the alert would be in another thread."""
        (root,) = messages_of([alert("db1", cluster="eu")])
        assert root.silences == [
            {
                "alertname": "DiskFull",
                "severity": "critical",
                "instance": "db1",
                "cluster": "eu",
                **dict.fromkeys(("service", "environment", "env", "grafana_folder"), ""),
            }
        ]

    def test_other_thread_of_grafana_is_not_silenced(self) -> None:
        """A rule of that name in a folder is a thread of its own, and so is each rule without data."""
        (root,) = messages_of([alert("db1", alertname="DatasourceError")])
        assert (root.silences[0]["grafana_folder"], root.silences[0]["rulename"]) == ("", "")

    def test_environment_that_does_not_count_may_be_anything(self) -> None:
        """``environment`` wins over ``env``."""
        (root,) = messages_of([alert("db1", environment="eu"), alert("db2", environment="eu", env="x")])
        assert root.silences[0]["environment"] == "eu"
        assert "env" not in root.silences[0]

    def test_one_alert_but_not_its_namesakes(self) -> None:
        """Where there is no link for all, an alert's own does not match one that has all its labels and more."""
        plain, more = alert("db1", alertname="A"), alert("db1", alertname="A", device="sda")
        other = alert("db2", alertname="B")
        sent = [plain, {**more, "fingerprint": "more"}, other]
        (root,) = messages_of(sent, by=ThreadBy.GROUP, groupLabels={})
        assert [each.get("device") for each in root.silences] == ["", "sda", None]


class TestResolution:
    """What the end of an alert says is told, whatever it changes."""

    def test_of_one(self) -> None:
        """Its summary and other texts are new; the root keeps those of the firing."""
        firing = alert(
            "db1", texts={"summary": "/var is 99 % full", "description": "Clean up.", "impact": "No backups."}
        )
        over = alert(
            "db1", resolved=True, texts={"summary": "/var is 80 % full", "description": "Clean up.", "impact": "None."}
        )
        _, reply, root = messages_of([firing], [over])
        assert reply.has("/var is 80 % full", "*Impact:* None.")
        assert root.has("✅ RESOLVED — /var is 99 % full", "*Impact:* No backups.")

    def test_of_several(self) -> None:
        """Each with its own, in place of what it said when it fired; what is cut is counted."""
        firing = [alert(f"db{n}", texts={"summary": f"9{n} % full", "impact": "No backups."}) for n in range(3)]
        over = [alert(f"db{n}", resolved=True, texts={"summary": f"1{n} % full", "impact": LONG}) for n in range(2)]
        reply = messages_of(firing, over)[1]
        assert reply.has("✅ db0 — 10 % full (after 20m)", "✅ db1 — 11 % full (after 20m)", "*Impact:* Look at")
        assert reply.has("+2 more texts and labels in ")
        assert "90 % full" not in reply.said

    def test_reason_that_all_share_is_said_once(self) -> None:
        """Of several rules that were paused together."""
        firing = [alert(f"db{n}", grafana_folder="Ops") for n in range(3)]
        paused = {"grafana_state_reason": "Paused"}
        over = [alert(f"db{n}", resolved=True, texts=paused, grafana_folder="Ops") for n in range(3)]
        _, partly, _, last, root = messages_of(firing, over[:2], over[2:])
        for message in (partly, last, root):
            assert message.said.count("the rule was paused (Paused)") == 1

    def test_reason_is_of_the_state_that_is_shown(self) -> None:
        """Why it fired is not why it ended, even if the word is the same."""
        firing = [alert("db1", texts={"grafana_state_reason": "NoData"}, grafana_folder="Ops")]
        reasons: tuple[dict[str, str], ...] = (
            {},
            {"grafana_state_reason": "MissingSeries"},
            {"grafana_state_reason": "NoData"},
        )
        said = []
        for reason in reasons:
            root, reply, _ = messages_of(firing, [alert("db1", resolved=True, texts=reason, grafana_folder="Ops")])
            assert root.has("Firing: there is no data (NoData)")
            said.append([line for line in reply.lines if "(" in line])
        assert said == [[], ["Resolved: the series is gone (MissingSeries)"], ["Resolved: there is no data (NoData)"]]

    def test_what_is_not_kept_is_counted(self) -> None:
        """Of very many texts."""
        over = alert("db1", resolved=True, texts={f"text_{n}": f"value {n}" for n in range(30)})
        _, reply, _ = messages_of([alert("db1")], [over])
        shown = sum(f"value {n}" in reply.said for n in range(30))
        assert reply.has(f"+{30 - shown} more in ")

    def test_reason_of_one_stands_beside_it(self) -> None:
        """Where the others ended otherwise."""
        firing = [alert(f"db{n}", grafana_folder="Ops") for n in range(2)]
        over = [alert("db0", resolved=True, texts={"grafana_state_reason": "Paused"}, grafana_folder="Ops")]
        over += [alert("db1", resolved=True, grafana_folder="Ops")]
        *_, root = messages_of(firing, over)
        assert root.has("✅ db0 (the rule was paused (Paused))", "✅ db1\n")


class TestOthersJoin:
    """Nothing that was shown disappears because another alert joins."""

    def test_root_has_room_for_a_few(self) -> None:
        """Two say in it what each said alone."""
        texts = {
            "summary": "Full",
            "description": LONG,
            "impact": "Orders are late. " * 15,
            "runbook_url": "https://w.test/1",
        }
        alone, reply, root = messages_of([alert("db1", texts=texts)], [alert("db2", texts={"description": "Also."})])
        for part in (LONG[:1000], texts["impact"].strip(), "https://w.test/1"):
            assert alone.has(part)
            assert root.has(part)
        assert not reply.has("Said before")

    def test_reply_repeats_what_it_has_no_room_for(self) -> None:
        """And only that."""
        first = alert("db1", texts={"summary": "Full", "description": LONG, "impact": "Orders are late."})
        others = [alert(f"db{n}", texts={"description": f"{n} {LONG}"}) for n in range(2, 8)]
        alone, reply, root = messages_of([first], others)
        assert alone.has(LONG[:1000])
        assert not root.has(LONG[:1000])
        _, _, repeated = reply.said.partition("*Said before, no longer in the first message:*")
        assert repeated.startswith("\n🔴 db1\n>Look at the graph")
        assert LONG[:1000] in repeated
        assert "Summary" not in repeated

    def test_later_replies_do_not_repeat_it_again(self) -> None:
        """It was told."""
        many = [alert(f"db{n}", texts={"description": f"{n} {LONG}"}) for n in range(7)]
        replies = [each for each in messages_of(many[:1], many[1:], [alert("db8")]) if each.step == "reply"]
        assert [each.has("Said before") for each in replies] == [True, False]

    def test_short_labels_and_links_are_repeated_too(self) -> None:
        """A value of one letter stands in any text: it is looked for with its label."""
        many = [
            {
                **alert(f"db{n}", texts={"description": f"{n} {LONG}"}, zone=zone),
                "generatorURL": f"http://p.test/{n}{'x' * 430}",
            }
            for n, zone in enumerate("abcdefghijkl")
        ]
        alone, reply, root = messages_of(many[:1], many[1:])
        for part in ("zone=a", "http://p.test/0x"):
            assert alone.has(part)
            assert root.has(part) or reply.has(part)

    def test_reply_that_repeats_much_fits(self) -> None:
        """In Slack's limits."""
        many = [
            with_labels(
                alert(
                    f"db{n}",
                    texts={"description": f"{n} {LONG}", **{f"note_{k}": f"{n} {'t' * 380}" for k in range(10)}},
                ),
                {f"label_{k}": f"v{n}{'l' * 70}" for k in range(10)},
            )
            for n in range(25)
        ]
        for message in messages_of(many[:1], many[1:]):
            assert max(map(len, message.sections)) <= MAX_SECTION
            assert sum(map(len, message.sections)) <= MAX_MESSAGE

    def test_all_are_in_the_line_of_a_phone(self) -> None:
        """Also the one that nothing but its alertname names."""
        named, nameless = alert("db1"), without("instance", alert("db2", alertname="Watchdog"))
        (root,) = messages_of([named, nameless], by=ThreadBy.GROUP, groupLabels={"severity": "critical"})
        assert "(db1, Watchdog)" in root.text
        assert root.has("🔴 db1", "🔴 Watchdog")
        assert "alertname=Watchdog" not in root.said

    def test_long_names_differ_in_the_line_of_a_phone(self) -> None:
        """What tells them apart is not what is cut."""
        paths = [f"https://shop.test/{'a' * 40}/{n}/{'b' * 90}" for n in (17, 18)]
        (root,) = messages_of([alert(path) for path in paths])
        assert re.search(r"/17/b.*/18/b", root.text)


class TestCounts:
    """What is cut or has no room is counted, and every alert is named."""

    @pytest.mark.parametrize("name", ["a&b-{}", "*.a{}.io", "host-{:03}.example.internal:9100"])
    @pytest.mark.parametrize("texts", [{}, {"summary": "S&" * 300, "description": "d<" * 590, "other": "o " * 140}])
    def test_all_are_named(self, name: str, texts: dict[str, str]) -> None:
        """Whatever their names are made of, and however much the thread has to say."""
        names = [name.format(n) for n in range(160)]
        said = "\n".join(message.said for message in messages_of([alert(each, texts=texts) for each in names]))
        said = html.unescape(said)
        assert [each for each in names if not re.search(rf"{re.escape(each)}(?!\d)", said)] == []

    def test_label_that_only_looks_like_the_name_is_shown(self) -> None:
        """Two labels with one value: the name is that of one."""
        sent = [alert("api-1", customer="api-1"), alert("api-2", customer="acme")]
        (root,) = messages_of(sent)
        assert root.has("🔴 api-1\n>customer=api-1\n", "🔴 api-2\n>customer=acme")

    @pytest.mark.parametrize(
        ("texts", "labels"),
        [
            ({"summary": "A" + LONG, "description": "B" + LONG}, {}),
            ({"impact": "C" + LONG}, {}),
            ({"runbook": "D" + LONG}, {}),
            ({}, {"query": "E" + LONG}),
            ({}, {"team": "F" + LONG[:200]}),
        ],
    )
    def test_cut_text_says_where_the_rest_is(self, texts: dict[str, str], labels: dict[str, Any]) -> None:
        """Alone and among others, where more of it may be shown."""
        first = alert("db1", texts=texts, **labels)
        alone, *others = messages_of([first])[0], messages_of([first, alert("db2")])[0]
        assert not _shows_all(alone, texts, labels)
        for root in (alone, *others):
            assert _shows_all(root, texts, labels) or re.search(
                r"\+\d+ more .*in <http|The rest is in <http", root.said
            )


def _shows_all(message: Message, texts: dict[str, str], labels: dict[str, str]) -> bool:
    visible = re.sub(r"<http[^|>]*\|", "<", message.said)
    return all(text.strip() in visible for text in (*texts.values(), *labels.values()))


def test_text_that_is_given_twice_is_said_once() -> None:
    """Under different names."""
    sent = [
        alert(name, texts=dict.fromkeys(("summary", "description", "message"), f"{name} is full"))
        for name in ("db1", "db2")
    ]
    (root,) = messages_of(sent)
    assert root.said.count("is full") == 2


def test_blank_summary_is_none() -> None:
    """The title is the next best."""
    assert messages_of([alert("db1", texts={"summary": " \n"})])[0].has("🚨 Disk Full")
    assert messages_of([alert("db1", texts={"summary": " ", "title": "Slow"})])[0].has("🚨 Slow")


def test_number_in_a_summary_is_not_a_name() -> None:
    """The line says which all the same."""
    sent = [without("instance", alert(n, texts={"summary": f"{n} replicas in sync"}, partition=n)) for n in ("1", "2")]
    (root,) = messages_of(sent)
    assert root.has("🔴 partition=1 — 1 replicas in sync", "🔴 partition=2 — 2 replicas in sync")


def test_fence_that_is_cut_is_closed() -> None:
    """What comes after it is no code."""
    (root,) = messages_of([alert("db1", texts={"log": "```\n" + "a line of the log\n" * 60 + "```"})])
    assert root.said.count("```") == 2


@pytest.mark.parametrize(
    ("name", "summary", "said"),
    [
        ("10.0.0.1:9100", "Instance {} down", "Instance *{}* down"),
        ("api-0", "Pod shop/{} is crash looping", "Pod shop/{} is crash looping"),
        ("db-1", "{}: disk is full", "{}: disk is full"),
        ("api-0", "{}에서 OOM 발생", "{}에서 OOM 발생"),
        ("db-1", "db-1.example.com is down", "db-1 — db-1.example.com is down"),
    ],
)
def test_name_is_said_once_however_a_summary_holds_it(name: str, summary: str, said: str) -> None:
    """With a colon, a namespace or a Korean particle; but a longer name is another."""
    (root,) = messages_of([alert(name, texts={"summary": summary.format(name)}), alert("x", texts={"summary": "y"})])
    assert f"🔴 {said.format(name)}\n" in root.said


def test_values_of_the_end_are_in_its_reply() -> None:
    """Grafana sends those of now; the root keeps those of the firing."""

    def sent(value: float, *, resolved: bool = False) -> Json:
        return {**alert("db1", resolved=resolved, grafana_folder="Ops"), "values": {"A": value}}

    _, reply, root = messages_of([sent(97.3)], [sent(12.5, resolved=True)])
    assert reply.has("*Values:* A=12.5")
    assert root.has("*Values:* A=97.3")
    other = alert("db2", grafana_folder="Ops") | {"values": {"A": 1}}
    assert messages_of([sent(97.3), other], [sent(12.5, resolved=True)])[1].has("✅ db1 (A=12.5)")


def test_end_of_one_that_fired_and_resolved_is_said_once() -> None:
    """The description has it."""
    over = alert("db1", resolved=True, texts={"summary": "x", "description": "Now it is fine."})
    again = alert("db1", texts={"summary": "x"})
    thread = None
    for alerts in ([again], [over], [again], [over]):
        hook = parse(json.dumps({"alerts": alerts}).encode())
        (change,) = changes(hook, Identity(environment="production", channel="C0ALERTS1"))
        thread = apply(thread, change, NOW, Policy()).thread
        if thread.ts is None:
            thread = msgspec.structs.replace(thread, ts="1.0", pending=Batch())
    assert thread is not None
    message = render(thread, Step.POST_REPLY, thread.pending, environment="production")
    assert json.dumps(message["attachments"][0]["blocks"]).count("Now it is fine.") == 1


def test_thread_that_opens_again_for_another_alert_does_not_say_again() -> None:
    """Of several, those that fired before are marked."""
    over = alert("db1", resolved=True)
    *_, reply, _ = messages_of([alert("db1")], [over], [alert("db2")])
    assert reply.text.startswith("🚨 FIRING — ")
    *_, reply, _ = messages_of([alert("db1")], [over], [alert("db1"), alert("db2")])
    assert reply.text.startswith("🔁 FIRING AGAIN — ")
    assert reply.has("🔴 db1 (fired again)", "🔴 db2\n")
    *_, reply, _ = messages_of([alert("db1")], [over], [alert("db1")])
    assert not reply.has("(fired again)")


def test_last_one_that_fires_says_what_it_says() -> None:
    """Of many alerts, though its details were not kept all the time."""
    texts = [{"description": f"{n} % full"} for n in range(60)]
    many = [alert(f"h{n}", texts=texts[n]) for n in range(60)]
    over = [alert(f"h{n}", resolved=True, texts=texts[n]) for n in range(59)]
    *_, root = messages_of(many, [*over[:40], *many[40:]], [*over, many[59]])
    assert root.has("🔴 h59\n>59 % full")


def test_what_is_cut_is_counted_once() -> None:
    """Whether it has room or not."""
    (root,) = messages_of([with_labels(alert("db1"), {f"label_{n}": "x" * 200 for n in range(10)})])
    assert root.has("+10 more texts and labels in ")


def test_long_summary_of_all_is_said_once() -> None:
    """Longer than a title can be."""
    summary = "The replica lags behind its primary. " * 12
    (root,) = messages_of([alert(name, texts={"summary": summary}) for name in ("db1", "db2")])
    assert root.has("🔴 db1\n🔴 db2\n")


def test_names_that_look_the_same_are_told_apart() -> None:
    """What cannot be shown makes no difference."""
    (root,) = messages_of([alert("a", instance="h\x1b[31m1"), alert("b", instance="h1")])
    names = [line for line in root.lines if line.startswith("🔴")]
    assert len(set(names)) == 2


def test_alert_that_fires_again_is_not_new() -> None:
    """While others of its thread fire on, its reply says which it is."""
    both = [alert("db1"), alert("db2")]
    *_, reply, _ = messages_of(both, [alert("db1", resolved=True)], [alert("db1"), alert("db3")])
    assert reply.has("*Firing: 3 | Resolved: 0*", "🔴 db1 (fired again)", "🔴 db3\n")
    assert messages_of(both, [alert("db3")])[1].has("*1 new, 3 of 3 firing*")


def test_field_is_of_what_failed_not_of_its_exporter() -> None:
    """A scrape that keeps its own labels names the exporter's pod; what it speaks of has the fields."""
    (root,) = messages_of(
        [
            alert(
                "10.0.0.1:8080",
                job="kube-state-metrics",
                pod="kube-state-metrics-5c9",
                namespace="monitoring",
                exported_pod="shop-0",
                exported_namespace="shop",
            )
        ]
    )
    assert root.has("*Pod:* shop-0", "*Namespace:* shop", "pod=kube-state-metrics-5c9", "namespace=monitoring")
    assert "*Instance:*" not in root.said
    assert "(shop-0)" in root.text


def test_name_is_said_once_where_a_summary_says_its_value() -> None:
    """``queue=orders`` is the queue orders."""
    texts = {name: {"summary": f"Queue {name} is full"} for name in ("orders", "mails")}
    sent = [without("instance", alert(name, texts=texts[name], queue=name)) for name in texts]
    (root,) = messages_of(sent)
    assert root.has("🔴 Queue *orders* is full", "🔴 Queue *mails* is full")
