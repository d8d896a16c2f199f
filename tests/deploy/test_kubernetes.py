"""What is in ``deploy/kubernetes/``: the file store, Redis, and what either can be given."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest

from alert_threader import __version__
from tests.deploy.kustomize import build, load
from tests.deploy.manifests import (
    KUBERNETES,
    OPERATORS,
    RULES,
    SECRETS,
    Object,
    check_all,
    check_prometheus_rule,
    check_service_monitor,
    container,
    environment,
    of_kind,
    only,
    pod,
    settings,
)

#: The Secret that is made by hand.
OTHERS = {"Secret": ["alert-threader"]}
CHANNEL = {"SLACK_CHANNEL": "C0123456789"}
FOLDERS = ("base", "redis", "example")
MONITOR = KUBERNETES / "kube-prometheus-stack" / "servicemonitor.yaml"
RULE = KUBERNETES / "kube-prometheus-stack" / "prometheusrule.yaml"
ALERTMANAGER = KUBERNETES / "alertmanagerconfig.yaml"


def installed(folder: str) -> list[Object]:
    """The objects of a folder, with the one setting that an installation must add."""
    objects = build(KUBERNETES / folder)
    only(objects, "ConfigMap")["data"] |= CHANNEL
    return objects


@pytest.mark.parametrize("folder", FOLDERS)
def test_an_installation_is_right(folder: str, tmp_path: Path) -> None:
    """Schemas, probes, resources, security, settings, secrets as files, store, stop, references and selectors."""
    check_all(installed(folder), tmp_path, others=OTHERS, extra=())


@pytest.mark.parametrize(("folder", "store", "replicas"), [("base", "file", 1), ("redis", "redis", 2)])
def test_each_store_has_its_replicas(folder: str, store: str, replicas: int, tmp_path: Path) -> None:
    """One for the file, two for Redis."""
    objects = installed(folder)
    assert settings(objects, tmp_path).thread_store == store
    assert only(objects, "Deployment")["spec"]["replicas"] == replicas


def test_redis_gets_its_url_from_the_secret(tmp_path: Path) -> None:
    """A third key of the same Secret."""
    objects = installed("redis")
    assert environment(objects)["REDIS_URL_FILE"].endswith("/redis_url")
    assert settings(objects, tmp_path).redis_url.reveal() == SECRETS["REDIS_URL"]


def test_replicas_are_spread_without_being_kept_from_running() -> None:
    """A cluster of one node has place for both."""
    constraints = pod(installed("redis"))["topologySpreadConstraints"]
    assert [each["topologyKey"] for each in constraints] == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
    assert {each["whenUnsatisfiable"] for each in constraints} == {"ScheduleAnyway"}


def test_no_installation_brings_a_channel() -> None:
    """Slack would only refuse a channel that is not the reader's; without one the service says what is missing."""
    for folder in ("base", "redis"):
        assert "SLACK_CHANNEL" not in environment(build(KUBERNETES / folder))


def test_the_image_is_of_this_version() -> None:
    """A clone builds the version that its manifests name."""
    for folder in FOLDERS:
        assert container(build(KUBERNETES / folder))["image"].rpartition(":")[2] == __version__


def test_every_file_is_used() -> None:
    """By a kustomization, or applied by itself."""
    used = {ALERTMANAGER}
    for path in KUBERNETES.rglob("kustomization.yaml"):
        said = load(path)
        named = said.get("resources", []) + [each["path"] for each in said.get("patches", [])]
        used |= {path, *((path.parent / name).resolve() for name in named)}
    assert {path for path in KUBERNETES.rglob("*") if path.is_file()} <= used


def test_the_example_takes_every_component() -> None:
    """So that each is shown, and tried out here."""
    components = {path.parent for path in KUBERNETES.rglob("kustomization.yaml") if load(path)["kind"] == "Component"}
    example = KUBERNETES / "example"
    named = load(example / "kustomization.yaml")["components"]
    assert {(example / name).resolve() for name in named} == components


@pytest.mark.parametrize("folder", FOLDERS)
def test_kustomize_makes_the_same(folder: str) -> None:
    """What `kubectl kustomize` makes is what the tests here look at."""
    kubectl = shutil.which("kubectl")
    if kubectl is None or not re.search(r"Kustomize Version: v[5-9]", _run(kubectl, "version", "--client")):
        pytest.skip("kubectl with kustomize 5 is not installed, and Debian has none")
    made = _run(kubectl, "kustomize", str(KUBERNETES / folder))
    hashed = only(_documents(made), "ConfigMap")["metadata"]["name"]
    assert re.fullmatch("alert-threader-[a-z0-9]{10}", hashed)
    theirs = _documents(made.replace(hashed, "alert-threader"))
    assert _sorted(theirs) == _sorted(build(KUBERNETES / folder))


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _documents(text: str) -> list[Object]:
    return [msgspec.yaml.decode(each) for each in text.split("\n---\n")]


def _sorted(objects: list[Object]) -> list[Object]:
    for each in of_kind(objects, "Deployment"):
        each["spec"]["template"]["spec"]["containers"][0]["env"].sort(key=lambda entry: entry["name"])
    return sorted(objects, key=lambda each: (each["kind"], each["metadata"]["name"]))


# -- the Prometheus Operator's kinds ----------------------------------------------------------------------------------


def test_the_service_monitor_scrapes_as_the_rules_ask() -> None:
    """By its fields: no schema of Kubernetes' own has them."""
    check_service_monitor(load(MONITOR))


def test_the_rules_are_those_of_monitoring() -> None:
    """One file has them, `make rules` copies it."""
    check_prometheus_rule(load(RULE), load(RULES)["groups"])


def test_prometheus_finds_both_by_one_label() -> None:
    """The name of the release of kube-prometheus-stack."""
    labels = [load(path)["metadata"]["labels"]["release"] for path in (MONITOR, RULE)]
    assert labels == ["kube-prometheus-stack"] * 2


class TestAlertmanagerConfig:
    """The example, which Kubernetes' schemas do not have either: its fields are those of v1alpha1."""

    @staticmethod
    def spec() -> Any:
        """What it says."""
        config = load(ALERTMANAGER)
        assert config["apiVersion"] == f"{OPERATORS}/v1alpha1"
        assert config["kind"] == "AlertmanagerConfig"
        assert set(config["spec"]) == {"route", "receivers"}
        return config["spec"]

    def test_its_route_leads_to_its_receiver(self) -> None:
        """Under the names that v1alpha1 has."""
        route, receivers = self.spec()["route"], self.spec()["receivers"]
        assert set(route) == {"receiver", "matchers", "groupBy", "groupWait", "groupInterval", "repeatInterval"}
        assert [each["name"] for each in receivers] == [route["receiver"]]
        assert set(receivers[0]) == {"name", "webhookConfigs"}

    def test_it_leaves_out_what_is_no_problem(self) -> None:
        """Watchdog always fires, InfoInhibitor inhibits others; every other alert is sent."""
        (matcher,) = self.spec()["route"]["matchers"]
        assert set(matcher) == {"name", "matchType", "value"}
        assert (matcher["name"], matcher["matchType"]) == ("alertname", "!~")
        assert re.fullmatch(matcher["value"], "Watchdog")
        assert re.fullmatch(matcher["value"], "InfoInhibitor")
        assert not re.fullmatch(matcher["value"], "WatchdogDown")

    def test_it_sends_to_the_service(self) -> None:
        """By the Service's name and port, in the namespace of the example."""
        (webhook,) = self.spec()["receivers"][0]["webhookConfigs"]
        assert set(webhook) == {"url", "sendResolved", "httpConfig"}
        assert webhook["sendResolved"] is True
        url, service = urlsplit(webhook["url"]), only(build(KUBERNETES / "example"), "Service")
        assert url.scheme == "http"
        assert url.hostname == f"{service['metadata']['name']}.{service['metadata']['namespace']}.svc"
        assert url.port == service["spec"]["ports"][0]["port"]
        assert url.path == "/alert"

    def test_it_sends_the_token_of_the_secret(self) -> None:
        """The key that the service reads its own from; `type` is Bearer where it is not said."""
        (webhook,) = self.spec()["receivers"][0]["webhookConfigs"]
        assert webhook["httpConfig"] == {
            "authorization": {"credentials": {"name": OTHERS["Secret"][0], "key": "webhook_token"}}
        }
        read = environment(build(KUBERNETES / "example"))["WEBHOOK_TOKEN_FILE"]
        assert Path(read).name == "webhook_token"
