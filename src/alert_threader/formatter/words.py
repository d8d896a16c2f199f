"""Every fixed word of a message, in one table for each language. Labels, annotations and severities stay as sent.

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
    flapped_one: str
    flapped: str
    firing_for: str
    quiet_for: str
    left_out_one: str
    left_out: str
    marked_stale: str
    silenced_until: str
    silenced_open: str
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

    # A duration in its two largest units.
    days: str
    hours: str
    minutes: str
    seconds: str


ENGLISH = Words(
    resolved="RESOLVED",
    resolved_some="RESOLVED ({resolved} of {total})",
    stale="STALE",
    silenced="SILENCED",
    firing="FIRING",
    firing_new="{new} new, {firing} of {total} firing",
    firing_and_resolved="FIRING ({fired} fired, {resolved} resolved)",
    firing_again="FIRING AGAIN",
    still_firing="STILL FIRING",
    also="ALSO IN THIS THREAD",
    alert="Alert",
    alerts="{count} alerts",
    counts="Firing: {firing} | Resolved: {resolved}",
    firing_count="{count} firing",
    resolved_count="{count} resolved",
    counted="{title} ({count})",
    more="+{count} more in {source}",
    more_others="+{count} more in {source}",
    more_texts="+{count} more texts and labels in {source}",
    more_texts_one="+1 more text or label in {source}",
    more_of_both="+{count} more, and {texts} more texts and labels, in {source}",
    the_rest="The rest is in {source}.",
    said_before="Said before, no longer in the first message:",
    severity="Severity",
    environment="Environment",
    service="Service",
    cluster="Cluster",
    instance="Instance",
    job="Job",
    namespace="Namespace",
    pod="Pod",
    node="Node",
    team="Team",
    folder="Folder",
    rule="Rule",
    description="Description",
    values="Values",
    runbook="Runbook",
    view_runbook="View Runbook",
    dashboard="Dashboard",
    panel="Panel",
    graph="Graph",
    silence="Silence",
    after="after {time}",
    changed_times="changed {count} times",
    fired_again="fired again",
    fired_and_resolved="fired and resolved",
    resolved_and_fired_again="resolved and fired again",
    notified_times="Still firing, notified {count} times",
    resolved_because="Resolved: {reason}",
    firing_because="Firing: {reason}",
    flapped_one="Flapped once",
    flapped="Flapped {count} times",
    firing_for="{flapped}, firing for {firing} of {whole}",
    quiet_for="Quiet for {time}",
    left_out_one="1 more alert was left out by Alertmanager (max_alerts)",
    left_out="{count} more alerts were left out by Alertmanager (max_alerts)",
    silenced_until="Silenced in Alertmanager until {time}",
    silenced_open="Silenced in Alertmanager",
    marked_stale="Nothing heard for a long time: marked stale",
    started="Started: {time}",
    resolved_at="Resolved: {time}",
    duration="Duration: {time}",
    missing_series="the series is gone",
    no_data="there is no data",
    error="the rule cannot be evaluated",
    paused="the rule was paused",
    updated="the rule was changed",
    rule_deleted="the rule was deleted",
    duplicate="Duplicate, see {link}",
    not_editable="Slack no longer lets the first message be edited",
    acknowledge="Acknowledge",
    unacknowledge="Unacknowledge",
    unsilence="Unsilence",
    extend="Extend",
    custom="Custom…",
    answer_acknowledged="{who} since {since}",
    answer_silenced="by {who} until {until}",
    answer_silencing="silencing… ({who})",
    answer_unsilencing="ending the silence… ({who})",
    note_acknowledged="Acknowledged by {who}",
    note_taken_over="Acknowledged by {who}, taking over from {former}",
    note_unacknowledged="No longer acknowledged: taken back by {who}",
    note_ended_worse="It got worse: the acknowledgement by {who} has ended",
    note_ended_reopened="It came back: the acknowledgement by {who} has ended",
    note_ended_timeout="The acknowledgement by {who} has expired",
    note_kept="Still acknowledged by {who}",
    note_silenced="Silenced by {who} until {until}",
    note_extended="Silence extended by {who} until {until}",
    note_unsilenced="Silence ended by {who}",
    note_silence_ended="The silence by {who} ended",
    note_ended_with_problem="The silence by {who} ended with the problem",
    note_expired_elsewhere="The silence by {who} was ended in Alertmanager",
    note_not_silenced="Could not be silenced ({who})",
    note_not_unsilenced="The silence could not be ended ({who})",
    days="{count}d",
    hours="{count}h",
    minutes="{count}m",
    seconds="{count}s",
)

KOREAN = Words(
    resolved="해소됨",
    resolved_some="일부 해소됨 (전체 {total}건 중 {resolved}건)",
    stale="소식 끊김",
    silenced="음소거됨",
    firing="발생",
    firing_new="신규 {new}건, 전체 {total}건 중 {firing}건 발생 중",
    firing_and_resolved="발생 ({fired}건 발생, {resolved}건 해소)",
    firing_again="다시 발생",
    still_firing="계속 발생 중",
    also="이 스레드의 다른 알림",
    alert="알림",
    alerts="알림 {count}건",
    counts="발생 중: {firing}건 | 해소됨: {resolved}건",
    firing_count="{count}건 발생 중",
    resolved_count="{count}건 해소됨",
    counted="{title} ({count}건)",
    more="그 외 {count}건은 {source}에서 확인",
    more_others="그 외 {count}개는 {source}에서 확인",
    more_of_both="그 외 {count}건과 생략된 내용·레이블 {texts}개는 {source}에서 확인",
    more_texts_one="생략된 내용·레이블 1개는 {source}에서 확인",
    more_texts="생략된 내용·레이블 {count}개는 {source}에서 확인",
    the_rest="나머지는 {source}에서 확인할 수 있습니다.",
    said_before="첫 메시지에서 빠진 이전 내용:",
    severity="심각도",
    environment="환경",
    service="서비스",
    cluster="클러스터",
    instance="인스턴스",
    job="작업",
    namespace="네임스페이스",
    pod="파드",
    node="노드",
    team="팀",
    folder="폴더",
    rule="규칙",
    description="설명",
    values="측정값",
    runbook="런북",
    view_runbook="런북 보기",
    dashboard="대시보드",
    panel="패널",
    graph="그래프",
    silence="음소거",
    after="{time} 만에 해소",
    changed_times="상태 {count}회 변경",
    fired_again="다시 발생",
    fired_and_resolved="발생 후 해소됨",
    resolved_and_fired_again="해소 후 다시 발생",
    notified_times="계속 발생 중, 알림 {count}회 수신",
    resolved_because="해소 사유: {reason}",
    firing_because="발생 사유: {reason}",
    flapped_one="1회 재발",
    flapped="{count}회 재발",
    firing_for="{flapped}, 전체 {whole} 중 {firing} 동안 발생",
    quiet_for="{time} 동안 잠잠했음",
    left_out_one="Alertmanager가 생략한 알림 1건 더 있음 (max_alerts)",
    left_out="Alertmanager가 생략한 알림 {count}건 더 있음 (max_alerts)",
    silenced_until="{time}까지 Alertmanager에서 음소거됨",
    silenced_open="Alertmanager에서 음소거됨",
    marked_stale="오랫동안 소식이 없어 종료된 것으로 표시함",
    started="시작: {time}",
    resolved_at="해소: {time}",
    duration="지속 시간: {time}",
    missing_series="시계열이 사라짐",
    no_data="데이터가 없음",
    error="규칙을 평가할 수 없음",
    paused="규칙이 일시 중지됨",
    updated="규칙이 변경됨",
    rule_deleted="규칙이 삭제됨",
    duplicate="중복된 메시지입니다. 원본: {link}",
    not_editable="Slack이 첫 메시지의 수정을 더 이상 허용하지 않습니다",
    acknowledge="확인",
    unacknowledge="확인 취소",
    unsilence="음소거 해제",
    extend="연장",
    custom="직접 설정…",
    answer_acknowledged="{who} 님이 {since}부터 확인 중",
    answer_silenced="{who} 님이 {until}까지 음소거",
    answer_silencing="음소거하는 중… ({who})",
    answer_unsilencing="음소거를 해제하는 중… ({who})",
    note_acknowledged="{who} 님이 확인함",
    note_taken_over="{who} 님이 {former} 님을 이어받아 확인함",
    note_unacknowledged="{who} 님이 확인을 취소함",
    note_ended_worse="더 심각해져 {who} 님의 확인이 해제됨",
    note_ended_reopened="다시 발생해 {who} 님의 확인이 해제됨",
    note_ended_timeout="{who} 님의 확인이 만료됨",
    note_kept="{who} 님의 확인이 유지됨",
    note_silenced="{who} 님이 {until}까지 음소거함",
    note_extended="{who} 님이 음소거를 {until}까지 연장함",
    note_unsilenced="{who} 님이 음소거를 해제함",
    note_silence_ended="{who} 님의 음소거가 끝남",
    note_ended_with_problem="문제가 해소되어 {who} 님의 음소거가 끝남",
    note_expired_elsewhere="{who} 님의 음소거가 Alertmanager에서 해제됨",
    note_not_silenced="음소거하지 못함 ({who})",
    note_not_unsilenced="음소거를 해제하지 못함 ({who})",
    days="{count}일",
    hours="{count}시간",
    minutes="{count}분",
    seconds="{count}초",
)

#: The tables by the word that ``LANGUAGE`` names them with.
LANGUAGES = {"en": ENGLISH, "ko": KOREAN}
