"""The settings: what is read, from where, and how every kind of fault is told."""

import copy
import dataclasses
import pickle
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from alert_threader.errors import ConfigError
from alert_threader.settings.secret import redactor
from alert_threader.settings.settings import (
    SETTINGS,
    Secret,
    Setting,
    Settings,
    channel_fault,
    misspelt_in,
    parse_duration,
)

TOKEN = "xoxb-1234-abcdEFGH"
LEAST = {"SLACK_BOT_TOKEN": TOKEN, "SLACK_CHANNEL": "C0123456789"}

UNITS = {"y": 31_536_000, "w": 604_800, "d": 86_400, "h": 3600, "m": 60, "s": 1, "ms": 0.001}


def read(**environ: str) -> Settings:
    """Read the least settings and these."""
    return Settings.from_environ(LEAST | environ)


def faults(environ: dict[str, str]) -> tuple[str, ...]:
    """Return the faults of exactly these settings."""
    with pytest.raises(ConfigError) as raised:
        Settings.from_environ(environ)
    return raised.value.faults


def fault(**environ: str) -> str:
    """Return the one fault of the least settings and these."""
    (only,) = faults(LEAST | environ)
    return only


class TestDefaults:
    def test_two_settings_are_enough(self) -> None:
        """A token and a channel make complete settings; all else has its documented default."""
        settings = read()
        assert settings.slack_bot_token.reveal() == TOKEN
        assert settings.slack_channel == "C0123456789"
        assert settings.slack_api_url == "https://slack.com/api/"
        assert settings.environment == "production"
        assert (settings.bind_host, settings.bind_port) == ("127.0.0.1", 9009)
        assert settings.thread_store == "file"
        assert settings.thread_store_file == Path("/var/lib/alert-threader/threads.json")
        assert settings.redis_url.reveal() == "redis://127.0.0.1:6379/0"
        assert settings.redis_key_prefix == "threader:ts"
        assert settings.thread_by == "labels"
        assert settings.thread_key_labels == ("alertname", "severity", "service", "cluster")
        assert (settings.reopen_window, settings.stale_after) == (3600, 7 * 86_400)
        assert settings.repeat_policy == "update"
        assert settings.webhook_token is None
        assert settings.response_wait == 2
        assert settings.max_body == 16_000_000
        assert (settings.slack_rate, settings.slack_burst, settings.slack_timeout) == (1, 3, 10)
        assert (settings.log_level, settings.log_format) == ("INFO", "text")
        assert (settings.web_threads, settings.graceful_timeout) == (32, 30)

    @pytest.mark.parametrize("name", [setting.name for setting in SETTINGS if not setting.required])
    def test_empty_counts_as_unset(self, name: str) -> None:
        """An empty value, as an environment file leaves it, means the default."""
        assert read(**{name: ""}) == read()

    def test_unknown_names_are_ignored(self) -> None:
        """What else stands in the environment is none of our business."""
        assert read(PATH="/usr/bin", SLACK_COLOUR="red") == read()

    def test_frozen(self) -> None:
        """Settings do not change while the service runs."""
        with pytest.raises(dataclasses.FrozenInstanceError):
            read().bind_port = 1  # type: ignore[misc]  # the very mistake under test

    def test_table_is_complete(self) -> None:
        """Each setting is listed once, with a meaning, and is a field of Settings in lower case."""
        assert [setting.name.lower() for setting in SETTINGS] == [each.name for each in dataclasses.fields(Settings)]
        assert all(setting.meaning for setting in SETTINGS)
        assert {setting.name for setting in SETTINGS if setting.required} == set(LEAST)


class TestValues:
    @pytest.mark.parametrize(
        ("name", "raw", "value"),
        [
            ("SLACK_API_URL", "http://127.0.0.1:8080", "http://127.0.0.1:8080/"),
            ("SLACK_API_URL", "http://127.0.0.1:8080/api/", "http://127.0.0.1:8080/api/"),
            ("ENVIRONMENT", "운영", "운영"),
            ("BIND_HOST", "::1", "::1"),
            ("BIND_PORT", "65535", 65535),
            ("THREAD_STORE", "Redis", "redis"),
            ("THREAD_STORE_FILE", "threads.json", Path("threads.json")),
            (
                "REDIS_URL",
                "rediss://user:p%40ss@db.example.com/1",
                Secret("rediss://user:p%40ss@db.example.com/1"),
            ),
            ("REDIS_URL", "unix:///run/redis.sock", Secret("unix:///run/redis.sock")),
            ("THREAD_KEY_LABELS", "alertname, team", ("alertname", "team")),
            ("SEVERITY_MAP", "Blocker=critical, hint = none", (("blocker", "critical"), ("hint", "none"))),
            ("SEVERITY_LABEL", "priority", "priority"),
            ("REOPEN_WINDOW", "1h30m", 5400.0),
            ("REOPEN_WINDOW", "0", 0.0),
            ("RESPONSE_WAIT", "500ms", 0.5),
            ("WEBHOOK_TOKEN", "s3cret", Secret("s3cret")),
            ("MAX_BODY", "1048576", 1_048_576),
            ("MAX_BODY", "512KB", 512_000),
            ("MAX_BODY", "1MiB", 1_048_576),
            ("MAX_BODY", "2mb", 2_000_000),
            ("SLACK_RATE", "1/s", 1.0),
            ("SLACK_RATE", "0.5", 0.5),
            ("LOG_LEVEL", "debug", "DEBUG"),
            ("LANGUAGE", "KO", "ko"),
            ("LANGUAGE", "en_US:en", "en"),
            ("LANGUAGE", "de_DE:ko_KR:en", "ko"),
            ("LANGUAGE", "de_DE.UTF-8", "en"),
            ("REDIS_KEY_PREFIX", "{threader}:ts", "{threader}:ts"),
        ],
    )
    def test_accepted(self, name: str, raw: str, value: object) -> None:
        """A value written as documented is read as what it means."""
        assert getattr(read(**{name: raw}), name.lower()) == value

    @pytest.mark.parametrize(
        ("name", "raw"),
        [
            ("SLACK_API_URL", "slack.com/api"),
            ("SLACK_API_URL", "ftp://slack.com/"),
            ("SLACK_API_URL", "https://slack.com:port/"),
            ("SLACK_API_URL", "https://[slack/"),
            ("SLACK_API_URL", "https://slack.com/?a=b"),
            ("ENVIRONMENT", "two\nlines"),
            ("ENVIRONMENT", " "),
            ("ENVIRONMENT", "x" * 101),
            ("BIND_HOST", "a host"),
            ("BIND_PORT", "0"),
            ("BIND_PORT", "65536"),
            ("BIND_PORT", "http"),
            ("BIND_PORT", "٩٠٠٩"),
            ("THREAD_STORE", "etcd"),
            ("THREAD_STORE_FILE", "/var/lib/"),
            ("REDIS_KEY_PREFIX", "threader*"),
            ("REDIS_KEY_PREFIX", "{threader"),
            ("REDIS_KEY_PREFIX", "{}:ts"),
            ("REDIS_KEY_PREFIX", "x" * 101),
            ("LANGUAGE", "de"),
            ("THREAD_KEY_LABELS", "alertname,alertname"),
            ("THREAD_KEY_LABELS", "alertname,"),
            ("THREAD_KEY_LABELS", "alert-name"),
            ("SEVERITY_MAP", "blocker"),
            ("SEVERITY_MAP", "blocker=terrible"),
            ("SEVERITY_MAP", "=critical"),
            ("SEVERITY_LABEL", "how-bad"),
            ("REOPEN_WINDOW", "1 hour"),
            ("STALE_AFTER", "0"),
            ("REPEAT_POLICY", "shout"),
            ("RESPONSE_WAIT", "9s"),
            ("MAX_BODY", "16M"),
            ("MAX_BODY", "0"),
            ("MAX_BODY", "2GiB"),
            ("SLACK_RATE", "0"),
            ("SLACK_RATE", "nan"),
            ("SLACK_RATE", "1/m"),
            ("SLACK_BURST", "-1"),
            ("SLACK_TIMEOUT", "0"),
            ("LOG_LEVEL", "LOUD"),
            ("LOG_FORMAT", "xml"),
            ("WEB_THREADS", "0"),
        ],
    )
    def test_refused(self, name: str, raw: str) -> None:
        """A value that does not fit is named together with what was seen."""
        told = fault(**{name: raw})
        assert told.startswith(f"{name}: {raw[:80]!r} is not allowed: ")
        assert "\n" not in told

    @pytest.mark.parametrize("setting", [each for each in SETTINGS if each.kind.bounds], ids=lambda each: each.name)
    def test_bounds_are_said(self, setting: Setting) -> None:
        """Whoever gives too much learns how much is possible, and that much is taken."""
        assert setting.kind.bounds is not None
        low, high = setting.kind.bounds
        told = fault(**{setting.name: "99999999999999999999"})
        assert all(bound in told.partition(" is not allowed: ")[2] for bound in (low, high))
        # GRACEFUL_TIMEOUT and SLACK_TIMEOUT also bound each other.
        setting.kind.parse(high.replace(",", ""))

    @pytest.mark.parametrize("rate", ["9999.5", "10000"])
    def test_rate_is_bounded(self, rate: str) -> None:
        """Not only in the number of its digits."""
        assert "up to 9,999" in fault(SLACK_RATE=rate)

    def test_every_number_has_bounds(self) -> None:
        """None of them is forgotten in the table of settings."""
        numbers = {
            each.name.upper() for each in dataclasses.fields(Settings) if each.type in (int, float, float | None)
        }
        assert {each.name for each in SETTINGS if each.kind.bounds} == numbers
        assert "SLACK_BURST" in numbers

    def test_all_faults_at_once(self) -> None:
        """Whoever corrects the settings corrects them once."""
        names = [told.split(":")[0] for told in faults({"BIND_PORT": "x", "LOG_LEVEL": "y", "THREAD_BY": "z"})]
        assert names == ["SLACK_BOT_TOKEN", "SLACK_CHANNEL", "BIND_PORT", "THREAD_BY", "LOG_LEVEL"]

    def test_protection_needs_a_token(self) -> None:
        """Otherwise /metrics would be open, against what was asked for."""
        assert "PROTECT_METRICS: needs WEBHOOK_TOKEN" in fault(PROTECT_METRICS="yes")
        assert read(PROTECT_METRICS="yes", WEBHOOK_TOKEN="open-sesame").metrics_token == Secret("open-sesame")
        assert read(WEBHOOK_TOKEN="open-sesame").metrics_token is None

    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "fd00::7", "threader.example.com"])
    def test_exposed(self, host: str) -> None:
        """Listening beyond this machine without a token is said, with what to do."""
        exposure = read(BIND_HOST=host).exposure
        assert exposure is not None
        assert host in exposure
        assert exposure.endswith("set WEBHOOK_TOKEN, or BIND_HOST=127.0.0.1")
        assert read(BIND_HOST=host, WEBHOOK_TOKEN="open-sesame").exposure is None

    @pytest.mark.parametrize(
        ("host", "url"),
        [
            ("127.0.0.1", "http://127.0.0.1:9010"),
            ("0.0.0.0", "http://127.0.0.1:9010"),
            ("::", "http://[::1]:9010"),
            ("threader.example.com", "http://threader.example.com:9010"),
        ],
    )
    def test_local_url(self, host: str, url: str) -> None:
        """Where a command on the same machine reaches the service."""
        assert read(BIND_HOST=host, BIND_PORT="9010").local_url == url

    @pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
    def test_not_exposed(self, host: str) -> None:
        """Nobody but this machine reaches these."""
        assert read(BIND_HOST=host).exposure is None

    def test_stop_outlasts_a_call(self) -> None:
        """A stop that ends before the call under way could time out would tear it."""
        assert fault(SLACK_TIMEOUT="30s").startswith("GRACEFUL_TIMEOUT: must exceed SLACK_TIMEOUT")
        assert read(SLACK_TIMEOUT="30s", GRACEFUL_TIMEOUT="31s").graceful_timeout == 31


class TestSlackIdentity:
    @pytest.mark.parametrize("channel", ["C0123456789", "G01ABCDEF", "D0123456"])
    def test_channel_ids(self, channel: str) -> None:
        """IDs of public, private and direct channels are taken as they are."""
        assert channel_fault(channel) is None
        assert read(SLACK_CHANNEL=channel).slack_channel == channel

    @pytest.mark.parametrize("channel", ["", "alerts", "#alerts", "c0123456789", "U0123456789", "C01", "C0123456789\n"])
    def test_anything_else_is_no_channel(self, channel: str) -> None:
        """A name, a user or a mistyped ID is refused, and the fault says where the ID stands."""
        told = channel_fault(channel)
        assert told is not None
        assert "channel's details" in told

    def test_name_instead_of_id(self) -> None:
        """Who gave the channel's name learns that it is the ID that counts."""
        assert "not its name" in fault(SLACK_CHANNEL="#alerts")

    @pytest.mark.parametrize(
        ("token", "hint"),
        [
            ("xoxp-12-ab", "is a user token"),
            ("xapp-1-A0-ab", "is an app-level token"),
            ("xoxe.xoxb-1-ab", "is a token that expires"),
            ("abc", "must be the"),
            ("xoxb-…", "must be the"),
        ],
    )
    def test_wrong_token(self, token: str, hint: str) -> None:
        """A token of another kind is refused with the name of the right one, and is not repeated."""
        told = fault(SLACK_BOT_TOKEN=token)
        assert hint in told
        assert "Bot User OAuth Token" in told
        assert f"{len(token)} characters" in told
        if token != "xoxb-…":
            assert token not in told


class TestSecretsFromFiles:
    def test_named_file(self, tmp_path: Path) -> None:
        """NAME_FILE names a file with the value; the line break at its end is none of it."""
        path = tmp_path / "token"
        path.write_text(TOKEN + "\n")
        settings = Settings.from_environ({"SLACK_BOT_TOKEN_FILE": str(path), "SLACK_CHANNEL": "C0123456789"})
        assert settings.slack_bot_token == Secret(TOKEN)

    def test_systemd_credential(self, tmp_path: Path) -> None:
        """A file in $CREDENTIALS_DIRECTORY, named like the setting in lower case, is read last."""
        (tmp_path / "webhook_token").write_text("from-systemd")
        folder = str(tmp_path)
        assert read(CREDENTIALS_DIRECTORY=folder).webhook_token == Secret("from-systemd")
        assert read(CREDENTIALS_DIRECTORY=folder, WEBHOOK_TOKEN="given").webhook_token == Secret("given")
        named = tmp_path / "named"
        named.write_text("from-file")
        assert read(CREDENTIALS_DIRECTORY=folder, WEBHOOK_TOKEN_FILE=str(named)).webhook_token == Secret("from-file")

    def test_set_twice(self, tmp_path: Path) -> None:
        """NAME beside NAME_FILE is a fault: nobody can know which was meant."""
        assert fault(WEBHOOK_TOKEN="a", WEBHOOK_TOKEN_FILE=str(tmp_path)) == (
            "WEBHOOK_TOKEN: is set twice, here and as WEBHOOK_TOKEN_FILE: remove one of them"
        )

    @pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe"])
    def test_unusable_file(self, tmp_path: Path, content: bytes) -> None:
        """An empty or garbled file is a fault: an open door is not what its owner wanted."""
        path = tmp_path / "webhook_token"
        path.write_bytes(content)
        assert fault(WEBHOOK_TOKEN_FILE=str(path)).startswith("WEBHOOK_TOKEN_FILE: the file ")
        assert fault(CREDENTIALS_DIRECTORY=str(tmp_path)).startswith("WEBHOOK_TOKEN as a systemd credential: ")

    def test_missing_file(self, tmp_path: Path) -> None:
        """A file that is not there is one fault, and not also an unset setting."""
        told = faults({"SLACK_BOT_TOKEN_FILE": str(tmp_path / "none"), "SLACK_CHANNEL": "C0123456789"})
        assert told == ("SLACK_BOT_TOKEN_FILE: the file cannot be read: No such file or directory",)
        assert "Is a directory" in fault(WEBHOOK_TOKEN_FILE=str(tmp_path))

    def test_secret_as_path(self) -> None:
        """A secret that was put into NAME_FILE is not repeated."""
        assert "s3cret-value" not in fault(WEBHOOK_TOKEN_FILE="s3cret-value")

    def test_file_of_the_store_is_no_secret(self) -> None:
        """THREAD_STORE_FILE is the store's file, never a place to read THREAD_STORE from."""
        assert read(THREAD_STORE="file", THREAD_STORE_FILE="/nowhere/t.json").thread_store == "file"


class TestSecrecy:
    @given(st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF), min_size=4))
    def test_faults_hold_no_secret(self, secret: str) -> None:
        """Whatever is wrong with a secret, and wherever else it was pasted, no fault repeats it."""
        names = [setting.name for setting in SETTINGS if setting.kind.secret]
        told = faults(dict.fromkeys(names, secret) | {"SLACK_CHANNEL": f"#{secret}", "BIND_PORT": secret})
        assert len(told) == len(names) + 2
        assert secret not in "\n".join(told)

    def test_swapped_token_and_channel(self) -> None:
        """A token given as the channel is told as what it is not, without being shown."""
        told = "\n".join(faults({"SLACK_BOT_TOKEN": "C0123456789", "SLACK_CHANNEL": TOKEN}))
        assert TOKEN not in told
        assert "C0123456789 characters" not in told

    def test_settings_print_no_secret(self) -> None:
        """Neither repr, str, format, asdict nor pickle of the settings or a secret shows the value."""
        settings = read(WEBHOOK_TOKEN="s3cret-value", REDIS_URL="redis://:hunter2@localhost/0")
        shown = f"{settings!r} {settings} {settings.slack_bot_token:>20} {dataclasses.asdict(settings)}"
        assert not any(each in shown for each in (TOKEN, "s3cret-value", "hunter2"))
        assert copy.copy(settings.slack_bot_token) is settings.slack_bot_token
        with pytest.raises(TypeError):
            pickle.dumps(settings)

    def test_equality(self) -> None:
        """Secrets are equal when their values are, even undecodable ones; a plain text is never one."""
        assert Secret("a") == Secret("a")
        assert len({Secret("a"), Secret("a"), Secret("b")}) == 2
        assert Secret("\udcff") != Secret("ÿ")
        assert Secret("a") != "a"

    def test_secrets_to_redact(self) -> None:
        """All that must not be logged is at hand, Redis's password without its harmless address."""
        settings = read(WEBHOOK_TOKEN="hook", REDIS_URL="redis://:p%40ss@localhost/0")
        assert {each.reveal() for each in settings.secrets()} == {TOKEN, "hook", "p%40ss", "p@ss"}
        assert read().secrets() == (Secret(TOKEN),)

    @pytest.mark.parametrize(
        ("text", "clean"),
        [
            ("token xoxb-1-a_B, xapp-2-c", "token [redacted], [redacted]"),
            ("xoxe.xoxp-1-abc", "[redacted]"),
            ("redis://user:pa:ss@db:6379/0", "redis://[redacted]@db:6379/0"),
            ("http://db:6379/a@b", "http://db:6379/a@b"),
            ("longer-secret longer", "[redacted] [redacted]"),
            ("abc stays", "abc stays"),
        ],
    )
    def test_redactor(self, text: str, clean: str) -> None:
        """Known secrets, Slack tokens and logins in URLs are taken out; very short secrets are not."""
        assert redactor([Secret("longer"), Secret("longer-secret"), Secret("abc")])(text) == clean


class TestDurations:
    @given(st.fixed_dictionaries({}, optional={unit: st.integers(0, 40) for unit in UNITS}))
    @example({"y": 292})
    @example({"ms": 1})
    def test_round_trip(self, parts: dict[str, int]) -> None:
        """Any selection of units in Prometheus's order means the sum of its parts, in seconds."""
        text = "".join(f"{parts[unit]}{unit}" for unit in UNITS if unit in parts) or "0"
        assert parse_duration(text) == pytest.approx(sum(number * UNITS[unit] for unit, number in parts.items()))

    @pytest.mark.parametrize(
        "text", ["", "1", "s", "1.5h", "-1s", "1m1h", "1s1s", "1ms1s", " 1s", "1s\n", "1H", "٣s", "293y"]
    )
    def test_refused(self, text: str) -> None:
        """What Prometheus refuses is refused: no unit, wrong order, fractions, signs, over 292 years."""
        with pytest.raises(ValueError, match="duration"):
            parse_duration(text)

    @given(st.text("0123456789ywdhms .-", max_size=12))
    def test_never_anything_but_a_number(self, text: str) -> None:
        """Any text is a duration of 0 or more, or a ValueError."""
        try:
            assert parse_duration(text) >= 0
        except ValueError:
            assert text != "0"


class TestMisspelt:
    @pytest.mark.parametrize(
        ("name", "meant"),
        [
            ("SLACK_CHANEL", "SLACK_CHANNEL"),
            ("SALCK_CHANNEL", "SLACK_CHANNEL"),
            ("slack_channel", "SLACK_CHANNEL"),
            ("SLACK-CHANNEL", "SLACK_CHANNEL"),
            ("BIND_PROT", "BIND_PORT"),
            ("THREADSTORE", "THREAD_STORE"),
            ("SLACK_TIME_OUT", "SLACK_TIMEOUT"),
            ("REDIS_URI", "REDIS_URL"),
            ("LOG_LEVL", "LOG_LEVEL"),
            ("ENVIROMENT", "ENVIRONMENT"),
            ("SLACK_BOT_TOKN_FILE", "SLACK_BOT_TOKEN_FILE"),
            ("webhook_token_file", "WEBHOOK_TOKEN_FILE"),
            ("THREAD_STORE_FIL", "THREAD_STORE_FILE"),
            ("CREDENTIAL_DIRECTORY", "CREDENTIALS_DIRECTORY"),
        ],
    )
    def test_named(self, name: str, meant: str) -> None:
        """A slip of the finger, another case, another way to divide the words: the right name is said, no value."""
        assert misspelt_in(LEAST | {name: "s3cret-value"}) == [f"{name}: did you mean {meant}?"]

    @pytest.mark.parametrize(
        ("name", "meant"), [("SLACK_TOKEN", "SLACK_BOT_TOKEN"), ("SLACK_CHANNEL_ID", "SLACK_CHANNEL")]
    )
    def test_names_that_explain_what_is_missing(self, name: str, meant: str) -> None:
        """They may be another program's, so they are only named while ours is missing."""
        assert misspelt_in(LEAST | {name: "x"}) == []
        assert faults({name: "x"})[-1] == f"{name}: did you mean {meant}?"

    @pytest.mark.parametrize(
        "name",
        [
            "REDIS_PORT_6379_TCP",
            "REDIS_SERVICE_HOST",
            "THREAD_STORE_SERVICE_PORT",
            "REDIS_HOST",
            "REDIS_USER",
            "REDIS_SENTINEL_HOST",
            "REDIS_SENTINEL_PORT",
            "SLACK_WEBHOOK_URL",
            "SLACK_SIGNING_SECRET",
            "SLACK_APP_TOKEN",
            "SLACK_USERNAME",
            "WEB_PORT",
            "WEBHOOK_URL",
            "LANG",
            "LOG_DIR",
            "STATE_DIRECTORY",
            "HTTP_TIMEOUT",
            "GUNICORN_CMD_ARGS",
        ],
    )
    def test_other_programs(self, name: str) -> None:
        """What belongs to another program, or is Kubernetes' word on a service, raises no alarm."""
        assert misspelt_in(LEAST | {name: "x"}) == []

    def test_services_of_kubernetes(self) -> None:
        """A service may be called so that its variables are nearly ours: their value gives them away."""
        assert misspelt_in(LEAST | {"BND_PORT": "tcp://10.0.0.1:80"}) == []
        assert misspelt_in(LEAST | {"BND_PORT": "80"}) == ["BND_PORT: did you mean BIND_PORT?"]

    def test_empty_counts_as_unset(self) -> None:
        """There is nothing that would get lost."""
        assert misspelt_in(LEAST | {"SLACK_CHANEL": ""}) == []

    def test_only_secrets_have_files(self) -> None:
        """Who gives the channel in a file learns that it is not read from there."""
        (said,) = misspelt_in(LEAST | {"SLACK_CHANNEL_FILE": "/run/channel"})
        assert said == "SLACK_CHANNEL_FILE: is not read, only secrets can stand in a file: set SLACK_CHANNEL"

    def test_credentials(self, tmp_path: Path) -> None:
        """A file in systemd's folder whose name is nearly a secret's is named; what else is there is not."""
        for name in ("slack_bot_tokn", "webhook_token", "slack_channel", "tls.crt", "REDIS_URL"):
            (tmp_path / name).write_text("s3cret-value")
        assert misspelt_in({**LEAST, "CREDENTIALS_DIRECTORY": str(tmp_path)}) == [
            "$CREDENTIALS_DIRECTORY/REDIS_URL: did you mean redis_url?",
            "$CREDENTIALS_DIRECTORY/slack_bot_tokn: did you mean slack_bot_token?",
            "$CREDENTIALS_DIRECTORY/slack_channel: is not read, only secrets can stand in a file: set SLACK_CHANNEL",
        ]
        assert misspelt_in({**LEAST, "CREDENTIALS_DIRECTORY": "/nowhere"}) == []

    def test_beside_the_faults(self) -> None:
        """They explain each other, so they are said together."""
        told = faults({"SLACK_BOT_TOKEN": TOKEN, "SLACK_CHANEL": "C0123456789"})
        assert [each.partition(":")[0] for each in told] == ["SLACK_CHANNEL", "SLACK_CHANEL"]

    @given(st.text(st.characters(exclude_characters="=\0", exclude_categories=["Cs"]), min_size=1))
    @example("SLACK_CHANEL\n")
    def test_any_name(self, name: str) -> None:
        """Whatever stands in the environment, what is said of it is one line."""
        assert all(len(each.splitlines()) == 1 for each in misspelt_in(LEAST | {name: "x"}))


_AM = "http://am-0:9093"


class TestTwoWay:
    """The settings of presses and silences, and how they go together."""

    def test_what_is_read(self) -> None:
        """Clusters with their members, headers, durations as they are written, who may press."""
        settings = read(
            ALERTMANAGER_URL="http://am-0:9093,http://am-1:9093/  https://eu/alertmanager",
            ALERTMANAGER_HEADERS="X-Scope-OrgID=team-a, X-More = b=c",
            SILENCE_DURATIONS="30m, 1h30m",
            ALLOWED_TO_PRESS="U0123456789, S0123456789",
        )
        found = [settings.alertmanager_url, settings.alertmanager_headers, settings.silence_durations]
        assert found == [
            (("http://am-0:9093", "http://am-1:9093"), ("https://eu/alertmanager",)),
            (("X-Scope-OrgID", "team-a"), ("X-More", "b=c")),
            (("30m", 1800), ("1h30m", 5400)),
        ]
        assert list(settings.allowed_to_press) == ["U0123456789", "S0123456789"]
        assert not read(ALLOWED_TO_PRESS="channel").allowed_to_press
        assert not settings.takes_presses

    @pytest.mark.parametrize(
        ("environ", "line"),
        [
            ({"SLACK_APP_TOKEN": TOKEN}, "is a bot token, but must be an app-level token (xapp-…)"),
            ({"SLACK_SIGNING_SECRET": "xapp-1-abc"}, 'is a token, but must be the "Signing Secret"'),
            ({"SLACK_APP_TOKEN": "xapp-1-a", "SLACK_SIGNING_SECRET": "0123456789abcdef"}, "presses come one way"),
            ({"SILENCE_MAX": "1d"}, "SILENCE_MAX: needs ALERTMANAGER_URL"),
            ({"ALERTMANAGER_TOKEN": "t"}, "ALERTMANAGER_TOKEN: needs ALERTMANAGER_URL"),
            ({"ALERTMANAGER_URL": _AM, "SILENCE_DURATIONS": "1h,8d"}, "SILENCE_DURATIONS: 8d is longer than"),
            ({"ALERTMANAGER_URL": _AM, "SILENCE_DURATIONS": "500ms"}, "up to 20 durations from 1s"),
            ({"ALERTMANAGER_URL": _AM, "ALERTMANAGER_USER": "u"}, "needs ALERTMANAGER_PASSWORD"),
            (
                {
                    "ALERTMANAGER_URL": _AM,
                    "ALERTMANAGER_TOKEN": "t",
                    "ALERTMANAGER_USER": "u",
                    "ALERTMANAGER_PASSWORD": "p",
                },
                "log in with a token or with user and password",
            ),
            ({"ALERTMANAGER_URL": "http://user:pass@am:9093"}, "http or https URLs without user"),
            ({"ALERTMANAGER_URL": f"{_AM} {_AM}"}, "each once"),
            ({"ALERTMANAGER_URL": _AM, "ALERTMANAGER_HEADERS": "no value"}, "name=value separated by commas"),
            ({"ALLOWED_TO_PRESS": "@kim"}, "channel, or IDs of users"),
        ],
    )
    def test_faults(self, environ: dict[str, str], line: str) -> None:
        """One line each, and never a secret."""
        said = fault(**environ)
        assert line in said
        assert "pass@" not in said
        assert TOKEN not in said
