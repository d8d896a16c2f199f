"""What is read of Alertmanager's own configuration, whatever stands in it."""

import time

import pytest

from alert_threader.alertmanager.configuration import read_configuration
from alert_threader.alertmanager.model import DEFAULTS, Configuration


def interval_of(route: str) -> float:
    """The largest group_interval, in seconds, with this as the route."""
    return read_configuration(f"route: {route}").group_interval


class TestGroupInterval:
    """The largest one of all routes."""

    @pytest.mark.parametrize(
        ("given", "seconds"),
        [
            ("30s", 30),
            ("5m", 300),
            ("1h30m", 5400),
            ("1d", 86_400),
            ("1w2d", 777_600),
            ("1y", 31_536_000),
            ("500ms", 0.5),
            ("1m500ms", 60.5),
            ("0", 0),
            ("0s", 0),
            ("'5m'", 300),
            ("!!str 5m", 300),
        ],
    )
    def test_a_duration(self, given: str, seconds: float) -> None:
        """As Prometheus writes them."""
        assert interval_of(f"{{group_interval: {given}}}") == seconds

    @pytest.mark.parametrize(
        "given", ["", "null", "soon", "5", "5 m", "-5m", "1.5h", "[5m]", "{a: 5m}", "9" * 5000 + "s"]
    )
    def test_no_duration(self, given: str) -> None:
        """It counts as not given."""
        assert interval_of(f"{{group_interval: {given}}}") == 300

    def test_absent(self) -> None:
        """Alertmanager's default."""
        assert interval_of("{receiver: a}") == 300

    def test_children_inherit(self) -> None:
        """A child without one has its parent's, not the default."""
        assert interval_of("{group_interval: 10s, routes: [{receiver: a, routes: [{receiver: b}]}]}") == 10

    def test_the_largest_counts(self) -> None:
        """However deep its route is, and although its siblings and children have shorter ones."""
        nested = "{group_interval: 10s, routes: [{routes: [{group_interval: 2h, routes: [{group_interval: 1s}]}]}, {}]}"
        assert interval_of(nested) == 7200

    def test_anchors(self) -> None:
        """What a route merges from another one is its own; what it says itself comes first."""
        merged = "{group_interval: 10s, routes: [&a {group_interval: 20m}, {<<: *a, receiver: b}, {<<: *a}]}"
        assert interval_of(merged) == 1200
        own = "{group_interval: 10s, routes: [&a {group_interval: 20s}, {<<: *a, group_interval: 1m}, *a]}"
        assert interval_of(own) == 60


class TestTimedReceivers:
    """Those with a route that a time interval mutes."""

    @pytest.mark.parametrize("kind", ["mute_time_intervals", "active_time_intervals"])
    def test_not_inherited(self, kind: str) -> None:
        """Children have none of their own accord; they inherit the receiver."""
        text = f"""
        route:
          receiver: top
          routes:
            - receiver: night
              {kind}: [nights]
              routes:
                - receiver: child
                - matchers: [a="b"]
            - routes:
                - {kind}: [nights]
        """
        assert read_configuration(text).timed_receivers == {"night", "top"}

    @pytest.mark.parametrize("given", ["[]", "null", "~", "", "nights", "{}"])
    def test_none(self, given: str) -> None:
        """An empty list, or none, mutes nobody."""
        assert not read_configuration(f"route: {{receiver: a, mute_time_intervals: {given}}}").timed_receivers


class TestTrouble:
    """What cannot be read counts as not given: nothing is raised, run or kept."""

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "\0",
            "route",
            "- route\n- other",
            "route: 5m",
            "route: [a, b]",
            "route: {routes: 5, receiver: [a]}",
            "route: {routes: [a, [b], 5]}",
            "route: {group_interval: 1h",
            "route: *nobody",
            "a: 1\n---\nroute: {group_interval: 1h}",
            "route: &r {group_interval: 1h, routes: [*r]}",
            "route: &r {<<: *r}",
            "? [a]\n: b\nroute: {group_interval: 1h}",
            "\ud800",
            *(
                f"a: {tag} ''\nroute: {{}}"
                for tag in ("!!int", "!!bool", "!!float", "!!timestamp", "!!null", "!!binary")
            ),
        ],
    )
    def test_of_no_use(self, text: str) -> None:
        """All is at its default."""
        assert read_configuration(text) == DEFAULTS

    @pytest.mark.parametrize(
        "tag",
        [
            "!!python/object:os.system",
            "!!python/object/apply:os._exit [7]\nb:",
            "!!python/name:os.system",
            "!!int",
            "!!bool",
            "!!timestamp",
            "!secret",
        ],
    )
    def test_tags(self, tag: str) -> None:
        """They mean nothing, and take nothing from the rest."""
        assert read_configuration(f"a: {tag} x\nroute: {{group_interval: 1h}}").group_interval == 3600

    @pytest.mark.parametrize("depth", [200, 5000, 200_000])
    @pytest.mark.parametrize("text", ["[", "{routes: [", "- ", "{a: "])
    def test_deep_nesting(self, depth: int, text: str) -> None:
        """It does not end the process, closed or not."""
        ends = "".join({"[": "]", "{": "}"}.get(letter, "") for letter in reversed(text))
        assert read_configuration(text * depth) == DEFAULTS
        assert read_configuration(f"route: {text * depth}x{ends * depth}") == DEFAULTS

    def test_aliases_that_multiply(self) -> None:
        """A short text that stands for a million million routes takes no longer than a long one."""
        levels = ["l0: &l0 {group_interval: 1h}"]
        levels += [f"l{each}: &l{each} {{routes: [{', '.join([f'*l{each - 1}'] * 10)}]}}" for each in range(1, 13)]
        started = time.monotonic()
        assert read_configuration("\n".join([*levels, "route: *l12"])).group_interval == 3600
        assert time.monotonic() - started < 5

    def test_a_long_chain_of_aliases(self) -> None:
        """One route below another, thousands deep."""
        chain = ["l0: &l0 {}", *(f"l{each}: &l{each} {{routes: [*l{each - 1}]}}" for each in range(1, 5000))]
        assert read_configuration("\n".join([*chain, "route: *l4999"])) == DEFAULTS

    def test_a_large_one(self) -> None:
        """A megabyte of routes is read to its end, in seconds."""
        lines = [f"    - {{receiver: r{each}, matchers: ['a=\"{each}\"']}}" for each in range(23_000)]
        text = "\n".join(["route:", "  routes:", *lines, "    - {receiver: last, group_interval: 1h}", "receivers: []"])
        assert len(text) > 1_000_000
        started = time.monotonic()
        assert read_configuration(text) == Configuration(group_interval=3600)
        assert time.monotonic() - started < 10

    def test_passwords_are_not_kept(self) -> None:
        """Nothing of the text but names of receivers is in what was read."""
        text = (
            "global: {smtp_auth_password: hunter2, slack_api_url: https://hooks.example.com/hunter2}\n"
            "route: {receiver: a, mute_time_intervals: [hunter2]}\n"
            "receivers: [{name: a, webhook_configs: [{url: https://a:hunter2@example.com}]}]"
        )
        assert "hunter2" not in repr(read_configuration(text))
