"""The parts of Alertmanager's API v2 that are used: alerts, silences and status.

https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml, from version 0.25 on.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from alert_threader.alertmanager.model import (
    AlertmanagerError,
    AlertmanagerFailure,
    HeldAlert,
    KnownSilence,
    Login,
    Matcher,
    MemberState,
    latest,
)
from alert_threader.alertmanager.states import EVERY_ALERT, MemberStates
from alert_threader.alertmanager.transport import Member, Transport
from alert_threader.alertmanager.wire import (
    Alert,
    Created,
    Silence,
    decoded,
    held,
    known,
    moment,
)

T = TypeVar("T")


class Alertmanager:
    """One cluster of Alertmanagers. Safe to use from several threads; every method raises AlertmanagerError."""

    def __init__(self, members: Sequence[str], login: Login, *, timeout: float = 5.0) -> None:
        """Take the members' URLs, the login, and the timeout for one member, in seconds."""
        self.members = tuple(members)
        self._transport = Transport(login)
        self._timeout = timeout
        #: The members that did not answer the latest request.
        self._silent: set[str] = set()
        self._states = MemberStates(self.members, self._transport)

    @property
    def name(self) -> str:
        """What the cluster is called: the first member's address, without its scheme."""
        return Member(self.members[0]).host

    def alerts(self, matchers: Collection[Matcher] = ()) -> list[HeldAlert]:
        """The alerts that any member has, muted ones included; with matchers, only those that match."""
        parameters = [*EVERY_ALERT, *(("filter", matcher.text) for matcher in matchers)]
        found: dict[str, HeldAlert] = {}
        for alerts in self._of_all(lambda member: self._get(Member(member), "alerts", list[Alert], parameters)):
            found |= {each.fingerprint: held(each) for each in alerts}
        return list(found.values())

    def look(self) -> list[MemberState | AlertmanagerError]:
        """Ask each member for all that it holds: its state, or why it did not say. Never raises."""
        return self._states.look()

    def silences(self) -> dict[str, KnownSilence]:
        """All silences by id, expired ones included, each in its latest version."""
        answers = self._of_all(lambda member: self._get(Member(member), "silences", list[Silence]))
        return latest(map(known, silences) for silences in answers)

    def silence(self, silence_id: str) -> KnownSilence | None:
        """A silence by its id; None if no member that answers has it."""

        def read(member: str) -> KnownSilence | None:
            try:
                return known(self._get(Member(member), f"silence/{quote(silence_id, safe='')}", Silence))
            except AlertmanagerError as error:
                if error.kind is not AlertmanagerFailure.GONE:
                    raise
                return None

        found = [each for each in self._of_all(read) if each is not None]
        return max(found, key=lambda each: each.updated_at, default=None)

    def tagged(self, tag: str) -> KnownSilence | None:
        """The silence that holds and has ``[alert-threader <tag>]`` in its comment; None if there is none."""
        marked = f"[alert-threader {tag}]"
        return next((each for each in self.silences().values() if each.holds and marked in each.comment), None)

    def create(self, matchers: Collection[Matcher], ends_at: float, created_by: str, comment: str) -> str:
        """Make a silence from now on; return its id. ``ends_at`` is in seconds since the epoch."""
        return self._send(
            {
                "matchers": list(matchers),
                # A start in the past means now.
                "startsAt": "1970-01-01T00:00:00Z",
                "endsAt": moment(ends_at),
                "createdBy": created_by,
                "comment": comment,
            }
        )

    def extend(self, silence: KnownSilence, ends_at: float, comment: str) -> str:
        """Move a silence's end; return its new id. Raises GONE if it has ended meanwhile.

        With a different start, or the matchers in another order, Alertmanager would create a new silence.
        """
        return self._send(
            {
                "id": silence.id,
                "matchers": list(silence.matchers),
                "startsAt": silence.starts_at,
                "endsAt": moment(ends_at),
                "createdBy": silence.created_by,
                "comment": comment,
            }
        )

    def expire(self, silence_id: str) -> None:
        """Expire a silence. If there is none with this id, it has ended already."""

        def delete(member: str) -> None:
            try:
                self._transport.ask(
                    Member(member), "DELETE", f"silence/{quote(silence_id, safe='')}", timeout=self._timeout
                )
            except AlertmanagerError as error:
                # 0.25 answers 500 for an unknown one, and newer ones for one that has ended.
                is_over = "silence not found" in str(error) or "already expired" in str(error)
                if error.kind is not AlertmanagerFailure.GONE and not is_over:
                    raise

        self._of_one(delete)

    # -- members -------------------------------------------------------------------------------------------------

    def _of_all(self, ask: Callable[[str], T]) -> list[T]:
        """The answers of all members that give one; if none does, raises the last one's error."""
        answers: list[T] = []
        failed: AlertmanagerError | None = None
        for member in self.members:
            try:
                answers.append(self._heard(member, ask))
            except AlertmanagerError as error:
                failed = error
        if failed is not None and not answers:
            raise failed
        return answers

    def _of_one(self, ask: Callable[[str], T]) -> T:
        """The answer of the first member that can give one. The next is asked only if the request surely had no effect.

        A member that did not answer last time comes last: it may still carry out what it was sent then.
        """
        failed = AlertmanagerError(AlertmanagerFailure.UNREACHABLE, "there is no Alertmanager to ask")
        for member in sorted(self.members, key=self._silent.__contains__):
            try:
                return self._heard(member, ask)
            except AlertmanagerError as error:
                if error.kind is not AlertmanagerFailure.UNREACHABLE or error.outcome_unknown:
                    raise
                failed = error
        raise failed

    def _heard(self, member: str, ask: Callable[[str], T]) -> T:
        """Ask a member, and remember whether it answered."""
        try:
            answer = ask(member)
        except AlertmanagerError as error:
            (self._silent.add if error.kind is AlertmanagerFailure.UNREACHABLE else self._silent.discard)(member)
            raise
        self._silent.discard(member)
        return answer

    def _send(self, silence: Mapping[str, Any]) -> str:
        body = msgspec.json.encode(silence)

        def post(url: str) -> str:
            member = Member(url)
            answer = self._transport.ask(member, "POST", "silences", body=body, timeout=self._timeout)
            return decoded(member, answer.body, Created).silence_id

        return self._of_one(post)

    def _get(
        self,
        member: Member,
        path: str,
        kind: type[T],
        parameters: Sequence[tuple[str, str]] = (),
        timeout: float | None = None,
    ) -> T:
        answer = self._transport.ask(member, "GET", path, parameters, timeout=timeout or self._timeout)
        return decoded(member, answer.body, kind)
