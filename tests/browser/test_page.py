"""The sandbox's page in a real browser: what a person sees of a thread, and that it follows what happens."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from slack_sdk import WebClient

from slack_sandbox import SandboxServer

CHROMIUM = Path("/usr/bin/chromium")
#: A browser for tests: no sandbox (CI runs as root), no GPU, and it stays off the network on its own account.
SWITCHES = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
CHANNEL = "C0ALERTS"
RED, GREEN = "#E01E5A", "#2EB67D"

try:
    from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright
except ImportError:
    MISSING = "playwright is not installed"
else:
    MISSING = "" if CHROMIUM.exists() else f"{CHROMIUM} is not installed"

if MISSING and os.environ.get("CI"):
    pytest.fail(MISSING, pytrace=False)
if MISSING:
    pytest.skip(MISSING, allow_module_level=True)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        yield chromium
        chromium.close()


@pytest.fixture
def slack() -> Iterator[SandboxServer]:
    """A Slack to speak to."""
    with SandboxServer(rate_limits=False) as server:
        yield server


@pytest.fixture
def client(slack: SandboxServer) -> WebClient:
    """The SDK's client of it."""
    return WebClient("xoxb-sandbox", base_url=slack.api_url, retry_handlers=[])


@pytest.fixture
def page(browser: Browser, slack: SandboxServer) -> Iterator[Page]:
    """Open the page; at the end it must have no error and must have asked nobody but the sandbox."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-GB", timezone_id="Asia/Seoul")
    context.set_default_timeout(10_000)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda line: errors.append(line.text) if line.type in {"error", "warning"} else None)
    page.on("request", lambda r: None if r.url.startswith((slack.url, "data:")) else errors.append(r.url))
    page.goto(slack.url)
    expect(page.locator(".status")).to_have_attribute("data-state", "live")
    yield page
    context.close()
    assert errors == []


def alert(title: str, color: str, started: str = "Started: 2024-01-15 14:30:25 UTC") -> dict[str, Any]:
    """The parts of a message as the service sends them."""
    fields = {"Severity": "CRITICAL", "Environment": "production", "Instance": "db01.example.com"}
    blocks: list[dict[str, Any]] = [
        {
            "type": "section",
            "fields": [{"type": "mrkdwn", "text": f"*{name}:* {value}"} for name, value in fields.items()],
        },
        {
            "type": "section",
            "text": {"type": "mrkdwn", "text": "<https://runbooks.example.com/a?b=1&amp;c=2|Runbook>"},
        },
        {"type": "context", "elements": [{"type": "mrkdwn", "text": started}]},
    ]
    return {
        "channel": CHANNEL,
        "text": f"[production] {title}",
        "blocks": [{"type": "header", "text": {"type": "plain_text", "text": title, "emoji": True}}],
        "attachments": [{"color": color, "fallback": title, "blocks": blocks}],
    }


def post(client: WebClient, text: str = "x", channel: str = CHANNEL, **more: Any) -> str:
    """Post a message; its ts."""
    return str(client.chat_postMessage(channel=channel, text=text, **more)["ts"])


def box_of(locator: Locator) -> dict[str, float]:
    """Where an element is on the page."""
    box = locator.bounding_box()
    assert box is not None
    return dict(box)  # type: ignore[arg-type]


def post_thread(client: WebClient) -> str:
    """Post a root with replies; the root's ts."""
    root = str(client.chat_postMessage(**alert("🚨 Database Critical Failure", RED))["ts"])
    post(client, "db02 fires too", thread_ts=root)
    post(client, "db02 is well again", thread_ts=root)
    return root


def test_an_empty_sandbox_says_how_to_fill_it(page: Page, slack: SandboxServer) -> None:
    """The first thing a person sees is the address to send to."""
    expect(page.locator(".empty")).to_contain_text(f"SLACK_API_URL={slack.api_url}")
    expect(page.locator(".empty")).to_contain_text("curl")


def test_page_once(page: Page, client: WebClient, slack: SandboxServer) -> None:
    """With ``?once`` it shows what there is and asks for nothing more, so that a screenshot need not wait."""
    post(client, "before")
    page.goto(f"{slack.url}?once#{CHANNEL}")
    page.wait_for_load_state("networkidle")  # a long poll would keep it from coming to rest
    expect(page.locator(".messages")).to_contain_text("before")
    expect(page.locator(".status")).to_contain_text("As of")


def test_a_thread_shows_header_colour_fields_and_replies(page: Page, client: WebClient) -> None:
    """An alert reads at a glance: what, how bad, where, and how much happened since."""
    root = post_thread(client)
    row = page.locator(f".messages [data-ts='{root}'][data-role=root]")
    expect(row.locator("h3.header")).to_have_text("🚨 Database Critical Failure")
    expect(row).to_have_attribute("data-color", RED)
    expect(row.locator(".field")).to_have_count(3)
    expect(row.locator(".field").first).to_have_text("Severity: CRITICAL")
    expect(row.locator(".field strong").first).to_have_text("Severity:")
    link = row.get_by_role("link", name="Runbook")
    expect(link).to_have_attribute("href", "https://runbooks.example.com/a?b=1&c=2")
    expect(row.locator(".reply-count")).to_have_text(re.compile(r"2 replies · last reply \d\d:\d\d"))
    expect(row).not_to_contain_text("[production]")
    expect(page.locator(".thread-pane [data-role=reply]")).to_have_count(2)  # after this nothing moves
    bar = row.locator(".attachment").evaluate("e => getComputedStyle(e, '::before').backgroundColor")
    assert bar == "rgb(224, 30, 90)"
    left, right = (box_of(row.locator(".field").nth(n)) for n in (0, 1))
    assert left["y"] == right["y"]
    assert left["x"] < right["x"]


def test_a_thread_opens_beside_its_channel(page: Page, client: WebClient) -> None:
    """A click on a message shows its thread on the right while the channel stays; Escape closes it."""
    root, other = post_thread(client), post(client, "another message")
    page.locator(f".messages [data-ts='{other}']").click()
    pane = page.locator(".thread-pane")
    expect(pane).to_contain_text("No replies yet")
    page.locator(f".messages [data-ts='{root}'] .reply-count").click()
    expect(pane.locator("h3.header")).to_have_text("🚨 Database Critical Failure")
    expect(pane.locator("[data-role=reply] .text")).to_have_text(["db02 fires too", "db02 is well again"])
    expect(pane.locator(".thread-divider")).to_have_text("2 replies")
    channel, thread = box_of(page.locator(".channel-pane")), box_of(pane)
    assert thread["x"] >= channel["x"] + channel["width"]
    page.keyboard.press("Escape")
    expect(pane).to_be_hidden()


def test_signs_and_colours_are_explained(page: Page) -> None:
    """A person who sees the first alert of their life finds what its sign and its colour say."""
    legend = page.locator(".legend")
    colours = {
        "critical, error": "rgb(224, 30, 90)",
        "warning": "rgb(236, 178, 46)",
        "all is over": "rgb(46, 182, 125)",
    }
    for words, colour in colours.items():
        sign = legend.locator("dt", has=page.locator(f"xpath=following-sibling::dd[1][.='{words}']"))
        expect(sign).to_have_css("border-left-color", colour)
    expect(legend).to_contain_text("💤 STALE")


def test_notifications_of_the_selected_message(page: Page, client: WebClient) -> None:
    """What a phone and a desktop say before Slack is opened: of the first message, or of the one that was clicked."""
    client.chat_postMessage(**alert("🚨 Database Critical Failure", RED))
    root = str(client.chat_postMessage(**alert("🚨 Disk full", RED))["ts"])
    post(client, "db02 is <https://x.test|well> again", thread_ts=root)
    phone, desktop = page.locator(".phone"), page.locator(".desktop")
    expect(phone).to_contain_text("[production] 🚨 Disk full")
    expect(desktop).to_contain_text(f"New message in #{CHANNEL}")
    page.locator(".thread-replies .message").click()
    for each in (phone, desktop):
        expect(each).to_contain_text("db02 is well again")
        expect(each).to_contain_text(f"Thread in #{CHANNEL}")
    expect(page.locator(".thread-pane .selected")).to_have_attribute("data-role", "reply")


def test_the_first_thread_opens_by_itself(page: Page, client: WebClient) -> None:
    """Someone who only watches sees the replies as they come."""
    root = post_thread(client)
    expect(page.locator(f".thread-pane [data-ts='{root}']")).to_be_visible()
    post(client, "and another", thread_ts=root)
    expect(page.locator(".thread-pane [data-role=reply]")).to_have_count(3)


def test_the_page_follows_an_alert_until_it_resolves(page: Page, client: WebClient) -> None:
    """Without a reload the root turns green, says that it was edited, and the reply appears."""
    root = post_thread(client)
    places = page.locator(f"[data-ts='{root}']")
    expect(places).to_have_count(2)
    page.evaluate("window.sameDocument = true")
    client.chat_update(ts=root, **alert("🚨 Database Critical Failure", GREEN, "Resolved: 2024-01-15 14:45:30 UTC"))
    post(client, "✅ resolved", thread_ts=root)
    for place in places.all():
        expect(place).to_have_attribute("data-color", GREEN)
        expect(place.locator(".attachment")).to_have_attribute("data-color", GREEN)
        expect(place.locator(".edited")).to_have_text("(edited)")
        expect(place).to_contain_text("Resolved: 2024-01-15 14:45:30 UTC")
    expect(page.locator(".messages .reply-count")).to_contain_text("3 replies")
    expect(page.locator(".thread-pane [data-role=reply]").last).to_contain_text("✅ resolved")
    assert page.evaluate("window.sameDocument")


def test_a_message_is_deleted_on_the_page(page: Page, client: WebClient, slack: SandboxServer) -> None:
    """The button that appears on a message deletes it, after a question, in the sandbox itself."""
    keep, gone = post(client, "keep"), post(client, "gone")
    row = page.locator(f".messages [data-ts='{gone}']")
    row.hover()
    row.get_by_role("button", name="Delete message").click()
    page.get_by_role("button", name="Cancel").click()
    expect(row).to_be_visible()
    row.hover()
    row.get_by_role("button", name="Delete message").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(row).to_have_count(0)
    assert [m.ts for m in slack.workspace.messages(CHANNEL)] == [keep]


def test_a_deleted_root_leaves_a_tombstone(page: Page, client: WebClient) -> None:
    """The thread of a deleted message stays readable, and a late reply stands in the channel."""
    root = post_thread(client)
    client.chat_delete(channel=CHANNEL, ts=root)
    late = post(client, "late", thread_ts=root)
    expect(page.locator(f".messages [data-ts='{root}']")).to_contain_text("This message was deleted.")
    expect(page.locator(f".messages [data-ts='{late}'][data-role=root]")).to_be_visible()
    expect(page.locator(".thread-pane [data-role=reply]")).to_have_count(2)


def test_text_is_shown_as_slack_shows_it(page: Page, client: WebClient) -> None:
    """Bold, italic, struck, code, quotes, emoji, dates and mentions, and nothing inside code."""
    text = (
        "*bold* _italic_ ~struck~ `a*b*c &lt;x&gt;` :rotating_light: 2*3*4 snake_case_name\n"
        "> quoted *words*\n"
        "```\ntwo\n  lines\n```<@U012AB3CD> <!here> <!date^1705329025^{date_num} {time}|then>"
    )
    row = page.locator(f".messages [data-ts='{post(client, text)}']")
    expect(row.locator("strong")).to_have_text(["bold", "words"])
    expect(row.locator("em")).to_have_text(["italic"])
    expect(row.locator("s")).to_have_text(["struck"])
    expect(row.locator("code")).to_have_text(["a*b*c <x>"])
    expect(row.locator("blockquote")).to_have_text("quoted words")
    assert row.locator("pre").text_content() == "two\n  lines\n"
    expect(row.locator(".mention")).to_have_text(["@U012AB3CD", "@here"])
    expect(row.locator("time").last).to_have_attribute("title", "then")
    expect(row).to_contain_text("🚨 2*3*4 snake_case_name")


def test_text_never_becomes_markup(page: Page, client: WebClient) -> None:
    """Whatever an alert's labels hold, the page shows it as text and runs none of it."""
    hostile = "<img src=x onerror='document.title=1'> <script>document.title=1</script> <javascript:alert(1)|run>"
    color = "red;background:url(https://example.com)"
    message = alert(hostile[:140], color)
    message["attachments"].append(
        {"color": color, "title": hostile, "title_link": "javascript:alert(1)", "text": hostile}
    )
    root = str(client.chat_postMessage(**message)["ts"])
    row = page.locator(f".messages [data-ts='{root}']")
    expect(row.locator("h3.header")).to_have_text(hostile[:140])
    expect(row).to_contain_text("onerror='document.title=1'")
    expect(row).to_contain_text("run (javascript:alert(1))")
    expect(row.locator("img, script, [style*=url], a[href^=javascript]")).to_have_count(0)
    expect(page).to_have_title(f"{CHANNEL} · Slack sandbox")


def test_a_message_that_cannot_be_shown_does_not_stop_the_page(page: Page, client: WebClient) -> None:
    """An attachment in a shape that Slack may know and the page does not is passed over."""
    post(client, "odd", attachments=[{"text": "x", "fields": [{"title": "t", "value": {"deep": 1}}]}])
    after = post(client, "after")
    expect(page.locator(f".messages [data-ts='{after}']")).to_be_visible()
    expect(page.locator(".messages")).to_contain_text("odd")


def test_times_are_local_and_name_utc(page: Page, client: WebClient) -> None:
    """A person reads their own clock and can compare with a log."""
    time = page.locator(f".messages [data-ts='{post(client)}'] time")
    expect(time).to_have_text(re.compile(r"^\d\d:\d\d$"))
    expect(time).to_have_attribute("title", re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$"))
    utc = str(time.get_attribute("title"))
    hour = (int(utc[11:13]) + 9) % 24  # the browser is in Seoul
    assert (time.text_content() or "").startswith(f"{hour:02d}:")


def test_channels_are_listed_with_their_standing(page: Page, client: WebClient, slack: SandboxServer) -> None:
    """Every channel is one click away, and one that does not accept messages says so."""
    post(client, "here")
    there = post(client, "there", channel="C0DATABASE1")
    slack.workspace.set_channel("C0OLD", "archived")
    expect(page.locator(".channels .name")).to_have_text([CHANNEL, "C0DATABASE1", "C0OLD"])
    expect(page.locator(".channels .standing")).to_have_text("archived")
    page.get_by_role("link", name="C0DATABASE1").click()
    expect(page.locator(".messages .message")).to_have_count(1)
    expect(page.locator(f".messages [data-ts='{there}']")).to_contain_text("there")
    expect(page.locator(".channel-name")).to_have_text("# C0DATABASE1")


def test_the_keyboard_is_enough(page: Page, client: WebClient) -> None:
    """Arrow keys move between messages, Enter opens a thread, Escape goes back to the message."""
    root = post_thread(client)
    last = post(client, "last")
    expect(page.locator(f".messages [data-ts='{last}']")).to_be_visible()
    expect(page.locator(".thread-pane [data-role=reply]")).to_have_count(2)
    page.keyboard.press("Escape")
    expect(page.locator(".thread-pane")).to_be_hidden()
    page.locator(f".messages [data-ts='{last}']").focus()
    page.keyboard.press("ArrowUp")
    row = page.locator(f".messages [data-ts='{root}']")
    expect(row).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".thread-pane [data-role=reply]")).to_have_count(2)
    page.keyboard.press("Escape")
    expect(row).to_be_focused()


def test_it_is_dark_where_the_person_wants_it_dark(page: Page, client: WebClient) -> None:
    """Dark mode has a dark page and light text, light mode the reverse."""
    post(client)
    lightness = (
        "() => ['backgroundColor', 'color'].map(name => getComputedStyle(document.body)[name])"
        ".map(color => color.match(/\\d+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0))"
    )
    page.emulate_media(color_scheme="dark")
    ground, text = page.evaluate(lightness)
    assert ground < 150
    assert text > 500
    page.emulate_media(color_scheme="light")
    ground, text = page.evaluate(lightness)
    assert text < 150
    assert ground > 500


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_it_fits_its_window(page: Page, client: WebClient, width: int) -> None:
    """On a phone, a tablet and a desk nothing is wider than the window."""
    page.set_viewport_size({"width": width, "height": 700})
    root = post_thread(client)
    post(client, "long" * 200, thread_ts=root)
    page.locator(f".messages [data-ts='{root}'] .reply-count").click()
    expect(page.locator(".thread-pane")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert box_of(page.locator(".thread-pane"))["width"] >= 340


def test_a_reset_clears_the_page(page: Page, client: WebClient, slack: SandboxServer) -> None:
    """When the sandbox forgets everything, so does the page, and goes on from there."""
    post_thread(client)
    expect(page.locator(".thread-pane")).to_be_visible()
    slack.workspace.reset()
    expect(page.locator(".empty")).to_be_visible()
    expect(page.locator(".thread-pane")).to_be_hidden()
    fresh = post(client, "fresh")
    expect(page.locator(".messages .message")).to_have_count(1)
    expect(page.locator(f".messages [data-ts='{fresh}']")).to_be_visible()


def test_a_storm_stays_readable(page: Page, client: WebClient, slack: SandboxServer) -> None:
    """Of very many messages the newest are shown, and a button brings the earlier ones."""
    for n in range(250):
        post(client, str(n))
    expect(page.locator(".messages .message")).to_have_count(200)
    expect(page.locator(".messages .message").last).to_contain_text("249")
    page.locator(".earlier").click()
    expect(page.locator(".messages .message")).to_have_count(250)
    expect(page.locator(".messages .message .text").first).to_have_text("0")
    assert len(slack.workspace.messages(CHANNEL)) == 250


def test_a_permalink_opens_its_thread(page: Page, client: WebClient) -> None:
    """The link that Slack would give leads to the message here."""
    root = post_thread(client)
    post(client, "newer")
    page.goto(str(client.chat_getPermalink(channel=CHANNEL, message_ts=root)["permalink"]))
    expect(page.locator(f".thread-pane [data-ts='{root}']")).to_be_visible()
