"""Takes presses from Slack, over HTTP or Socket Mode, from JSON to the answer.

Before it is answered, a press is stored and nothing else is done: Slack waits 3 s. The one exception is opening the
form of "Custom…", because Slack's trigger expires after 3 s. The rest, such as the line that only the person sees,
comes afterwards.
"""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import msgspec

from alert_threader.delivery.access import Access
from alert_threader.delivery.afterwards import Afterwards
from alert_threader.errors import AlertThreaderError, PayloadError
from alert_threader.formatter import (
    CUSTOM,
    DURATION,
    EACH_ALERT,
    OPTIONS,
    REASON,
    SILENCE_FORM,
    WITH_PROBLEM,
    FormFault,
    Matching,
    RefusedPress,
    Words,
    answer_to,
    chosen,
    form_faults,
    silence_form,
)
from alert_threader.intake import Intake
from alert_threader.settings.settings import parse_duration
from alert_threader.slack.failures import SlackError
from alert_threader.slack.interactions import Button, Form, Interaction, parse
from alert_threader.telemetry.metrics import PressMetrics
from alert_threader.threads import AlertThread, Operation, Press, Verdict, not_on_root, not_silenceable, of_target

log = logging.getLogger(__name__)

#: How a press ended, in the metrics.
VERDICTS = (*Verdict, *RefusedPress, "form", "invalid")
#: What can be pressed, in the metrics.
ACTIONS = (*Operation, CUSTOM)

_OPERATIONS = frozenset(map(str, Operation))
_FOR_A_TIME = frozenset(map(str, (Operation.SILENCE, Operation.EXTEND)))

Answer = dict[str, Any] | None


class Chat(Protocol):
    """What presses need of Slack. Every method raises SlackError."""

    def respond(self, url: str, text: str) -> None:
        """Answer with a line that only the presser sees, at the address that came with the press."""

    def whisper(self, channel: str, user: str, text: str) -> None:
        """Post a line that only one person sees."""

    def open_view(self, trigger: str, view: Mapping[str, Any]) -> str:
        """Open a form; return its id."""

    def update_view(self, view_id: str, view: Mapping[str, Any]) -> None:
        """Show something else in a form that is open."""


class About(msgspec.Struct, frozen=True):
    """What a form is about: it goes out with it, and comes back."""

    key: str
    channel: str
    ts: str


class Longest(NamedTuple):
    """How long a silence may be, in seconds and in words."""

    seconds: float
    text: str


class Presses:
    """Takes presses. Safe to use from several threads."""

    def __init__(  # noqa: PLR0913 - the parts, wired once
        self,
        intake: Intake,
        chat: Chat,
        access: Access,
        afterwards: Afterwards,
        metrics: PressMetrics,
        *,
        words: Words,
        longest: Longest,
        team: Callable[[], str],
        matching: Callable[[AlertThread], Matching],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take the parts.

        ``chat`` must give up on a call soon. ``team`` is the id of the app's workspace, empty while it is not known;
        ``matching`` counts what a silence of a thread would match, and raises AlertThreaderError.
        """
        self._intake = intake
        self._chat = chat
        self._access = access
        self._afterwards = afterwards
        self._metrics = metrics
        self._words = words
        self._longest = longest
        self._team = team
        self._matching = matching
        self._clock = clock

    def take(self, payload: object) -> Answer:
        """Take what Slack sent; return what to answer, None for nothing but that it arrived.

        Raises PayloadError for what cannot be read, and StoreError where it cannot be stored: then Slack must not be
        answered, so that it shows its own warning.
        """
        interaction = parse(payload)
        match interaction:
            case Button():
                self._button(interaction)
                return None
            case Form():
                return self._form(interaction)
            case None:
                return None

    # -- buttons -------------------------------------------------------------------------------------------------

    def _button(self, button: Button) -> None:
        action, option = button.action, chosen(button.option)
        if action not in _OPERATIONS:
            return  # of a version before or after this one
        is_custom = option == CUSTOM
        key = button.keys[0] if button.keys else ""
        if refused := self._refused(button):
            self._report(button, CUSTOM if is_custom else action, key, refused)
            self._reply(button, refused)
        elif is_custom:
            self._open_form(button, key)
        elif action not in _FOR_A_TIME or _seconds(option):
            pressed = Press(
                op=button.op,
                operation=Operation(action),
                user=button.person.user,
                name=button.person.name,
                channel=button.channel,
                ts=button.ts,
                at=self._clock(),
                seconds=_seconds(option) or 0,
            )
            verdict = self._intake.press(key, pressed)
            self._report(button, action, key, verdict)
            self._reply(button, verdict)

    def _refused(self, interaction: Interaction) -> RefusedPress | None:
        person = interaction.person
        # Until the app's workspace is known, it is taken to be the one in which the button was pressed.
        # That of an organisation's installation is the organisation's (E…), and says nothing of a person's workspace.
        team = self._team() or interaction.workspace
        team = "" if team.startswith("E") else team
        if person.team and team and person.team != team:
            return RefusedPress.OTHER_WORKSPACE
        return None if self._access.allows(person.user) else RefusedPress.NOT_ALLOWED

    def _reply(self, button: Button, verdict: Verdict | RefusedPress) -> None:
        if verdict is Verdict.DUPLICATE:
            return  # its presser was answered when it came first
        text = answer_to(verdict, self._words)
        if button.reply_to:
            self._afterwards.do("an answer to a press", lambda: self._chat.respond(button.reply_to, text))

    # -- the form ------------------------------------------------------------------------------------------------

    def _open_form(self, button: Button, key: str) -> None:
        thread = self._intake.read(key) if key else None
        refusal = Verdict.OUT_OF_DATE if thread is None else _no_form(thread, button)
        if thread is None or refusal is not None:
            refusal = refusal or Verdict.OUT_OF_DATE
            self._report(button, CUSTOM, key, refusal)
            self._reply(button, refusal)
            return
        about = msgspec.json.encode(About(key, button.channel, button.ts)).decode()

        def form(matching: Matching | str | None) -> dict[str, Any]:
            matchers = of_target(thread, "") or {}
            return silence_form(self._words, about, thread.title, matchers, self._longest.text, matching)

        try:
            view = self._chat.open_view(button.trigger, form(None))
        except SlackError as error:
            log.warning("a form could not be opened: %s", error)
            self._report(button, CUSTOM, key, RefusedPress.NO_FORM)
            self._reply(button, RefusedPress.NO_FORM)
            return
        self._report(button, CUSTOM, key, "form")
        self._afterwards.do("a form's count", lambda: self._chat.update_view(view, form(self._count(thread))))

    def _count(self, thread: AlertThread) -> Matching | str:
        try:
            return self._matching(thread)
        except AlertThreaderError as error:
            return str(error)

    def _form(self, form: Form) -> Answer:
        if form.form != SILENCE_FORM:
            return None
        try:
            about = msgspec.json.decode(form.about, type=About)
        except msgspec.MsgspecError as error:
            raise PayloadError("view.private_metadata: is not what the form was opened with") from error
        duration, reason, options = (form.values.get(name) or "" for name in (DURATION, REASON, OPTIONS))
        seconds = _seconds(str(duration).strip())
        faults = [FormFault.BAD_DURATION] if not seconds else []
        faults += [FormFault.TOO_LONG] if (seconds or 0) > self._longest.seconds else []
        faults += [FormFault.NO_REASON] if not str(reason).strip() else []
        if faults:
            return _errors(form_faults(faults, self._words, self._longest.text))
        verdict: Verdict | RefusedPress | None = self._refused(form)
        if verdict is None:
            pressed = Press(
                op=form.op,
                operation=Operation.SILENCE,
                user=form.person.user,
                name=form.person.name,
                channel=about.channel,
                ts=about.ts,
                at=self._clock(),
                seconds=seconds or 0,
                comment=" ".join(str(reason).split()),
                each_alert=EACH_ALERT in options,
                ends_with_problem=WITH_PROBLEM in options,
            )
            verdict = self._intake.press(about.key, pressed)
        self._report(form, Operation.SILENCE, about.key, verdict)
        text = answer_to(verdict, self._words)
        if isinstance(verdict, RefusedPress) or not (verdict.has_changed or verdict is Verdict.DUPLICATE):
            return _errors({DURATION: text})  # what was typed in stays there
        self._afterwards.do("an answer to a form", lambda: self._chat.whisper(about.channel, form.person.user, text))
        return None

    # -- reporting -----------------------------------------------------------------------------------------------

    def _report(self, interaction: Interaction, action: str, key: str, verdict: str) -> None:
        """Count it, and write one line for whoever wants to know later who did what."""
        self._metrics.pressed(action, verdict)
        person = interaction.person
        about = {"user": person.user, "team": person.team, "key": key, "op": interaction.op, "verdict": str(verdict)}
        log.info("press %s", action, extra=about)


def _no_form(thread: AlertThread, button: Button) -> Verdict | None:
    """Why a form would be of no use; None if it would."""
    over = None if thread.is_open else Verdict.OVER
    return not_on_root(thread, button.channel, button.ts) or over or not_silenceable(thread)


def _seconds(text: str) -> float | None:
    """The seconds of a duration as it is written; None where it is none."""
    try:
        return parse_duration(text)
    except ValueError:
        return None


def _errors(errors: dict[str, str]) -> Answer:
    return {"response_action": "errors", "errors": errors}
