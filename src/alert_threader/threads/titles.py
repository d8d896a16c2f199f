"""What a thread is titled: what all of its alerts say of themselves, or are, never one of them for all."""

from collections.abc import Collection

from alert_threader.alertmanager.webhook import Status
from alert_threader.threads.keys import LABEL_DEFAULTS, Change, spaced
from alert_threader.threads.record import AlertState, AlertThread

#: A longer title is cut, in characters; a header of Slack has half of it.
MAX_TITLE = 300
#: How many labels make a title where nothing better does.
_MAX_TITLE_LABELS = 3


def title_of(thread: AlertThread, change: Change) -> str:
    """The summary that all alerts of the thread share after a change, else what they are; empty where nothing says."""
    detailed = thread.detailed.values()
    plain = _plain_title(thread, change, detailed)
    titles = {_summary(state.annotations) for state in detailed}
    titles |= {_summary(alert.annotations) for alert in change.alerts if alert.status is Status.FIRING}
    if len(detailed) < len(thread.alerts):
        titles.add(_summary(thread.common.annotations) if thread.common else "")
    return (titles.pop() if len(titles) == 1 else "") or plain


def _plain_title(thread: AlertThread, change: Change, detailed: Collection[AlertState]) -> str:
    """The alertname that all alerts of the thread share, else the labels that it is made from."""
    names = {alert.labels.get("alertname", "") for alert in change.alerts}
    names |= {state.labels.get("alertname", "") for state in detailed if state.labels}
    if thread.common:
        names.add(thread.common.labels.get("alertname", ""))
    if len(names) == 1 and (name := names.pop()):
        return spaced(name)
    identity = thread.identity or change.identity
    said = [f"{name}={value}" for name, value in identity.items() if value and name not in LABEL_DEFAULTS]
    said = said or [f"{name}={value}" for name, value in identity.items() if value]
    return ", ".join(said[:_MAX_TITLE_LABELS])[:MAX_TITLE]


def _summary(annotations: dict[str, str]) -> str:
    """The summary, else the title, in whatever case its name is written."""
    said = annotations.get("summary", "").strip()
    if not said:
        by_name = {name.lower(): text for name, text in annotations.items() if text.strip()}
        said = by_name.get("summary") or by_name.get("title") or ""
    return said[:MAX_TITLE]
