"""Where a message leads: runbook, dashboard, graph, Alertmanager's pages that show or silence its alerts."""

import json
import re
from urllib.parse import quote

from alert_threader.formatter import facts
from alert_threader.formatter.mrkdwn import bold, escape, link, one_line, truncate
from alert_threader.threads import AlertThread

#: A longer value is matched by its beginning: it may have been cut when it was kept, and an address has its
#: limits.
_MATCHED = 100
#: The matchers of an address together, percent-encoded. Past it there is no link, since to leave a matcher
#: out would silence more than the thread.
_MAX_MATCHERS = 800
#: A runbook that is not a web address is shown as text, cut to this many characters.
_MAX_RUNBOOK = 300
#: The links of a message together, in characters; the least needed ones are left out.
_MAX_LINKS = 1800
#: The link that stands beside what was cut, in characters.
_MAX_SOURCE = 900
_LABEL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_quoted = json.JSONEncoder(ensure_ascii=False).encode


def links_line(thread: AlertThread) -> str:
    """The links of a thread on one line, most needed first: runbook, dashboard, panel, graph, silence."""
    candidates = [
        _runbook(thread),
        _dashboard(thread),
        link(facts.shared_link(thread, "panel"), "Panel"),
        link(facts.shared_link(thread, "graph"), "Graph"),
        link(silence_url(thread), "Silence") if thread.firing else None,
    ]
    line = ""
    for candidate in filter(None, candidates):
        longer = f"{line}  ·  {candidate}" if line else candidate
        line = longer if len(longer) <= _MAX_LINKS else line
    return line


def source_link(thread: AlertThread) -> str:
    """Where to read what a message leaves out: the sender's name, as a link where its address is known."""
    name = "Grafana" if facts.is_grafana(thread) else "Alertmanager"
    found = (link(url, name) for url in (alerts_url(thread), thread.external_url))
    return next((said for said in found if said and len(said) <= _MAX_SOURCE), name)


def alerts_url(thread: AlertThread) -> str:
    """Alertmanager's page that lists the thread's alerts; empty where there is none."""
    return _page(thread, "alerts")


def silence_url(thread: AlertThread) -> str:
    """The page that silences the thread's alerts and no others; empty where there is none."""
    return facts.shared_link(thread, "silence") or _page(thread, "silences/new")


def _page(thread: AlertThread, name: str) -> str:
    matchers = _matchers(thread)
    if not thread.external_url or facts.is_grafana(thread) or not matchers:
        return ""
    return f"{thread.external_url.rstrip('/')}/#/{name}?filter={matchers}"


def _runbook(thread: AlertThread) -> str:
    runbook = facts.shared_annotation(thread, "runbook_url", "runbook")
    if not runbook.strip():
        return ""
    said = link(runbook, "View Runbook") or truncate(escape(one_line(runbook)), _MAX_RUNBOOK)
    return f"{bold('Runbook:')} {said}"


def _dashboard(thread: AlertThread) -> str | None:
    given = facts.shared_annotation(thread, "dashboard_url", "dashboard")
    found = link(given, "Dashboard") or link(facts.shared_link(thread, "dashboard"), "Dashboard")
    return found or (
        f"{bold('Dashboard:')} {truncate(escape(one_line(given)), _MAX_RUNBOOK)}" if one_line(given) else None
    )


def _matchers(thread: AlertThread) -> str:
    """The labels that all alerts share, as ``{a="1", b="2"}`` percent-encoded for Alertmanager's pages."""
    matchers = [_matcher(name, value) for name, value in sorted(facts.shared_labels(thread).items())]
    encoded = quote("{" + ", ".join(matchers) + "}", safe="", errors="replace")
    return encoded if matchers and len(encoded) <= _MAX_MATCHERS else ""


def _matcher(name: str, value: str) -> str:
    name = name if _LABEL_NAME.fullmatch(name) else _quoted(name)
    if len(value) <= _MATCHED:
        return f"{name}={_quoted(value)}"
    return f"{name}=~{_quoted(re.escape(value[:_MATCHED]) + '.*')}"
