"""Which thread an alert belongs to, and what tells it from the others there."""

import pytest

from alert_threader.threads import Identity, ThreadBy, changes, thread_key
from alert_threader.threads.keys import spaced
from tests.build import alert, notification

IDENTITY = Identity(environment="production", channel="C0DEFAULT01")
BY_GROUP = Identity(environment="e", channel="C1", by=ThreadBy.GROUP)


def test_is_made_of_the_key_labels_and_the_environment() -> None:
    """In the documented order."""
    labels = {"alertname": "A", "severity": "critical", "service": "db", "cluster": "eu", "instance": "x"}
    assert thread_key(labels, IDENTITY) == "A|critical|db|eu|production"


def test_missing_labels_have_defaults() -> None:
    """An empty label is a missing one, as in Prometheus."""
    assert thread_key({"service": ""}, IDENTITY) == "unknown|info|unknown|default|production"


def test_bar_inside_a_value_is_written_otherwise() -> None:
    """A label cannot pretend to be two."""
    assert thread_key({"alertname": "a|b"}, IDENTITY).startswith("a%7Cb|")


def test_labels_can_be_chosen() -> None:
    """THREAD_KEY_LABELS."""
    identity = Identity(environment="e", channel="C1", labels=("alertname", "namespace"))
    assert thread_key({"alertname": "A", "namespace": "n"}, identity) == "A|n|e"


def test_other_channel_is_another_thread() -> None:
    """The same alert in two channels is two threads; the default channel is not named."""
    hook = notification(alert("a"))
    assert changes(hook, IDENTITY)[0].key == "Down|critical|unknown|default|production"
    assert changes(hook, IDENTITY, "C0DATABASE1")[0].key.endswith("|production@C0DATABASE1")
    assert changes(hook, IDENTITY, "C0DEFAULT01")[0].key == changes(hook, IDENTITY)[0].key


def test_one_notification_may_concern_several_threads() -> None:
    """Each alert goes to its own, in the order of first mention."""
    other = alert("b", labels={"alertname": "Other"})
    found = changes(notification(alert("a"), other, alert("c")), IDENTITY)
    assert [len(each.alerts) for each in found] == [2, 1]


def test_group_is_one_thread_whatever_its_labels() -> None:
    """THREAD_BY=group."""
    found = changes(notification(alert("a"), alert("b", labels={"alertname": "B"})), BY_GROUP)
    assert len(found) == 1
    assert found[0].key.startswith("alertname=A|e#")


def test_group_without_labels_has_a_key() -> None:
    """A route that groups by nothing."""
    assert changes(notification(group_labels={}), BY_GROUP)[0].key.startswith("group|e#")


def test_same_group_labels_of_two_routes_do_not_collide() -> None:
    """The receiver and the group key tell them apart."""
    one = changes(notification(alert("a")), BY_GROUP)[0].key
    assert one != changes(notification(alert("a"), receiver="other"), BY_GROUP)[0].key
    assert one != changes(notification(alert("a"), group_key="{}/{x=1}"), BY_GROUP)[0].key


def test_huge_label_makes_a_bounded_key() -> None:
    """Two that differ at the end only stay apart."""
    keys = {changes(notification(alert("a", labels={"alertname": "x" * 9999 + end})), IDENTITY)[0].key for end in "ab"}
    assert len(keys) == 2
    assert max(map(len, keys)) <= 400


@pytest.mark.parametrize(
    ("labels", "key", "identity"),
    [
        ({"alertname": "A", "zone": "z"}, "A|info|unknown|default|production", {"alertname"}),
        ({"alertname": "A", "env": "staging"}, "A|info|unknown|default|staging", {"alertname", "env"}),
        (
            {"alertname": "A", "env": "x", "environment": "eu", "service": "s"},
            "A|info|s|default|eu",
            {"alertname", "environment", "service"},
        ),
        ({"alertname": "A", "env": ""}, "A|info|unknown|default|production", {"alertname"}),
        (
            {"alertname": "Slow", "grafana_folder": "Ops"},
            "Ops/Slow|info|unknown|default|production",
            {"alertname", "grafana_folder"},
        ),
        (
            {"alertname": "DatasourceNoData", "grafana_folder": "Ops", "rulename": "Age", "ref_id": "A"},
            "Ops/DatasourceNoData:Age|info|unknown|default|production",
            {"alertname", "grafana_folder", "rulename"},
        ),
        (
            {"alertname": "DatasourceError", "rulename": "Age"},
            "DatasourceError:Age|info|unknown|default|production",
            {"alertname", "rulename"},
        ),
        (
            {"alertname": "", "severity": "error", "event": "down", "domain": "a|b", "env": "x"},
            "domain=a%7Cb,event=down|error|unknown|default|x",
            {"severity", "event", "domain", "env"},
        ),
    ],
)
def test_what_makes_a_thread(labels: dict[str, str], key: str, identity: set[str]) -> None:
    """An alert's own environment, Grafana's folder and rule, and without a name what else it carries.

    All of that is what a silence may not do without, and that the others are missing too.
    """
    (found,) = changes(notification(alert("a", labels=labels)), IDENTITY)
    assert thread_key(labels, IDENTITY) == found.key == key
    given = {name: value for name, value in found.identity.items() if value}
    assert given == {name: labels[name] for name in identity}
    missing = {"alertname", "severity", "service", "cluster", "environment"} - labels.keys()
    assert {name: found.identity[name] for name in missing} == dict.fromkeys(missing, "")


def test_first_release_gave_it_another_key() -> None:
    """It is known, so that an open thread under it goes on."""
    (found,) = changes(notification(alert("a", labels={"alertname": "A", "env": "staging"})), IDENTITY, "C0DATABASE1")
    assert found.former is not None
    assert found.former.key == "A|info|unknown|default|production@C0DATABASE1"
    (same,) = changes(notification(alert("a")), IDENTITY)
    assert same.former is None


def test_group_has_the_environment_of_its_labels() -> None:
    """THREAD_BY=group."""
    (found,) = changes(notification(group_labels={"env": "staging"}), BY_GROUP)
    assert "|staging#" in found.key
    assert found.identity == {"env": "staging"}
    assert found.former is not None
    assert "|e#" in found.former.key


@pytest.mark.parametrize(
    ("alertname", "words"),
    [
        ("HTTPErrorRate", "HTTP Error Rate"),
        ("disk_full", "disk full"),
        ("MySQLDown", "MySQL Down"),
        ("InfluxDBDown", "InfluxDB Down"),
        ("IPv4Full", "IPv4 Full"),
        ("OAuth2Failed", "OAuth2 Failed"),
        ("mTLSExpired", "mTLS Expired"),
        ("S3BucketFull", "S3 Bucket Full"),
        ("__", "__"),
        ("", ""),
    ],
)
def test_alertname_is_written_as_a_person_would(alertname: str, words: str) -> None:
    """In words, where it is made of any."""
    assert spaced(alertname) == words


@pytest.mark.parametrize(
    "alertname",
    [
        "Freezer 2 above -18°C",
        "disk_will-fill",
        "IPv4 drops > 5%",
        "p99_latency/api",
        "a - b",
        "Tür_offen!",
        "5xx-Rate",
    ],
)
def test_name_that_a_person_wrote_stays_as_it_is(alertname: str) -> None:
    """Every sign of it has its meaning."""
    words = alertname
    assert spaced(alertname) == words
