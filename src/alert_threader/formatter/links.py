"""Where a message leads: runbook, dashboard, graph, Alertmanager's pages that show or silence its alerts."""

from alert_threader.formatter.matchers import CUT, encoded
from alert_threader.formatter.mrkdwn import bold, escape, joined, link, one_line, truncate
from alert_threader.formatter.view import ThreadView
from alert_threader.threads import AlertState

#: A runbook that is not a web address is shown as text, cut to this many characters.
_MAX_RUNBOOK = 300
#: The links of a message together, in characters; the least needed ones are left out.
_MAX_LINKS = 1800
#: The link that stands beside what was cut, in characters.
_MAX_SOURCE = 900
#: Between two links on a line.
SEPARATOR = "  ·  "


def links_line(view: ThreadView) -> str:
    """The links of a thread on one line, most needed first: runbook, dashboard, panel, graph, silence."""
    words = view.words
    line, _ = joined(
        [
            _runbook(view),
            _dashboard(view),
            link(view.shared_links.get("panel", ""), words.panel),
            link(view.shared_links.get("graph", ""), words.graph),
            link(silence_url(view), words.silence) if view.firing else None,
        ],
        SEPARATOR,
        _MAX_LINKS,
    )
    return line


def own_links(view: ThreadView, alert: AlertState, room: int) -> tuple[str, int]:
    """The links of one alert that are not its thread's, on one line of at most ``room``, and how many had no room."""
    words, said, shared = view.words, view.said(alert), view.shared
    own = {name: url for name, url in alert.links.items() if url != view.shared_links.get(name)}
    has_silence = not view.firing or alert.status != "firing" or silence_url(view)
    return joined(
        [
            None if said.runbook == shared.runbook else _address(said.runbook, words.runbook),
            None if said.dashboard == shared.dashboard else _address(said.dashboard, words.dashboard),
            link(own.get("dashboard", ""), words.dashboard) if not said.dashboard else None,
            link(own.get("panel", ""), words.panel),
            link(own.get("graph", ""), words.graph),
            None if has_silence else link(own.get("silence", "") or _silence_of(view, alert), words.silence),
        ],
        SEPARATOR,
        room,
    )


def source_link(view: ThreadView) -> str:
    """Where to read what a message leaves out: the sender's name, as a link where its address is known."""
    name = "Grafana" if view.is_grafana else "Alertmanager"
    found = (link(url, name) for url in (alerts_url(view), view.thread.external_url))
    return next((said for said in found if said and len(said) <= _MAX_SOURCE), name)


def alerts_url(view: ThreadView) -> str:
    """Alertmanager's page that lists the thread's alerts; empty where there is none."""
    return _page(view, "alerts", view.matchers)


def silence_url(view: ThreadView) -> str:
    """The page that silences the thread's alerts and no others; empty where there is none."""
    return view.shared_links.get("silence") or _page(view, "silences/new", view.matchers)


def _silence_of(view: ThreadView, alert: AlertState) -> str:
    """The same for one alert, whose labels are all known."""
    if alert.left_out or not alert.labels or any(value.endswith(CUT) for value in alert.labels.values()):
        return ""
    return _page(view, "silences/new", encoded(alert.labels))


def _page(view: ThreadView, name: str, matchers: str) -> str:
    if not view.thread.external_url or view.is_grafana or not matchers:
        return ""
    return f"{view.thread.external_url.rstrip('/')}/#/{name}?filter={matchers}"


def _runbook(view: ThreadView) -> str | None:
    runbook = view.shared.runbook
    if not runbook:
        return None
    said = link(runbook, view.words.view_runbook) or truncate(escape(one_line(runbook)), _MAX_RUNBOOK)
    return f"{bold(f'{view.words.runbook}:')} {said}"


def _dashboard(view: ThreadView) -> str | None:
    return _address(view.shared.dashboard, view.words.dashboard) or link(
        view.shared_links.get("dashboard", ""), view.words.dashboard
    )


def _address(given: str, name: str) -> str | None:
    """An annotation that should be an address, as a link; as text where it is none; None where there is nothing."""
    if not given:
        return None
    text = one_line(given)
    return link(given, name) or f"{bold(f'{name}:')} {truncate(escape(text), _MAX_RUNBOOK)}"
