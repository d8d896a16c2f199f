"""The settings of a command that needs only some of them."""

from collections.abc import Collection, Mapping

from alert_threader.settings.settings import Settings

#: Stand in where the settings ask for a token and a channel that the command does not use.
_UNUSED = {"SLACK_BOT_TOKEN": "xoxb-unused", "SLACK_CHANNEL": "C0123456789"}
#: Where a secret's value can be found instead of in its own variable (config.py).
_SOURCES = ("{}", "{}_FILE")


def settings_of(names: Collection[str], environ: Mapping[str, str]) -> Settings:
    """Read these settings; the others have their defaults, whatever the environment says. Raises ConfigError.

    So ``render`` works on a machine that has no token, and is not stopped by a port that is none.
    """
    wanted = {source.format(name) for name in names for source in _SOURCES} | {"CREDENTIALS_DIRECTORY"}
    return Settings.from_environ(_UNUSED | {name: environ[name] for name in wanted if environ.get(name)})
