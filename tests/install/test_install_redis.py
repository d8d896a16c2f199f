"""``install.sh`` with Redis, which it sets up, on a Debian with systemd (see box.py)."""

import re
import socket

import pytest

from tests.install.box import unusable
from tests.install.kit import (
    BEARER,
    CHANNEL,
    INSTALL,
    LEAKS,
    LIST_BEFORE,
    LIST_CHANGED,
    PASSWORD_PARTS,
    SLOW_COMPARISON,
    STATUS,
    Place,
    Played,
    another_version,
    broken_start,
    check_one_thread,
    check_secrets,
    check_taken_back,
    dialogue,
    preparation,
    said,
    threads,
)
from tests.install.story import REBOOT, tell

#: What is asked after the store.
QUESTIONS = ("bot token", "Slack channel", "named in every", "listen on", "must carry")


@pytest.fixture(scope="module")
def with_redis(place: Place) -> Played:
    """The same with Redis, which the installer sets up, and answers from the environment; later with a password."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", 6379))
        except OSError:
            unusable("port 6379 is in use on this machine, whose network the box shares")
    script, ctrl_c = place.script, "\x03"
    new_redis = [("threads: file", "\r"), ("Which Redis", "new\r"), *((wanted, "\r") for wanted in QUESTIONS)]
    here = {
        **preparation(),
        "before": LIST_BEFORE,
        "no venv": "apt-get -qq remove --yes python3-venv python3.11-venv 2>&1; python3 -c 'import ensurepip'",
        "interrupted": dialogue("", ("threads: file", ctrl_c)),
        "install": f"""
            . /root/library; watch_arguments
            export THREAD_STORE=redis SLACK_CHANNEL={CHANNEL} ENVIRONMENT=staging BIND_PORT={place.port}
            export SLACK_API_URL={place.slack.api_url} SLACK_BOT_TOKEN=$(cat /root/token)
            {INSTALL} --non-interactive; code=$?; kill $watcher; exit $code""",
        "bearer": BEARER,
        "is": "systemctl is-enabled alert-threader redis-server; systemctl is-active alert-threader redis-server; "
              "systemctl is-enabled alert-threader-backup.timer; ls /etc/alert-threader/credentials",
        "journal": "journalctl --unit alert-threader --output cat",
        "fires": script("send firing db01"),
        "killed": script("systemctl kill --signal KILL alert-threader redis-server; sleep 2; healthy; cache"),
        "reboot": REBOOT,
        "after boot": script("systemctl is-active alert-threader; healthy; cache"),
        "fires more": script("sleep 6; send firing db01 db02"),
        "without redis": script("""
            systemctl stop redis-server; systemctl restart alert-threader; sleep 1; systemctl is-active alert-threader
            curl -s --max-time 9 $url/health | jq -r .status
            systemctl start redis-server; healthy"""),
        "resolves": script("sleep 1; send resolved db01 db02"),
        "drift": "redis-cli CONFIG SET maxmemory-policy allkeys-lru",
        "nobody to ask": f"""
            cd /etc/alert-threader/credentials; mv redis_url /root/kept
            {dialogue("--non-interactive --offline")}; code=$?; mv /root/kept redis_url; exit $code""",
        "interrupted at Redis": dialogue("--reconfigure --offline", *new_redis, ("Change it?", ctrl_c)),
        "interrupted after Redis": SLOW_COMPARISON + dialogue(
            "--reconfigure --offline", *new_redis, ("Change it?", "y\r"), ("[5/7]", ctrl_c)),
        "password": f"""
            umask 077
            password=$(printf '%s-%s' {" ".join(PASSWORD_PARTS)})
            echo "redis://:$password@127.0.0.1:6379/0" >/root/redis
            echo "CONFIG SET requirepass $password" | redis-cli
            {INSTALL} --offline --redis-url-file /root/redis""",
        "threads": script("cache"),
        "upgrade": another_version("--offline"),
        "broken start": broken_start("--offline"),
        "after upgrades": script(f"{STATUS}; cache"),
        "backup": "alert-threader backup /root/",
        "leaks": "sed -i 's/.*:\\([^@]*\\)@.*/\\1/;$a\\' /root/redis; cat /root/redis >>/root/token\n" + LEAKS,
        "purge": f"{INSTALL} --uninstall --purge",
        "redis after": "systemctl is-active redis-server",
        "after": LIST_CHANGED,
    }  # fmt: skip
    return Played(tell(here), place)


class TestRedis:
    def test_is_set_up(self, with_redis: Played) -> None:
        """By setup-redis.sh; both run now and after a boot, and there is no file to back up."""
        assert "  a write survived the restart, all settings are in effect" in said(with_redis["install"])
        is_, secrets = said(with_redis["is"])[:5], said(with_redis["is"])[5:]
        assert is_ == ["enabled", "enabled", "active", "active", "disabled"]
        assert secrets == ["redis_url", "slack_bot_token", "webhook_token"]

    def test_journal(self, with_redis: Played) -> None:
        """The journal says that it is ready with this store, and nothing bad."""
        journal = with_redis["journal"].out
        assert f"ready store=redis channel={CHANNEL}" in journal
        assert not re.search("error:|ERROR|Traceback", journal)

    def test_python_is_completed(self, with_redis: Played) -> None:
        """Where Debian's Python cannot make virtual environments, apt brings what is missing."""
        assert "No module named 'ensurepip'" in with_redis["no venv"].err
        step = with_redis["interrupted"]
        assert "  installing python3 python3-venv" in step.out.splitlines()
        assert "[7/7] look around" in said(with_redis["install"])

    def test_is_not_asked_about(self, with_redis: Played) -> None:
        """With --non-interactive, at a terminal too: what others use is not changed, and that is what is said."""
        step = with_redis["nobody to ask"]
        assert step.code == 1
        lines = step.out.splitlines()
        assert lines[-2].startswith(
            "setup-redis.sh: a Redis was here before and is not changed; with --yes it would be"
        )
        assert lines[-1].startswith("install.sh: Redis is not set up: ")

    @pytest.mark.parametrize(
        ("name", "stays"),
        [
            ("interrupted", "the packages python3 python3-venv"),
            ("interrupted at Redis", "perhaps Redis (setup-redis.sh --check shows how it is)"),
            ("interrupted after Redis", "Redis, which is set up"),
        ],
    )
    def test_interruption(self, with_redis: Played, name: str, stays: str) -> None:
        """Ctrl-C ends it, and what was done outside of Alert Threader by then is said."""
        assert with_redis[name].code == 130
        assert with_redis[name].out.rstrip().endswith(f"install.sh: interrupted: nothing is changed but {stays}")

    def test_may_be_away(self, with_redis: Played) -> None:
        """The service starts without it, says so, and is healthy once it is back."""
        assert said(with_redis["without redis"]) == ["active", "unhealthy", "healthy"]

    def test_another_address(self, with_redis: Played) -> None:
        """Given in a file, with a password; the threads are the same."""
        assert "  write /etc/alert-threader/credentials/redis_url (root only)" in with_redis["password"].out
        assert with_redis["password"].code == 0
        assert threads(with_redis["threads"]) == threads(with_redis["after boot"])

    def test_upgrade(self, with_redis: Played) -> None:
        """The upgrade keeps the threads, and so does one that is taken back."""
        shown = said(with_redis["after upgrades"])
        assert shown[0].startswith("version   9.9.9-")
        assert shown[2].startswith("health    healthy")
        assert threads(with_redis["after upgrades"]) == threads(with_redis["after boot"])

    def test_removal(self, with_redis: Played) -> None:
        """Redis stays, for it may be of use to others, and it is said what is still in it."""
        assert said(with_redis["purge"])[1].startswith("  Redis keeps its threads, for others may use them: ")
        assert said(with_redis["redis after"]) == ["active"]

    def test_purge_leaves_nothing_else(self, with_redis: Played) -> None:
        """What is new on the machine belongs to Redis and Python, Debian's packages and their settings."""
        new = re.findall("^> (.*)$", with_redis["after"].out, re.MULTILINE)
        assert "/etc/redis/alert-threader.conf" in new
        assert [line for line in new if not re.search("redis|^/var/lib/(apt|dpkg|systemd/deb-)", line)] == []

    def test_backup(self, with_redis: Played) -> None:
        """The file's commands say who backs up what is in Redis."""
        assert "back up and restore Redis' own files" in with_redis["backup"].err

    def test_one_thread_through_kill_and_reboot(self, with_redis: Played) -> None:
        """Kill -9 of both and a reboot later it is the same thread in the service, and one thread in Slack."""
        check_one_thread(with_redis)

    def test_broken_upgrade_is_taken_back(self, with_redis: Played) -> None:
        """The former version is healthy afterwards."""
        check_taken_back(with_redis["broken start"], "the service does not start")

    def test_no_secret_is_seen(self, with_redis: Played) -> None:
        """Redis' password is one, too."""
        check_secrets(with_redis)
