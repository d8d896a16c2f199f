"""The chart in ``deploy/helm/``: linted, rendered, and held to the same as the manifests of kustomize."""

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import msgspec
import pytest

from alert_threader import __version__
from alert_threader.settings.settings import SETTINGS
from tests.deploy.kustomize import load
from tests.deploy.manifests import (
    CHART,
    RULES,
    SECRETS,
    Object,
    check_all,
    check_prometheus_rule,
    check_service_monitor,
    container,
    environment,
    library,
    mounted,
    of_kind,
    only,
    pod,
    settings,
)

VALUES = Path(__file__).parent / "values"
CASES = sorted(path.stem for path in VALUES.glob("*.yaml"))
#: Objects that are the reader's, and so not of the chart.
OTHERS = {
    "file": {"Secret": ["alert-threader"]},
    "redis": {"Secret": ["alert-threader", "redis"]},
    "every-file": {},
    "every-redis": {"Secret": ["tokens", "redis"], "ServiceAccount": ["shared"]},
    "claim": {"Secret": ["alert-threader"], "PersistentVolumeClaim": ["threads"]},
    "url": {"Secret": ["tokens"]},
    "two-way": {},
}
#: Variables that are no settings.
EXTRA = {"HTTPS_PROXY", "SSL_CERT_FILE"}
#: What `store` and `secrets` decide.
DECIDED = {setting.name for setting in SETTINGS if setting.kind.secret} | {"THREAD_STORE", "THREAD_STORE_FILE"}

Values = dict[str, Any]


def values(case: str, *changes: Values) -> Values:
    """The values of a file, changed."""
    found: Values = load(VALUES / f"{case}.yaml")
    for change in changes:
        merge(found, change)
    return found


def merge(target: Values, change: Values) -> None:
    """Set what a change says, as Helm does it with the values of several files."""
    for name, value in change.items():
        if isinstance(value, dict) and isinstance(target.get(name), dict):
            merge(target[name], value)
        else:
            target[name] = deepcopy(value)


def render(given: Values, release: str = "alert-threader") -> dict[str, str]:
    """What the chart makes, by file."""
    with library("helm_python.chart").Chart.load(CHART) as chart:
        rendered: dict[str, str] = chart.render(given, name=release, namespace="monitoring")
    return {Path(name).name: text for name, text in rendered.items() if text.strip()}


def made(given: Values, release: str = "alert-threader") -> list[Object]:
    """The objects that the chart makes."""
    rendered = render(given, release)
    return [msgspec.yaml.decode(text) for name, text in rendered.items() if name.endswith(".yaml")]


def refusal(given: Values) -> str:
    """Why the chart does not take values: its only line, without what Helm writes around it."""
    errors = library("helm_python.errors")
    with pytest.raises((errors.HelmValuesError, errors.HelmRenderError)) as raised:
        render(given)
    (line,) = [
        line
        for line in str(raised.value).splitlines()
        if line and not line.startswith(("values don't meet", "alert-threader:"))
    ]
    return line


@pytest.mark.parametrize("case", CASES)
def test_an_installation_is_right(case: str, tmp_path: Path) -> None:
    """Schemas, probes, resources, security, settings, secrets as files, store, stop, references and selectors."""
    objects = made(values(case))
    check_all(objects, tmp_path, others=OTHERS[case], extra=EXTRA)


@pytest.mark.parametrize("release", ["alert-threader", "production", "a" * 53])
def test_a_release_has_any_name(release: str, tmp_path: Path) -> None:
    """Of up to 53 characters, which is Helm's limit."""
    objects = made(values("file"), release)
    check_all(objects, tmp_path, others=OTHERS["file"], extra=())
    check_names(objects)
    assert only(objects, "Service")["metadata"]["name"].startswith(release)


@pytest.mark.parametrize("name", ["nameOverride", "fullnameOverride"])
def test_a_long_name_is_cut(name: str) -> None:
    """Where Kubernetes would not take it."""
    check_names(made(values("file", {name: "n" * 62 + "-threader"})))


def check_names(objects: list[Object]) -> None:
    """Assert that names and labels are short enough (the name of a Service is a label of DNS)."""
    for each in objects:
        for text in (each["metadata"]["name"], *each["metadata"]["labels"].values()):
            assert re.fullmatch("[a-zA-Z0-9]([-.a-zA-Z0-9]{0,61}[a-zA-Z0-9])?", text)


@pytest.mark.parametrize("case", CASES)
def test_helm_lint_finds_nothing(case: str) -> None:
    """Nor anything that it would only advise against, but for the icon that we do not have."""
    report = library("helm_python.chart").lint(str(CHART), values(case), strict=True)
    assert not report["errors"]
    assert [each["error"] for each in report["messages"]] == ["icon is recommended"]


def test_the_chart_is_of_this_version() -> None:
    """It comes with the service, and a clone builds the image that it names."""
    about = load(CHART / "Chart.yaml")
    assert (about["version"], about["appVersion"]) == (__version__, __version__)
    assert container(made(values("file")))["image"] == f"alert-threader:{__version__}"


def test_the_namespace_is_that_of_the_release() -> None:
    """So no object names one of its own."""
    for case in CASES:
        assert not [each for each in made(values(case)) if "namespace" in each["metadata"]]


# -- values -----------------------------------------------------------------------------------------------------------


def leaves(tree: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Each value of a tree that is not a tree itself, with its path; of an empty one, the tree."""
    if isinstance(tree, dict) and tree:
        for name, value in tree.items():
            yield from leaves(value, (*path, name))
    else:
        yield path, tree


def at(tree: Any, path: tuple[str, ...]) -> Any:
    """The value at a path."""
    for name in path:
        tree = tree[name]
    return tree


def without(tree: Values, path: tuple[str, ...]) -> Values:
    """The same values, but for one."""
    found = deepcopy(tree)
    del at(found, path[:-1])[path[-1]]
    return found


def test_every_value_is_set_somewhere() -> None:
    """The cases set each value that the chart has to something else, and each setting."""
    every = [values(case) for case in CASES]
    missed = []
    for path, default in leaves(load(CHART / "values.yaml")):
        given = []
        for case in every:
            try:
                given.append(at(case, path))
            except KeyError:
                continue
        if not any(value != default for value in given):
            missed.append(".".join(path))
    # Handed on as a whole, so that one more field shows that it is; what is strict stays so.
    assert {each.split(".")[0] for each in missed} <= {"podSecurityContext", "securityContext"}
    assert {name for case in every for name in case["settings"]} == {each.name for each in SETTINGS} - DECIDED


@pytest.mark.parametrize("case", CASES)
def test_every_value_does_something(case: str) -> None:
    """Without it the chart makes something else, or refuses."""
    given = values(case)
    rendered = render(given)
    idle = []
    for path, _ in leaves(given):
        try:
            same = render(without(given, path)) == rendered
        except library("helm_python.errors").HelmError:
            continue
        if same:
            idle.append(".".join(path))
    assert not idle


def test_the_schema_has_every_value_and_setting() -> None:
    """So that what is misspelt is refused: a name that is missing there could not be set."""
    schema = json.loads((CHART / "values.schema.json").read_text("utf-8"))
    assert set(schema["properties"]) == {*load(CHART / "values.yaml"), "global"}
    assert set(schema["properties"]["settings"]["properties"]) == {each.name for each in SETTINGS} - DECIDED


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            {"replicas": 2},
            "replicas: must be 1 with store.type=file: one process owns the file; use store.type=redis for",
        ),
        ({"settings": {"WEB_CONCURRENCY": 2}}, "settings.WEB_CONCURRENCY: must be 1 with store.type=file"),
        ({"settings": {"SLACK_CHANNEL": ""}}, "settings.SLACK_CHANNEL: is not set: the ID of the channel"),
        (
            {"settings": {"SLACK_CHANNEL": "#alerts"}},
            "settings.SLACK_CHANNEL: '#alerts' is not allowed: must be a channel",
        ),
        (
            {"settings": {"SLACK_CHANEL": "C0123456789"}},
            "'/settings': additional properties 'SLACK_CHANEL' not allowed",
        ),
        ({"settings": {"WEBHOOK_TOKEN": "word"}}, "'/settings': additional properties 'WEBHOOK_TOKEN' not allowed"),
        ({"settings": {"THREAD_STORE": "redis"}}, "'/settings': additional properties 'THREAD_STORE' not allowed"),
        ({"settings": {"BIND_PORT": "http"}}, "'/settings/BIND_PORT': got string, want null or integer"),
        ({"settings": {"NAME_LABELS": ["pod"]}}, "'/settings/NAME_LABELS': got array, want"),
        ({"replica": 2}, "'': additional properties 'replica' not allowed"),
        ({"replicas": "2"}, "'/replicas': got string, want integer"),
        ({"store": {"type": "sqlite"}}, "'/store/type': value must be one of 'file', 'redis'"),
        (
            {"store": {"type": "redis"}},
            "store.redis: where is Redis? Name a Secret that holds its URL in existingSecret",
        ),
        ({"store": {"redis": {"url": "redis://redis"}}}, "store.redis: is not used with store.type=file"),
        (
            {"store": {"persistence": {"accessModes": ["ReadWriteMany"]}}},
            "'/store/persistence/accessModes/0': value must",
        ),
        ({"secrets": {"existingSecret": ""}}, "secrets.slackBotToken: is not set: name a Secret"),
        ({"secrets": {"webhookToken": "word"}}, "secrets: existingSecret holds both tokens"),
        ({"ingress": {"enabled": True}}, "ingress.host: is not set"),
        ({"extraEnv": [{"name": "SLACK_CHANNEL", "value": "C1"}]}, "extraEnv: SLACK_CHANNEL is set twice"),
        ({"extraEnv": [{"name": "REDIS_URL", "value": "redis://r"}]}, "extraEnv: REDIS_URL is a secret"),
        ({"extraEnv": [{"name": "THREAD_STORE", "value": "redis"}]}, "extraEnv: the chart sets THREAD_STORE"),
        (
            {"image": {"repository": "alert-threader:0.2.0"}},
            "'/image/repository': 'alert-threader:0.2.0' does not match",
        ),
    ],
)
def test_nonsense_is_refused_in_one_line(change: Values, line: str) -> None:
    """Which names the value, and where it can, says what to do."""
    assert line in refusal(values("file", change))


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            {"secrets": {"slackBotToken": "hidden-token", "webhookToken": "word"}},
            "secrets.slackBotToken: must be the Slack",
        ),
        (
            {"secrets": {"slackBotToken": "xoxb-1", "webhookToken": "hidden token"}},
            "secrets.webhookToken: must be printable",
        ),
        ({"secrets": {"slackBotToken": "xoxb-1"}}, "secrets.webhookToken: is not set"),
        ({"store": {"type": "redis", "redis": {"url": "hidden:6379"}}}, "store.redis.url: must be a URL"),
    ],
)
def test_a_wrong_secret_is_refused_without_being_shown(change: Values, line: str) -> None:
    """What Helm says may stand in the log of a pipeline."""
    own = {"secrets": {"existingSecret": "", "slackBotToken": "xoxb-1", "webhookToken": "word"}}
    if change.get("secrets", {}).keys() == {"slackBotToken"}:
        own["secrets"]["webhookToken"] = ""
    said = refusal(values("file", own, change))
    assert line in said
    assert "hidden" not in said


def test_a_claim_is_refused_with_redis() -> None:
    """It would hold nothing."""
    change = {"store": {"persistence": {"existingClaim": "threads"}}}
    assert "store.persistence.existingClaim: is not used" in refusal(values("redis", change))


# -- what the values make ---------------------------------------------------------------------------------------------


def test_settings_arrive_as_they_were_given(tmp_path: Path) -> None:
    """Numbers and switches too, which YAML does not keep as text."""
    given = values("every-file")["settings"]
    read = settings(made(values("every-file")), tmp_path)
    assert (read.max_body, read.protect_metrics, read.slack_rate, read.bind_host) == (8_000_000, True, 0.5, "::")
    shown = environment(made(values("every-file")))
    assert shown["MAX_BODY"] == "8000000"
    assert set(given) <= set(shown)


def test_a_setting_of_null_is_left_out() -> None:
    """As a value of null is with Helm: the service's own default holds."""
    assert "BIND_HOST" not in environment(made(values("file", {"settings": {"BIND_HOST": None}})))


@pytest.mark.parametrize(
    ("timeout", "seconds"), [(None, 45), ("45s", 60), ("1m30s", 105), ("10500ms", 26), ("10m", 615)]
)
def test_a_stop_has_its_time(timeout: str | None, seconds: int, tmp_path: Path) -> None:
    """GRACEFUL_TIMEOUT, rounded up, and 15 s more."""
    objects = made(values("file", {"settings": {"GRACEFUL_TIMEOUT": timeout}}))
    assert pod(objects)["terminationGracePeriodSeconds"] == seconds
    assert seconds >= settings(objects, tmp_path).graceful_timeout + 15


def test_secrets_that_the_chart_makes(tmp_path: Path) -> None:
    """They are what the values say, and nowhere else."""
    own = {"existingSecret": "", "slackBotToken": SECRETS["SLACK_BOT_TOKEN"], "webhookToken": SECRETS["WEBHOOK_TOKEN"]}
    given = values("redis", {"secrets": own, "store": {"redis": {"existingSecret": "", "url": SECRETS["REDIS_URL"]}}})
    objects = made(given)
    secret = only(objects, "Secret")
    assert secret["stringData"] == {name.lower(): value for name, value in SECRETS.items()}
    objects.remove(secret)
    shown = json.dumps(objects) + render(given)["NOTES.txt"]
    assert not [value for value in SECRETS.values() if value in shown]
    assert settings(made(given), tmp_path).redis_url.reveal() == SECRETS["REDIS_URL"]


def test_with_a_secret_of_the_readers_the_chart_makes_none() -> None:
    """Nor does it need any value of it."""
    for case in ("file", "redis", "every-redis"):
        assert not of_kind(made(values(case)), "Secret")


def test_sentinels_need_no_url() -> None:
    """Then the service's own default holds, of which the Sentinels replace the host."""
    objects = made(values("every-redis", {"store": {"redis": {"existingSecret": ""}}}))
    assert "REDIS_URL_FILE" not in environment(objects)
    sources = mounted(objects)["/etc/alert-threader/credentials"][1]["projected"]["sources"]
    assert {source["secret"]["name"] for source in sources} == {"tokens"}


@pytest.mark.parametrize(
    "change",
    [
        {"secrets": {"slackBotToken": "xoxb-another"}},
        {"secrets": {"webhookToken": "another"}},
        {"configFiles": {"company.pem": "another"}},
        {"settings": {"ENVIRONMENT": "another"}},
    ],
)
def test_a_change_rolls_the_pods(change: Values) -> None:
    """Of a Secret or a ConfigMap of the chart too, which Kubernetes by itself would only hand to new pods."""
    assert template(values("every-file", change)) != template(values("every-file"))


def test_without_a_change_no_pod_is_rolled() -> None:
    """What only others look at is no change of the pod."""
    change = {"service": {"port": 8080}, "serviceMonitor": {"interval": "20s"}, "ingress": {"path": "/"}}
    assert template(values("every-file", change)) == template(values("every-file"))


def template(given: Values) -> Any:
    """The pod as Kubernetes compares it."""
    return only(made(given), "Deployment")["spec"]["template"]


def test_the_threads_outlive_the_release() -> None:
    """`helm uninstall` leaves the volume."""
    claim = only(made(values("file")), "PersistentVolumeClaim")
    assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert "storageClassName" not in claim["spec"]


def test_config_files_are_mounted() -> None:
    """Under the name that they have in the values."""
    objects = made(values("every-file"))
    mount, volume = mounted(objects)["/etc/alert-threader/config"]
    config = only(objects, "ConfigMap")
    assert mount["readOnly"] is True
    assert volume["configMap"]["name"] == config["metadata"]["name"]
    assert config["data"] == values("every-file")["configFiles"]
    assert Path(environment(objects)["SSL_CERT_FILE"]).name in config["data"]


def test_the_cluster_may_choose_the_user() -> None:
    """As OpenShift does: null takes the chart's user away, and the rest stays as strict."""
    context = pod(made(values("every-file")))["securityContext"]
    assert not {"runAsUser", "runAsGroup", "fsGroup"} & set(context)
    assert context["runAsNonRoot"] is True


@pytest.mark.parametrize(("replicas", "count"), [(1, 0), (2, 1)])
def test_one_replica_has_no_disruption_budget(replicas: int, count: int) -> None:
    """It would keep its node from being drained."""
    assert len(of_kind(made(values("redis", {"replicas": replicas})), "PodDisruptionBudget")) == count


def test_by_default_replicas_are_spread() -> None:
    """Without being kept from running on one node."""
    constraints = pod(made(values("redis")))["topologySpreadConstraints"]
    assert [each["topologyKey"] for each in constraints] == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
    assert {each["whenUnsatisfiable"] for each in constraints} == {"ScheduleAnyway"}


def test_what_is_not_asked_for_is_not_made() -> None:
    """The least is what every cluster takes."""
    kinds = [each["kind"] for each in made(values("file"))]
    assert sorted(kinds) == ["Deployment", "PersistentVolumeClaim", "Service", "ServiceAccount"]


def test_the_rules_are_those_of_monitoring() -> None:
    """One file has them, `make rules` copies it."""
    assert (CHART / RULES.name).read_bytes() == RULES.read_bytes(), "make rules"
    check_prometheus_rule(only(made(values("every-file")), "PrometheusRule"), load(RULES)["groups"])


def test_the_service_monitor_scrapes_as_the_rules_ask() -> None:
    """Whatever the release and the job are called."""
    monitor = only(made(values("every-file")), "ServiceMonitor")
    check_service_monitor(monitor)
    assert monitor["metadata"]["labels"]["release"] == "kube-prometheus-stack"
    assert monitor["spec"]["endpoints"][0]["relabelings"][1:] == values("every-file")["serviceMonitor"]["relabelings"]


@pytest.mark.parametrize(("protect", "asked"), [(True, True), ("yes", True), (False, False), (None, False)])
def test_prometheus_gets_the_token_where_metrics_ask_for_it(protect: bool | str | None, asked: bool) -> None:
    """From the same Secret as the service."""
    objects = made(values("every-file", {"settings": {"PROTECT_METRICS": protect}}))
    (endpoint,) = only(objects, "ServiceMonitor")["spec"]["endpoints"]
    assert ("authorization" in endpoint) is asked
    if asked:
        credentials = endpoint["authorization"]["credentials"]
        assert credentials == {"name": only(objects, "Secret")["metadata"]["name"], "key": "webhook_token"}


def test_the_notes_name_what_was_made() -> None:
    """The address, the Secret and commands that fit."""
    notes = render(values("file"))["NOTES.txt"]
    assert "http://alert-threader.monitoring.svc:9009/alert" in notes
    assert "Secret alert-threader)" in notes
    assert "--namespace monitoring rollout status deployment/alert-threader" in notes
    assert "push it to a registry" in notes
    assert "push it to a registry" not in render(values("every-file"))["NOTES.txt"]
