"""A person answers on the sandbox's page, in a real browser: through the real service, to a real Alertmanager."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

pytest.importorskip("tests.browser.test_page")  # it says what is missing

from playwright.sync_api import Browser, Page, expect

from harness.alertmanager import Alertmanager, notifying
from harness.servers import HOST
from harness.service import Service
from harness.webhooks import FIRED
from slack_sandbox import SandboxServer
from tests.browser.test_page import browser  # noqa: F401 - the fixture

_TOKEN, _SECRET = "webhook-token-never-to-be-seen", "signing-secret-never-to-be-seen"
_SOON = 20_000
#: Where pictures of the page go, if anybody wants to look at them.
_PICTURES = os.environ.get("PICTURES")


@pytest.fixture
def page(browser: Browser, tmp_path: Path) -> Iterator[Page]:  # noqa: F811
    """The page, with a thread that can be answered."""
    with ExitStack() as closing, SandboxServer(rate_limits=False) as slack:
        service = Service(
            tmp_path / "service", SLACK_API_URL=slack.api_url, WEBHOOK_TOKEN=_TOKEN, SLACK_SIGNING_SECRET=_SECRET
        )
        closing.callback(service.close)
        alertmanager = Alertmanager(tmp_path / "am", notifying(f"http://{HOST}:{service.port}", _TOKEN))
        closing.callback(alertmanager.stop)
        service.settings["ALERTMANAGER_URL"] = alertmanager.url
        service.start()
        slack.workspace.configure(
            interactivity_url=f"http://{HOST}:{service.port}/slack/interactive", signing_secret=_SECRET
        )
        alertmanager.push("DatabaseDown", {"db01": FIRED})
        opened = browser.new_page(viewport={"width": 1280, "height": 900})
        closing.callback(opened.close)
        opened.goto(slack.url)
        expect(opened.locator(".messages select[data-press=silence]")).to_be_visible(timeout=_SOON)
        yield opened


def picture(page: Page, name: str) -> None:
    """Keep what the page shows."""
    if _PICTURES:
        page.screenshot(path=f"{_PICTURES}/{name}.png")


def test_somebody_answers(page: Page) -> None:
    """Acknowledges, sees the owner, silences by the form, sees until when, and takes both back."""
    root = page.locator(".messages .message").first
    picture(page, "1-before")
    root.locator("button[data-press=acknowledge]").click()
    expect(root).to_contain_text("@Kim since", timeout=_SOON)
    expect(page.locator(".channel-pane .whispers")).to_contain_text("You have acknowledged it.", timeout=_SOON)
    expect(root.locator("h3")).to_contain_text("👀")
    picture(page, "2-acknowledged")
    root.locator("select[data-press=silence]").select_option(label="Custom…")
    form = page.locator("dialog.view")
    expect(form).to_contain_text("Matches one alert now", timeout=_SOON)
    form.locator("input[name=duration]").fill("forever")
    form.locator("button.primary").click()
    expect(form.locator(".fault").first).to_contain_text("Write a duration", timeout=_SOON)
    picture(page, "3-form")
    form.locator("input[name=duration]").fill("2h")
    form.locator("input[name=reason]").fill("disk swap")
    form.locator("button.primary").click()
    expect(form).to_be_hidden(timeout=_SOON)
    expect(root.locator("h3")).to_contain_text("🔕 SILENCED", timeout=_SOON)
    expect(root).to_contain_text("disk swap")
    picture(page, "4-silenced")
    root.locator("button[data-press=unsilence]").click()
    expect(root.locator("select[data-press=silence]")).to_be_visible(timeout=_SOON)
    root.locator("button[data-press=unacknowledge]").click()
    expect(root.locator("button[data-press=acknowledge]")).to_be_visible(timeout=_SOON)
    expect(root.locator("h3")).to_contain_text("🚨", timeout=_SOON)
    picture(page, "5-loud")


def test_a_guest(page: Page) -> None:
    """Somebody of another workspace is told, and nothing changes."""
    page.locator(".who").select_option("U0EVE")
    root = page.locator(".messages .message").first
    root.locator("button[data-press=acknowledge]").click()
    expect(page.locator(".channel-pane .whispers")).to_contain_text("Only people of this workspace", timeout=_SOON)
    expect(root.locator("h3")).to_contain_text("🚨")
