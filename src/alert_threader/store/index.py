"""What is pending, when and where, in memory: the plans of all records, so that no question of delivery reads one."""

import threading
from collections.abc import Mapping

from alert_threader.store.base import Counts, Due
from alert_threader.threads import Action, Plan


class Index:
    """The plans of a store's records, by key. Safe to use from several threads."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._plans: dict[str, Plan] = {}
        self._lanes: dict[str, dict[str, Action]] = {}
        self._open = 0

    def put(self, plans: Mapping[str, Plan | None]) -> None:
        """Take in the plans of records that have changed; None for one that was dropped."""
        with self._guard:
            for key, plan in plans.items():
                former = self._plans.pop(key, None)
                if former is not None:
                    self._open -= former.is_open
                    for lane in former.actions:
                        del self._lanes[lane][key]
                if plan is not None:
                    self._plans[key] = plan
                    self._open += plan.is_open
                    for lane, action in plan.actions.items():
                        self._lanes.setdefault(lane, {})[key] = action

    def keys(self) -> list[str]:
        """The keys of all records."""
        with self._guard:
            return list(self._plans)

    def pending(self) -> dict[str, float]:
        """The lanes with something pending; see Store."""
        with self._guard:
            return {lane: min(a.at for a in actions.values()) for lane, actions in self._lanes.items() if actions}

    def due(self, lane: str, now: float) -> list[Due]:
        """The lane's due actions; see Store."""
        with self._guard:
            due = [Due(key, action) for key, action in self._lanes.get(lane, {}).items() if action.is_due(now)]
        return sorted(due, key=lambda item: item.action.rank)

    def aged(self, now: float) -> list[str]:
        """The keys of records that time alone changes; see Store."""
        with self._guard:
            return [key for key, plan in self._plans.items() if plan.ages_at is not None and plan.ages_at <= now]

    def counts(self) -> Counts:
        """How full the store is; see Store."""
        with self._guard:
            listed = [item for actions in self._lanes.values() for item in actions.items() if item[1].is_pending]
            since = [action.rank[-1] for _, action in listed]
            pending = len({key for key, _ in listed})
            return Counts(len(self._plans), pending, min(since, default=None), self._open)
