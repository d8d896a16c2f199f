"""``setup-redis.sh`` on a Debian with systemd (see box.py): on an untouched one, and on one that has a Redis."""

import socket

import pytest

from tests.install.box import Step, run_in_box, unusable

SETUP = "/src/setup-redis.sh"
#: What must not change when nothing is to be changed: the files with owner, mode and time, and the running process.
STATE = (
    "cd /etc/redis 2>/dev/null && sha256sum * && stat --format '%n %U:%G %a %y' * && "
    "systemctl show --property MainPID,ActiveEnterTimestamp redis-server"
)
#: What the script says and the settings it is about, in the order of the drop-in.
WANTED = {
    "bind": "127.0.0.1 -::1",
    "protected-mode": "yes",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "maxmemory-policy": "noeviction",
}
RESTART = "systemctl restart redis-server"
URL = ["The settings for Alert Threader:", "THREAD_STORE=redis", "REDIS_URL=redis://127.0.0.1:6379/0"]

SETTINGS = " && ".join(f"redis-cli CONFIG GET {name} | paste -sd=" for name in WANTED)

ON_AN_UNTOUCHED_MACHINE = {
    "not root": f"setpriv --reuid 65534 {SETUP}",
    "unknown argument": f"{SETUP} --force",
    "check before": f"{SETUP} --check",
    "dry run": f"{SETUP} --dry-run",
    "after the dry run": "dpkg-query --show redis-server; ls /etc/redis",
    "other server": f"""
        python3 -m http.server --bind 127.0.0.1 6379 >/dev/null 2>&1 & server=$!
        until (exec 3<>/dev/tcp/127.0.0.1/6379) 2>/dev/null; do sleep 0.1; done
        {SETUP} --yes; code=$?; kill $server; wait; dpkg-query --show redis-server; exit $code""",
    "first run": SETUP,
    "settings": SETTINGS,
    "files": "stat --format '%n %U:%G %a' /etc/redis /etc/redis/*; tail -n 2 /etc/redis/redis.conf",
    "keys left": "redis-cli --raw KEYS '*'",
    "enabled": "systemctl is-enabled redis-server",
    "state": STATE,
    "second run": SETUP,
    "second dry run": f"{SETUP} --dry-run",
    "check": f"{SETUP} --check",
    "state after": STATE,
    "write": "redis-cli SET threader:ts:key 1800000000.000100",
    "restart": "systemctl restart redis-server && redis-cli GET threader:ts:key",
    "kill": "systemctl kill --signal KILL redis-server && sleep 2 && redis-cli GET threader:ts:key",
    "drift": "redis-cli CONFIG SET maxmemory-policy allkeys-lru",
    "check of the drift": f"{SETUP} --check",
    "refused drift": SETUP,
    "repaired drift": f"{SETUP} --yes",
    "settings at the end": SETTINGS,
    "key at the end": "redis-cli GET threader:ts:key",
}

ON_A_MACHINE_WITH_REDIS = {
    # A cache with settings and data of its own, in memory and in a snapshot only; the last line has no end.
    "install": """
        apt-get -qq update && apt-get -qq install --yes --no-install-recommends redis-server >/dev/null 2>&1 &&
        printf 'maxmemory-policy allkeys-lru\\nbind 0.0.0.0\\nmaxmemory 64mb' >>/etc/redis/redis.conf &&
        systemctl restart redis-server && redis-cli SET theirs kept && redis-cli SAVE""",
    "state": STATE,
    "refused": SETUP,
    "asked": f"script --quiet --return --command {SETUP} /dev/null <<<n",
    "dry run": f"{SETUP} --dry-run",
    "check": f"{SETUP} --check",
    "state after": STATE,
    "agreed": f"redis-cli SET later kept >/dev/null; {SETUP} --yes",
    "data": "redis-cli MGET theirs later",
    "settings": SETTINGS,
    "their settings": "redis-cli CONFIG GET maxmemory | tail -n 1; grep -c '^maxmemory-policy' /etc/redis/redis.conf",
    "files": "stat --format '%U:%G %a' /etc/redis/redis.conf; tail -n 1 /etc/redis/redis.conf",
    "second run": SETUP,
    "overridden": f"echo 'maxmemory-policy allkeys-lru' >>/etc/redis/redis.conf; {RESTART}; {SETUP} --yes",
    "include lines": "grep -c alert-threader.conf /etc/redis/redis.conf; tail -n 1 /etc/redis/redis.conf",
    "password": f"echo 'requirepass not-to-be-seen' >>/etc/redis/redis.conf; {RESTART}; {SETUP} --yes",
    "wrong password": f"REDISCLI_AUTH=nonsense {SETUP} --yes",
    "right password": f"REDISCLI_AUTH=not-to-be-seen {SETUP} --yes",
    "no password again": f"sed -i /^requirepass/d /etc/redis/redis.conf; {RESTART}",
    # A fault that was there, unnoticed, since the last start: with it Redis cannot be restarted by anybody.
    "broken settings": f"""
        sed -i 's/^appendonly .*/appendonly no/' /etc/redis/alert-threader.conf
        cd /etc/redis; cp -p redis.conf /tmp/good; echo nonsense >>redis.conf; cp -p redis.conf /tmp/bad
        {SETUP} --yes; code=$?; cmp /tmp/bad redis.conf && grep appendonly alert-threader.conf
        cp -p /tmp/good redis.conf; exit $code""",
    "stopped": f"systemctl reset-failed redis-server; systemctl disable --quiet --now redis-server; {SETUP}",
    "started": f"{SETUP} --yes",
    "data at the end": "redis-cli MGET theirs later; systemctl is-enabled redis-server",
    "included file gone": f"systemctl stop redis-server; rm /etc/redis/alert-threader.conf; {SETUP} --yes",
    "included file back": f"echo appendonly yes >/etc/redis/alert-threader.conf; {SETUP} --yes",
    "removed": "apt-get -qq remove --yes redis-server >/dev/null 2>&1; ls /var/lib/redis",
    "data of a removed one": SETUP,
    "installed again": f"{SETUP} --yes",
    "data after that": "redis-cli MGET theirs later",
}


def in_box(steps: dict[str, str]) -> dict[str, Step]:
    """Run the steps where the box's Redis can have its port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", 6379))
        except OSError:
            unusable("port 6379 is in use on this machine, whose network the box shares")
    return run_in_box(steps)


@pytest.fixture(scope="module")
def untouched() -> dict[str, Step]:
    """What happened on a machine without Redis."""
    return in_box(ON_AN_UNTOUCHED_MACHINE)


@pytest.fixture(scope="module")
def existing() -> dict[str, Step]:
    """What happened on a machine whose Redis belongs to somebody else."""
    return in_box(ON_A_MACHINE_WITH_REDIS)


def refusal(step: Step) -> str:
    """The one line of a step that must have been refused, without the script's name."""
    assert (step.code, step.out) == (1, ""), step
    (line,) = step.err.splitlines()
    assert line.startswith("setup-redis.sh: ")
    return line.removeprefix("setup-redis.sh: ")


def said(step: Step) -> list[str]:
    """The lines of a step that must have gone well."""
    assert (step.code, step.err) == (0, ""), step
    return step.out.splitlines()


class TestUntouchedMachine:
    def test_needs_root(self, untouched: dict[str, Step]) -> None:
        """Somebody else is told to use sudo."""
        assert refusal(untouched["not root"]) == "run it as root: sudo ./setup-redis.sh"

    def test_wrong_argument(self, untouched: dict[str, Step]) -> None:
        """It is named, with the right ones, and nothing is done."""
        assert untouched["unknown argument"].code == 2
        assert "unknown argument --force: use --yes, --dry-run" in untouched["unknown argument"].err

    def test_check_without_redis(self, untouched: dict[str, Step]) -> None:
        """There is nothing to test yet."""
        assert refusal(untouched["check before"]).startswith("redis-server is not installed")

    def test_dry_run_installs_nothing(self, untouched: dict[str, Step]) -> None:
        """It says what would be done."""
        assert said(untouched["dry run"]) == [
            "would: install redis-server",
            "would: write /etc/redis/alert-threader.conf",
            "would: include it at the end of /etc/redis/redis.conf",
            "nothing is changed (--dry-run)",
        ]
        assert untouched["after the dry run"].out == ""

    def test_other_server_on_the_port(self, untouched: dict[str, Step]) -> None:
        """Whatever listens there is left alone, also with --yes, and nothing is installed beside it."""
        step = untouched["other server"]
        assert (step.code, step.out) == (1, "")
        assert step.err.splitlines()[0] == (
            "setup-redis.sh: something listens on port 6379 and is not Debian's redis-server: "
            "use it with REDIS_URL, or stop it first"
        )
        assert "no packages found" in step.err

    def test_first_run(self, untouched: dict[str, Step]) -> None:
        """Redis is installed, set, restarted and tested, without a question; its address is printed."""
        assert said(untouched["first run"]) == [
            "installing redis-server",
            "writing what Redis holds into its append-only file",
            "writing /etc/redis/alert-threader.conf, included at the end of /etc/redis/redis.conf",
            "restarting Redis",
            "a write survived the restart, all settings are in effect",
            *URL,
        ]
        assert said(untouched["settings"]) == [f"{name}={value}" for name, value in WANTED.items()]
        assert said(untouched["enabled"]) == ["enabled"]
        assert said(untouched["keys left"]) in ([], [""])

    def test_keeps_owner_and_mode(self, untouched: dict[str, Step]) -> None:
        """Redis.conf stays as Debian made it, but for its last lines."""
        assert said(untouched["files"]) == [
            "/etc/redis redis:redis 2770",
            "/etc/redis/alert-threader.conf root:redis 640",
            "/etc/redis/redis.conf redis:redis 640",
            "# Alert Threader (setup-redis.sh). Keep this the last line: the last word counts.",
            "include /etc/redis/alert-threader.conf",
        ]

    def test_second_run_changes_nothing(self, untouched: dict[str, Step]) -> None:
        """No file, not even its time, and the same process; it says so."""
        nothing = ["nothing to change: Redis runs with all settings", "a write is taken", *URL]
        assert said(untouched["second run"]) == nothing
        assert said(untouched["second dry run"]) == nothing
        assert said(untouched["state after"]) == said(untouched["state"])

    def test_check(self, untouched: dict[str, Step]) -> None:
        """Each setting is a line, and so is the write."""
        assert said(untouched["check"]) == [
            *(f"ok    {name} {value}" for name, value in WANTED.items()),
            "a write is taken",
        ]

    def test_data_survive(self, untouched: dict[str, Step]) -> None:
        """A restart by systemd, and kill -9."""
        assert said(untouched["restart"]) == ["1800000000.000100"]
        assert said(untouched["kill"]) == ["1800000000.000100"]

    def test_drift(self, untouched: dict[str, Step]) -> None:
        """A setting that somebody changed is found by --check, and changed back only when agreed to."""
        checked = untouched["check of the drift"]
        assert checked.code == 1
        assert "FAIL  maxmemory-policy is allkeys-lru, and should be noeviction" in checked.out
        assert "(maxmemory-policy: allkeys-lru -> noeviction)" in refusal(untouched["refused drift"])
        assert "restarting Redis" in said(untouched["repaired drift"])
        assert said(untouched["settings at the end"]) == said(untouched["settings"])
        assert said(untouched["key at the end"]) == ["1800000000.000100"]


class TestExistingRedis:
    def test_is_not_changed_without_a_word(self, existing: dict[str, Step]) -> None:
        """One line says what would be, a person is asked, and nothing is done: neither to a file nor to the process."""
        assert existing["install"].code == 0, existing["install"]
        assert refusal(existing["refused"]) == (
            "a Redis was here before and is not changed; with --yes it would be (bind: 0.0.0.0 -> 127.0.0.1 -::1; "
            "appendonly: no -> yes; maxmemory-policy: allkeys-lru -> noeviction; write /etc/redis/alert-threader.conf; "
            "include it at the end of /etc/redis/redis.conf)"
        )
        assert "Others may use it. Change it? [y/N]" in existing["asked"].out
        assert existing["asked"].out.rstrip().endswith("setup-redis.sh: nothing is changed")
        assert existing["asked"].code == 1
        assert said(existing["dry run"])[0] == "would: bind: 0.0.0.0 -> 127.0.0.1 -::1"
        assert said(existing["state after"]) == said(existing["state"])

    def test_check_says_what_does_not_fit(self, existing: dict[str, Step]) -> None:
        """Each setting that does not, and that nothing keeps them."""
        checked = existing["check"]
        assert checked.code == 1
        verdicts = [line.split()[:2] for line in checked.out.splitlines()]
        assert verdicts == [
            ["FAIL", "bind"],
            ["ok", "protected-mode"],
            ["FAIL", "appendonly"],
            ["ok", "appendfsync"],
            ["FAIL", "maxmemory-policy"],
            ["note", "/etc/redis/alert-threader.conf"],
            ["a", "write"],
        ]

    def test_keeps_its_data(self, existing: dict[str, Step]) -> None:
        """With --yes, what was in memory and in a snapshot only is in the append-only file afterwards."""
        assert said(existing["agreed"])[-4:] == ["a write survived the restart, all settings are in effect", *URL]
        assert said(existing["data"]) == ["kept", "kept"]
        assert said(existing["data at the end"]) == ["kept", "kept", "enabled"]

    def test_keeps_its_other_settings(self, existing: dict[str, Step]) -> None:
        """Ours are read last and win; the file's own lines stay, with owner and mode."""
        assert said(existing["settings"]) == [f"{name}={value}" for name, value in WANTED.items()]
        assert said(existing["their settings"]) == ["67108864", "1"]
        assert said(existing["files"]) == ["redis:redis 640", "include /etc/redis/alert-threader.conf"]

    def test_second_run_needs_no_word(self, existing: dict[str, Step]) -> None:
        """Nothing is changed, so nothing is asked."""
        assert said(existing["second run"])[0] == "nothing to change: Redis runs with all settings"

    def test_has_the_last_word_again(self, existing: dict[str, Step]) -> None:
        """A line that somebody added after ours is overridden, and ours is there once."""
        assert "a write survived the restart, all settings are in effect" in said(existing["overridden"])
        assert said(existing["include lines"]) == ["1", "include /etc/redis/alert-threader.conf"]

    def test_password(self, existing: dict[str, Step]) -> None:
        """A Redis that asks for one is told apart, and the password is never printed."""
        assert refusal(existing["password"]) == "Redis asks for a password: give it in REDISCLI_AUTH"
        assert refusal(existing["wrong password"]).startswith("Redis refuses the password in REDISCLI_AUTH")
        assert said(existing["right password"])[-1] == "REDIS_URL=redis://:PASSWORD@127.0.0.1:6379/0"
        assert not any("not-to-be-seen" in step.out + step.err for step in existing.values())

    def test_old_settings_come_back(self, existing: dict[str, Step]) -> None:
        """Where Redis does not start with the new ones, both files are as they were."""
        step = existing["broken settings"]
        assert step.code == 1
        assert step.err.startswith("setup-redis.sh: Redis did not start with these settings, the old ones are back")
        assert step.out.splitlines()[-1] == "appendonly no"

    def test_stopped_redis_is_not_started_without_a_word(self, existing: dict[str, Step]) -> None:
        """Somebody stopped it; with --yes it runs, also after a boot."""
        assert "start it" in refusal(existing["stopped"])
        assert "a write survived the restart, all settings are in effect" in said(existing["started"])

    def test_included_file_is_gone(self, existing: dict[str, Step]) -> None:
        """Redis cannot start then; what is said to be done about it helps, and loses nothing."""
        assert "which is gone: put it back (echo appendonly yes >" in refusal(existing["included file gone"])
        assert "a write survived the restart, all settings are in effect" in said(existing["included file back"])

    def test_data_of_a_removed_package(self, existing: dict[str, Step]) -> None:
        """What a removed Redis left behind is somebody's: it is asked for too, and kept."""
        assert "install redis-server" in refusal(existing["data of a removed one"])
        assert said(existing["installed again"])[-1] == URL[-1]
        assert said(existing["data after that"]) == ["kept", "kept"]
