"""Where a message leads: runbook, dashboard, graph, Alertmanager's pages that show or silence its alerts."""

from collections.abc import Iterable

from alert_threader.formatter import facts
from alert_threader.formatter.mrkdwn import bold, escape, joined, link, truncate
from alert_threader.formatter.view import ThreadView
from alert_threader.threads import CUT, AlertState, one_line

#: A runbook that is not a web address is shown as text, cut to this many characters.
_MAX_RUNBOOK = 300
#: The links of a message together, in characters; the least needed ones are left out.
_MAX_LINKS = 1800
#: The link that stands beside what was cut, in characters.
_MAX_SOURCE = 900
#: Between two links on a line.
SEPARATOR = "  ·  "


def links_line(view: ThreadView) -> tuple[str, int]:
    """The links of a thread on one line, most needed first, and how many are cut or left out."""
    words = view.words
    parts = [
        _runbook(view),
        _dashboard(view),
        link(view.shared_links.get("panel", ""), words.panel),
        link(view.shared_links.get("graph", ""), words.graph),
        link(view.silence_url, words.silence) if view.firing else None,
    ]
    return _fitted(parts, _MAX_LINKS)


def own_links(view: ThreadView, alert: AlertState, room: int) -> tuple[str, int]:
    """The links of one alert that are not its thread's, on one line, and how many are cut or left out."""
    words, said, shared = view.words, view.said(alert), view.shared
    own = {name: url for name, url in alert.links.items() if url != view.shared_links.get(name)}
    needs_silence = facts.fires(alert) and not view.silence_url
    if not own and not needs_silence and (said.runbook, said.dashboard) == (shared.runbook, shared.dashboard):
        return "", 0
    parts = [
        None if said.runbook == shared.runbook else _address(said.runbook, words.runbook),
        None if said.dashboard == shared.dashboard else _address(said.dashboard, words.dashboard),
        link(own.get("dashboard", ""), words.dashboard) if not said.dashboard else None,
        link(own.get("panel", ""), words.panel),
        link(own.get("graph", ""), words.graph),
        link(own.get("silence", "") or view.silence_url_of(alert), words.silence) if needs_silence else None,
    ]
    return _fitted(parts, room)


def _fitted(parts: Iterable[str | None], room: int) -> tuple[str, int]:
    """As many links as fit on one line, and how many are cut or left out: one that is no address can be long."""
    # A link never ends in this sign: a part that does is a text that was cut.
    return joined([(part, part.removesuffix(CUT)) for part in parts if part], SEPARATOR, room)


def source_link(view: ThreadView) -> str:
    """Where to read what a message leaves out: the sender's name, as a link where its address is known."""
    name = "Grafana" if view.is_grafana else "Alertmanager"
    found = (link(url, name) for url in (view.alerts_url, view.thread.external_url))
    return next((said for said in found if said and len(said) <= _MAX_SOURCE), name)


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
