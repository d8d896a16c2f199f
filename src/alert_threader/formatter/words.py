"""Every fixed word of a message: the form of each language's table. Labels, annotations and severities stay as sent.

A sentence is one text with places for what it speaks of, never glued from parts: languages put counts, names and times
in orders of their own. ``LANGUAGE`` names the table; a further language is a further table.
"""

import msgspec


class Words(msgspec.Struct, frozen=True, kw_only=True):
    """One language. What stands in braces is put in by ``str.format``; ``_one`` is the form for exactly one."""

    # States, in front of a title.
    resolved: str
    resolved_some: str
    stale: str
    silenced: str
    inhibited: str
    muted: str
    firing: str
    firing_new: str
    firing_and_resolved: str
    firing_again: str
    still_firing: str
    also: str

    # Titles, names and counts.
    alert: str
    alerts: str
    counts: str
    counts_muted: str
    firing_count: str
    resolved_count: str
    counted: str
    more: str
    more_others: str
    more_texts: str
    more_texts_one: str
    more_of_both: str
    the_rest: str
    said_before: str

    # Names of fields, in bold.
    severity: str
    environment: str
    service: str
    cluster: str
    instance: str
    job: str
    namespace: str
    pod: str
    node: str
    team: str
    folder: str
    rule: str
    description: str
    values: str

    # Links.
    runbook: str
    view_runbook: str
    dashboard: str
    panel: str
    graph: str
    silence: str

    # What happened to an alert or a thread.
    after: str
    changed_times: str
    fired_again: str
    fired_and_resolved: str
    resolved_and_fired_again: str
    notified_times: str
    resolved_because: str
    firing_because: str
    gone_silenced: str
    gone_inhibited: str
    gone_muted: str
    gone_unannounced: str
    all_gone_silenced: str
    all_gone_inhibited: str
    all_gone_muted: str
    all_gone_unannounced: str
    late_words: str
    flapped_one: str
    flapped: str
    firing_for: str
    quiet_for: str
    left_out_one: str
    left_out: str
    marked_stale: str
    not_confirmed: str
    started: str
    resolved_at: str
    duration: str
    missing_series: str
    no_data: str
    error: str
    paused: str
    updated: str
    rule_deleted: str

    # A copy of a message that arrived late, and a first message that is out of date.
    duplicate: str
    not_editable: str

    # Buttons and menus.
    acknowledge: str
    unacknowledge: str
    unsilence: str
    extend: str
    custom: str

    # People's answers, on the first message.
    answer_acknowledged: str
    answer_silenced: str
    answer_silencing: str
    answer_unsilencing: str

    # What mutes it, on the first message and in notes.
    silenced_elsewhere: str
    silenced_until: str
    silenced_open: str
    inhibited_by: str
    inhibited_open: str
    muted_by_one: str
    muted_by: str
    muted_open: str
    some_firing: str

    # Notes: what people and Alertmanager did.
    note_acknowledged: str
    note_taken_over: str
    note_unacknowledged: str
    note_ended_worse: str
    note_ended_reopened: str
    note_ended_timeout: str
    note_kept: str
    note_silenced: str
    note_extended: str
    note_unsilenced: str
    note_silence_ended: str
    note_ended_with_problem: str
    note_expired_elsewhere: str
    note_not_silenced: str
    note_not_unsilenced: str
    note_some_silenced_one: str
    note_some_silenced: str
    note_some_silenced_until_one: str
    note_some_silenced_until: str
    note_loud_again: str

    # The form for a silence.
    form_cancel: str
    form_duration: str
    form_duration_hint: str
    form_reason: str
    form_reason_hint: str
    form_options: str
    form_each_alert: str
    form_with_problem: str
    form_counting: str
    form_not_counted: str
    form_matching_one: str
    form_matching: str
    form_matching_others: str
    form_bad_duration: str
    form_too_long: str
    form_no_reason: str

    # What a person who has pressed is answered, by the verdict.
    press_acknowledged: str
    press_unacknowledged: str
    press_silencing: str
    press_extending: str
    press_unsilencing: str
    press_duplicate: str
    press_unchanged: str
    press_out_of_date: str
    press_not_yet: str
    press_over: str
    press_busy: str
    press_not_held: str
    press_no_matchers: str
    press_too_many: str
    press_too_long: str
    press_not_allowed: str
    press_other_workspace: str
    press_no_form: str
    silenced_from_slack: str

    # A duration in its two largest units.
    days: str
    hours: str
    minutes: str
    seconds: str
