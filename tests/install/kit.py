"""What the tests of an installation share: a place for it, the steps that each begins with, and how steps are read."""

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from slack_sandbox import SandboxServer
from tests.install.box import Step

CHANNEL = "C0ALERTS01"
#: In two parts: the steps are arguments of a process in the box, where the whole must not be seen.
TOKEN_PARTS = ("xoxb-sandbox", "not-to-be-seen")
TOKEN = "-".join(TOKEN_PARTS)
PASSWORD_PARTS = ("redis", "not-to-be-seen")
GREEN = "#2EB67D"
_START = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
#: The first port that every user may listen on; a box shares this machine's network.
UNPRIVILEGED = int(_START.read_text()) if _START.exists() else 0

INSTALL = "/root/clone/install.sh"
STATUS = f"{INSTALL} --status"
#: Undoes what ``broken_start`` has changed.
MEND = "cp /src/src/alert_threader/server.py /root/clone/src/alert_threader/server.py"
#: A clone, as git would make it: without what tools have made.
CLONE = """
    mkdir /root/clone && tar -C /src --exclude=./.git --exclude=./.venv --exclude=__pycache__ -cf - . |
    tar -C /root/clone -xf -"""
#: What is on the machine, and what systemd knows of ours; but for logs, caches, systemd's own files, and what a story
#: makes.
LIST = """
    skip=(-path /var/log -o -path /var/cache -o -path /run/systemd -o -path /run/user -o -path /run/log
        -o -path /run/udev -o -path /run/box -o -name 'systemd-private-*' -o -path /var/lib/systemd/timers
        -o -name '__pycache__')
    { find /etc /opt /usr/local /var /home /srv /run /tmp -xdev \\( "${skip[@]}" \\) -prune -o -print |
          grep -v '^/etc/.*-$'
      ls -d /var/lib/systemd/timers/*alert-threader* 2>/dev/null
      systemctl list-unit-files --no-legend 'alert-threader*'
      systemctl list-units --all --plain --no-legend 'alert-threader*'
      cut -d : -f 1 /etc/passwd /etc/group; } | sort"""
LIST_BEFORE = f"{{ {LIST}; }} >/root/before"
LIST_CHANGED = f"{{ {LIST}; }} | diff /root/before -"
#: Functions for the steps. ``send`` is Alertmanager: a webhook about instances of one problem.
LIBRARY = """
send() {
    local status=$1 alerts=; shift
    for instance; do
        alerts+=${alerts:+,}$(printf '{"labels": {"alertname": "DiskFull", "severity": "critical", "service": "db",
            "instance": "%s"}, "annotations": {"summary": "The disk is full"}}' "$instance")
    done
    curl -sS --max-time 10 --header @/root/bearer --header 'Content-Type: application/json' \
        --data '{"status": "'"$status"'", "alerts": ['"$alerts"']}' "$url/alert"
}
cache() { curl -sS --header @/root/bearer "$url/cache" | jq --compact-output --sort-keys .threads; }
healthy() {
    for _ in $(seq 100); do
        if curl -sf "$url/health" >/dev/null; then echo healthy; return; fi
        sleep 0.1
    done
    echo "not healthy"; return 1
}
main_pid() { systemctl show --property MainPID --value alert-threader; }
# Whoever looks at processes while something runs: those whose arguments hold the token.
watch_arguments() {
    while true; do
        grep -alFf /root/token /proc/[0-9]*/cmdline 2>/dev/null >>/root/seen
        sleep 0.02
    done &
    watcher=$!
}
"""


class Place(NamedTuple):
    """Where things are, outside the box and in it."""

    port: int
    slack: SandboxServer

    @property
    def slack_address(self) -> str:
        """Slack's host and port."""
        return self.slack.url.removeprefix("http://").rstrip("/")

    def script(self, command: str) -> str:
        """A step that may use the functions."""
        return f"url=http://127.0.0.1:{self.port}\n. /root/library\n{command}"

    def answers(self, more: str = "") -> str:
        """A whole set of options, for an installation that asks nothing."""
        return (
            f"--non-interactive --token-file /root/token --channel {CHANNEL} --environment staging "
            f"--listen 127.0.0.1:{self.port} --set SLACK_API_URL={self.slack.api_url} {more}"
        )


@dataclass(frozen=True)
class Played:
    """What came of a story: its steps, and the place where it was played."""

    steps: dict[str, Step]
    place: Place

    def __getitem__(self, name: str) -> Step:
        """A step."""
        return self.steps[name]


def preparation() -> dict[str, str]:
    """What every story begins with."""
    return {
        "clone": CLONE,
        "prepare": f"""
            cat >/root/library <<'END'\n{LIBRARY}\nEND
            umask 077; printf '%s-%s\\n' {" ".join(TOKEN_PARTS)} >/root/token; : >/root/bearer; : >/root/seen""",
    }


#: Before install.sh: its step 5 takes long enough for somebody to press Ctrl-C meanwhile.
SLOW_COMPARISON = """
    mkdir /root/slow; printf '#!/bin/sh\nsleep 3\n' >/root/slow/getent; chmod 755 /root/slow/getent
    export PATH=/root/slow:$PATH
    """
BEARER = 'umask 077; echo "Authorization: Bearer $(cat /etc/alert-threader/credentials/webhook_token)" >/root/bearer'
#: Where a secret is found that must not be: the journal, what systemd says, arguments, and what others can read.
LEAKS = """
    cat /root/token /etc/alert-threader/credentials/* | sort -u >/root/secrets
    install -m 644 /root/secrets /dev/shm/secrets
    journalctl --no-pager | grep -nFf /root/secrets
    systemctl show '*' | grep -nFf /root/secrets
    grep -nFf /root/secrets /etc/alert-threader/alert-threader.env
    grep -alFf /root/secrets /proc/[0-9]*/cmdline
    other() { setpriv --reuid 65534 --regid 65534 --clear-groups "$@" 2>/dev/null; }
    other grep -alFf /dev/shm/secrets /proc/[0-9]*/environ
    other grep -rlFf /dev/shm/secrets --exclude-dir=shm /etc /opt /var /run /tmp /usr/local /home
    cat /root/seen; rm /dev/shm/secrets; echo "nothing else" """


def edited(expression: str, file: str, options: str) -> str:
    """A step that installs another version: the clone with one file changed."""
    return f"sed -i {expression} /root/clone/{file} && {INSTALL} {options}"


def another_version(options: str) -> str:
    """A step that installs version 9.9.9."""
    return edited("'s/^__version__ = .*/__version__ = \"9.9.9\"/'", "src/alert_threader/__init__.py", options)


def broken_start(options: str) -> str:
    """A step that installs a version that does not start."""
    return edited("'$a raise SystemExit(\"broken on purpose\")'", "src/alert_threader/server.py", options)


def dialogue(options: str, *answers: tuple[str, str]) -> str:
    """A step: install.sh at a terminal, with what is waited for and what is typed then."""
    played = {"command": ["bash", "-c", f"{INSTALL} {options}"], "answers": answers}
    return f"/src/tests/install/answers.py {shlex.quote(json.dumps(played))}"


def said(step: Step) -> list[str]:
    """The lines of a step that must have gone well."""
    assert (step.code, step.err) == (0, ""), step
    return step.out.splitlines()


def refusal(step: Step, code: int = 1) -> str:
    """The one line that a step was refused with, without the script's name."""
    assert step.code == code, step
    assert TOKEN not in step.out + step.err
    (line,) = step.err.splitlines()
    assert line.startswith("install.sh: ")
    return line.removeprefix("install.sh: ")


def threads(step: Step) -> dict[str, str]:
    """The threads that a step shows, by key."""
    shown: dict[str, str] = json.loads(step.out.splitlines()[-1])
    return shown


def stopped_at(step: Step, code: int = 1) -> str:
    """The one line of a refusal that came after some steps."""
    return refusal(Step(step.code, "", step.err), code)


def slack_thread(played: Played, ts: str) -> tuple[str | None, int]:
    """A thread's colour in Slack, and how many replies it has."""
    workspace = played.place.slack.workspace
    (root,) = [root for root in workspace.roots(CHANNEL) if root.ts == ts]
    return root.color, len(workspace.replies(CHANNEL, ts))


def only_thread(step: Step) -> str:
    """The ``ts`` of the one thread that the step's problem has."""
    (ts,) = [ts for key, ts in threads(step).items() if key == "DiskFull|critical|db|default|staging"]
    return ts


def check_secrets(played: Played) -> None:
    """No secret was seen: in the journal, by systemd, in arguments, in settings or in what others can read."""
    assert said(played["leaks"]) == ["nothing else"]
    shown = "".join(step.out + step.err for step in played.steps.values())
    assert TOKEN not in shown
    assert "-".join(PASSWORD_PARTS) not in shown


def check_one_thread(played: Played) -> None:
    """From the first alert to its end it was one thread, in the service and in Slack."""
    first = json.loads(played["fires"].out)["results"][0]
    assert first["delivery"] == "posted"
    ts = first["thread_ts"]
    assert said(played["killed"])[0] == "healthy"
    assert said(played["after boot"])[:2] == ["active", "healthy"]
    assert only_thread(played["killed"]) == only_thread(played["after boot"]) == ts
    last = json.loads(played["resolves"].out)["results"][0]
    assert (last["thread_ts"], last["delivery"]) == (ts, "replied")
    assert slack_thread(played, ts) == (GREEN, 2)


def check_taken_back(step: Step, reason: str, former: str = r"9\.9\.9-\w+") -> None:
    """It says why, shows the journal's end, and the former version is healthy again."""
    assert f"  {reason}" in step.out.splitlines()
    assert "  | " in step.out
    assert re.fullmatch(
        rf"this failed: version {former} and its settings are back, healthy at http://127.0.0.1:\d+",
        stopped_at(step),
    )
