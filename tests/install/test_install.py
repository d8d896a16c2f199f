"""``install.sh`` with the file store, asked nothing, on a Debian with systemd (see box.py); Slack is outside."""

import json
import re
import sys

import pytest

from tests.install.kit import (
    BEARER,
    CHANNEL,
    CLONE,
    INSTALL,
    LEAKS,
    LIST_BEFORE,
    LIST_CHANGED,
    MEND,
    STATUS,
    Place,
    Played,
    another_version,
    broken_start,
    check_one_thread,
    check_secrets,
    check_taken_back,
    edited,
    preparation,
    refusal,
    said,
    threads,
)
from tests.install.story import REBOOT, tell


@pytest.fixture(scope="module")
def unattended(place: Place) -> Played:
    """The life of an installation with the file store: nobody is asked anything."""
    script, answers = place.script, place.answers()
    port = place.port
    url = f"http://127.0.0.1:{port}"
    here = {
        **preparation(),
        "before": LIST_BEFORE,
        "install": f"""
            . /root/library; watch_arguments
            rm -r /root/clone; began=$(date +%s%N); {{ {CLONE}; }} && {INSTALL} {answers}; code=$?
            echo "seconds: $((($(date +%s%N) - began) / 1000000))e-3"; kill $watcher; exit $code""",
        "bearer": BEARER,
        "is": "systemctl is-enabled alert-threader; systemctl is-active alert-threader alert-threader-backup.timer",
        "journal": "journalctl --unit alert-threader --output cat",
        "files": """
            cd /etc/alert-threader; stat --format '%n %U:%G %a' . * credentials/* /var/lib/alert-threader
            readlink /usr/local/bin/alert-threader""",
        "env file": "cat /etc/alert-threader/alert-threader.env",
        "status": STATUS,
        "verify": "systemd-analyze verify /etc/systemd/system/alert-threader*.{service,timer} 2>&1",
        "security": """
            for unit in alert-threader alert-threader-backup; do systemd-analyze security $unit | tail -n 1; done""",
        "check": "alert-threader check",
        "check of somebody": "setpriv --reuid 65534 alert-threader check",
        "without token": f"curl -s {url}/alert -H 'Content-Type: application/json' -d '{{}}'",
        "fires": script("send firing db01"),
        "killed": script("systemctl kill --signal KILL alert-threader; sleep 0.5; healthy; cache"),
        "fires more": script("send firing db01 db02"),
        "threads": script("cache"),
        "reload": script("""
            pid=$(main_pid); systemctl reload alert-threader; sleep 2; healthy; [ $pid = $(main_pid) ]; cache"""),
        "reboot": REBOOT,
        "after boot": script("systemctl is-active alert-threader; healthy; cache"),
        "resolves": script("send resolved db01 db02"),
        "smoke test": "/root/clone/smoke-test.sh",
        "smoke test of nothing": "/root/clone/smoke-test.sh --url http://127.0.0.1:1",
        "smoke test of ::1": """
            sed -i 's/^BIND_HOST=.*/BIND_HOST="::1"/' /etc/alert-threader/alert-threader.env
            systemctl restart alert-threader; /root/clone/smoke-test.sh; code=$?
            sed -i 's/^BIND_HOST=.*/BIND_HOST="127.0.0.1"/' /etc/alert-threader/alert-threader.env
            systemctl restart alert-threader; exit $code""",
        "threads before upgrade": script("cache"),
        "own lines": """
            printf '# mine\\nREOPEN_WINDOW=2h\\n' >>/etc/alert-threader/alert-threader.env
            mkdir /etc/systemd/system/alert-threader.service.d
            printf '[Service]\\nTimeoutStopSec=50s\\n' >/etc/systemd/system/alert-threader.service.d/mine.conf""",
        "second run": script(f"pid=$(main_pid); {INSTALL}; [ $pid = $(main_pid) ] && echo same process"),
        "upgrade": another_version("--offline"),
        "after upgrade": script(f"""
            {STATUS}; cache; tail -n 2 /etc/alert-threader/alert-threader.env
            systemctl show --property TimeoutStopUSec alert-threader; ls /opt/alert-threader/versions"""),
        "wheels": """
            /opt/alert-threader/current/venv/bin/pip -q download -d /root/wheels -r /root/clone/requirements.txt""",
        "broken start": broken_start("--offline --wheelhouse /root/wheels --environment other --no-webhook-token"),
        "broken worker": f"{MEND}; " + edited(
            "'s/^ *service.start()/        raise RuntimeError(\"broken on purpose\")/'",
            "src/alert_threader/server.py", "--offline --wheelhouse /root/wheels"),
        "after broken ones": script(f"{STATUS}; cache; ls /opt/alert-threader/versions; "
                                    "cat /etc/alert-threader/alert-threader.env; ls /etc/alert-threader/credentials"),
        "broken over a stopped one": f"""
            systemctl --quiet disable --now alert-threader alert-threader-backup.timer 2>/dev/null
            {INSTALL} --offline --wheelhouse /root/wheels""",
        "as it was": """
            for unit in alert-threader.service alert-threader-backup.timer; do
                echo $(systemctl is-enabled $unit) $(systemctl is-active $unit)
            done""",
        "mended": f"{MEND}; {INSTALL} --offline",
        "backup": """
            systemctl start alert-threader-backup && journalctl -u alert-threader-backup --output cat
            stat --format '%U %a' /var/lib/alert-threader/backups/*""",
        "backup by hand": "cd /root && alert-threader backup copy.json",
        "forgotten": script("curl -s -X DELETE -H @/root/bearer $url/cache | jq .forgotten; cache"),
        "restore while it runs": "alert-threader restore /root/copy.json",
        "restore": script("cd /root; systemctl stop alert-threader; alert-threader restore copy.json && "
                          "systemctl start alert-threader && healthy; cache"),
        "wrong settings": script("""
            sed -i s/THREAD_STORE=.*/THREAD_STORE=paper/ /etc/alert-threader/alert-threader.env
            systemctl restart alert-threader 2>/dev/null; systemctl show --property NRestarts alert-threader
            for _ in $(seq 60); do journalctl --unit alert-threader | grep -q 'failed 3 times' && break; sleep 0.5; done
            journalctl --unit alert-threader --output cat | grep -e 'in a row' -e 'THREAD_STORE'
            sed -i s/THREAD_STORE=.*/THREAD_STORE=file/ /etc/alert-threader/alert-threader.env
            timeout 10 systemctl restart alert-threader; healthy"""),
        "leaks": LEAKS,
        "uninstall": f"{INSTALL} --uninstall --non-interactive",
        "after uninstall": """
            systemctl is-active alert-threader; ls /opt /etc/systemd/system /usr/local/bin; ls /etc/alert-threader""",
        "installed again": script(f"{INSTALL} --non-interactive --offline --wheelhouse /root/wheels && cache"),
        "purge": f"{INSTALL} --uninstall --purge",
        "after": LIST_CHANGED,
    }  # fmt: skip
    return Played(tell(here), place)


class TestInstallation:
    def test_steps(self, unattended: Played) -> None:
        """The steps are numbered, and at the end the service is healthy."""
        shown = said(unattended["install"])
        assert [line[:5] for line in shown if line.startswith("[")] == [f"[{n}/7]" for n in range(1, 8)]
        assert f"  healthy at http://127.0.0.1:{unattended.place.port}" in shown
        assert [line.split()[0] for line in shown if re.match("  (ok|FAIL|warn) ", line)] == ["ok"] * 5

    def test_takes_less_than_two_minutes(self, unattended: Played) -> None:
        """From a clone to a healthy service."""
        (line,) = [line for line in said(unattended["install"]) if line.startswith("seconds: ")]
        seconds = float(line.removeprefix("seconds: "))
        sys.stdout.write(f"from the clone to a healthy service: {seconds:.1f} s\n")
        assert seconds < 120

    def test_is_enabled_and_active(self, unattended: Played) -> None:
        """It runs, now and after a boot, and so does the timer of its backups."""
        assert said(unattended["is"]) == ["enabled", "active", "active"]
        assert said(unattended["status"])[1:6] == [
            "service   active, enabled (restarted by itself: 0)",
            f"health    healthy at http://127.0.0.1:{unattended.place.port}",
            "store     file",
            "settings  /etc/alert-threader/alert-threader.env",
            "secrets   slack_bot_token webhook_token",
        ]

    def test_journal(self, unattended: Played) -> None:
        """The journal says that it is ready, where it listens, and nothing bad."""
        journal = unattended["journal"].out
        assert "Started alert-threader.service" in journal
        assert f"Listening at: http://127.0.0.1:{unattended.place.port}" in journal
        assert f"ready store=file channel={CHANNEL}" in journal
        assert not re.search("error:|ERROR|WARNING|Failed", journal)

    def test_files(self, unattended: Played) -> None:
        """Settings are for all to read, secrets for root alone, the state for the service alone."""
        assert said(unattended["files"]) == [
            ". root:root 755",
            "alert-threader.env root:root 644",
            "credentials root:root 700",
            "credentials/slack_bot_token root:root 600",
            "credentials/webhook_token root:root 600",
            "/var/lib/alert-threader alert-threader:alert-threader 700",
            "/opt/alert-threader/current/bin/alert-threader",
        ]

    def test_settings(self, unattended: Played) -> None:
        """The settings' file holds the answers, and no secret."""
        assert said(unattended["env file"])[2:] == [
            'THREAD_STORE="file"',
            f'SLACK_CHANNEL="{CHANNEL}"',
            'ENVIRONMENT="staging"',
            'BIND_HOST="127.0.0.1"',
            f'BIND_PORT="{unattended.place.port}"',
            f'SLACK_API_URL="{unattended.place.slack.api_url}"',
        ]

    def test_no_secret_is_seen(self, unattended: Played) -> None:
        """Not in the journal, in what systemd shows, in arguments at any time, or in what others can read."""
        check_secrets(unattended)

    def test_units_are_good(self, unattended: Played) -> None:
        """No fault is found in the units, and they are rated 2.0 or better as they run."""
        assert said(unattended["verify"]) == []
        ratings = [float(rating) for rating in re.findall(r"service: ([0-9.]+) ", unattended["security"].out)]
        sys.stdout.write(f"systemd-analyze security: {ratings}\n")
        assert len(ratings) == 2
        assert max(ratings) <= 2.0

    def test_command(self, unattended: Played) -> None:
        """The command has the service's settings and secrets; who may not see those is told so."""
        assert [line.split()[0] for line in said(unattended["check"])] == ["ok"] * 5
        step = unattended["check of somebody"]
        line = "alert-threader check: this needs the service's secrets: sudo alert-threader check\n"
        assert (step.code, step.out, step.err) == (1, "", line)

    def test_second_run(self, unattended: Played) -> None:
        """It asks nothing, builds nothing, changes nothing and does not restart the service."""
        shown = said(unattended["second run"])
        assert "  it is built already" in shown
        assert shown[shown.index("[5/7] what changes") + 1] == "  nothing"
        assert shown[-1] == "same process"


class TestLife:
    def test_webhooks_need_the_token(self, unattended: Played) -> None:
        """The one that was made."""
        assert "a token is missing" in unattended["without token"].out

    def test_one_thread_through_kill_and_reboot(self, unattended: Played) -> None:
        """Kill -9, a reload and a reboot later it is the same thread in the service, and one thread in Slack."""
        check_one_thread(unattended)

    def test_reload(self, unattended: Played) -> None:
        """HUP replaces the worker, not the service."""
        step = unattended["reload"]
        assert said(step)[0] == "healthy"
        assert threads(step) == threads(unattended["threads"])

    def test_smoke_test(self, unattended: Played) -> None:
        """A line for each check and a summary, with the address and the token as installed."""
        shown = said(unattended["smoke test"])
        checked = [line.split()[:2] for line in shown[:-1]]
        alerts = [["ok", severity] for severity in ("critical", "warning", "info") for _ in range(2)]
        assert checked == [["ok", "health"], ["ok", "stats"], *alerts, ["ok", "cache"]]
        assert shown[-1] == "9 of 9 checks passed"

    def test_smoke_test_of_ipv6(self, unattended: Played) -> None:
        """It finds a service that listens on an IPv6 address."""
        assert said(unattended["smoke test of ::1"])[-1] == "9 of 9 checks passed"

    def test_smoke_test_of_nothing(self, unattended: Played) -> None:
        """Where nothing answers each check fails, and the exit code tells."""
        step = unattended["smoke test of nothing"]
        assert (step.code, step.err) == (1, "")
        assert all(line.startswith("FAIL  ") for line in step.out.splitlines()[:-1])
        assert step.out.splitlines()[-1] == "0 of 9 checks passed"

    def test_wrong_settings(self, unattended: Played) -> None:
        """The service tries again, later each time, says what is wrong, and starts at once when it is mended."""
        shown = said(unattended["wrong settings"])
        waits = [line for line in shown if line.startswith("failed ")]
        assert "failed 3 times in a row: starting in 2 s" in waits
        assert "THREAD_STORE: 'paper' is not allowed: one of file, redis" in shown
        assert shown[-1] == "healthy"


class TestUpgrade:
    def test_keeps_settings_and_threads(self, unattended: Played) -> None:
        """The new version runs with the threads, with lines that somebody added, and with a drop-in."""
        shown = said(unattended["after upgrade"])
        assert shown[0].startswith("version   9.9.9-")
        assert shown[2].startswith("health    healthy")
        assert json.loads(shown[7]) == threads(unattended["threads before upgrade"])
        assert shown[8:11] == ["# mine", "REOPEN_WINDOW=2h", "TimeoutStopUSec=50s"]

    def test_former_version_stays_beside_it(self, unattended: Played) -> None:
        """Both are there, and no more than these two after others that were broken."""
        versions = [line.partition("-")[0] for line in said(unattended["after upgrade"])[-2:]]
        assert versions == ["0.2.0", "9.9.9"]
        assert said(unattended["after upgrade"])[-2:] == said(unattended["after broken ones"])[8:10]

    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("broken start", "the service does not start"),
            ("broken worker", "it is not healthy: the service starts, and ends again"),
        ],
    )
    def test_broken_one_is_taken_back(self, unattended: Played, name: str, reason: str) -> None:
        """Whether it does not start or ends again: the former version is healthy afterwards."""
        check_taken_back(unattended[name], reason)

    def test_settings_are_taken_back_too(self, unattended: Played) -> None:
        """What the broken one was to change is as it was, a secret that was to go included; no thread is lost."""
        shown = said(unattended["after broken ones"])
        assert shown[0] == said(unattended["after upgrade"])[0]
        assert json.loads(shown[7]) == threads(unattended["threads before upgrade"])
        assert 'ENVIRONMENT="staging"' in shown
        assert shown[-2:] == ["slack_bot_token", "webhook_token"]

    def test_stopped_one_stays_stopped(self, unattended: Played) -> None:
        """Who had it switched off does not find it switched on."""
        refused = refusal(unattended["broken over a stopped one"])
        assert refused.endswith("and its settings are back, stopped as they were")
        assert said(unattended["as it was"]) == ["disabled inactive"] * 2

    def test_can_be_mended(self, unattended: Played) -> None:
        """The sources as they run are built already."""
        assert "  it is built already" in said(unattended["mended"])

    def test_without_network(self, unattended: Played) -> None:
        """With a wheelhouse nothing is asked of a network; what an uninstallation kept is found again."""
        shown = said(unattended["installed again"])
        assert any(line.startswith("  building it in ") for line in shown)
        assert json.loads(shown[-1]) == threads(unattended["restore"])


class TestBackup:
    def test_daily_one(self, unattended: Played) -> None:
        """The unit copies the store beside the running service, for its own eyes."""
        shown = said(unattended["backup"])
        good = "4 threads, 0 of them with something pending; verified by reading it back"
        assert any(line.endswith(good) for line in shown)
        assert shown[-1] == "alert-threader 600"

    def test_restore(self, unattended: Played) -> None:
        """Threads that were forgotten are back, under the service's user."""
        assert said(unattended["forgotten"]) == ["4", "{}"]
        step = unattended["restore while it runs"]
        assert step.code == 1
        assert step.err.endswith("stop the service first (systemctl stop alert-threader)\n")
        assert "healthy" in said(unattended["restore"])
        assert threads(unattended["restore"]) == threads(unattended["threads before upgrade"])


class TestRemoval:
    def test_keeps_what_cannot_be_made_again(self, unattended: Played) -> None:
        """Without --purge the service is gone; settings, secrets and threads are not."""
        assert "are kept in /etc/alert-threader, threads in /var/lib/alert-threader" in said(unattended["uninstall"])[0]
        shown = unattended["after uninstall"].out.splitlines()
        assert shown[0] == "inactive"
        left = [name for name in shown if name.startswith("alert-threader")]
        assert left == ["alert-threader.service.d", "alert-threader.env"]
        assert shown[-1] == "credentials"

    def test_purge_leaves_nothing(self, unattended: Played) -> None:
        """No file, no folder, no user and no group is there that was not there before."""
        assert "  removed, with settings, secrets, threads and backups" in said(unattended["purge"])
        assert said(unattended["after"]) == []
