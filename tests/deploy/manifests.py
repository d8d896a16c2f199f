"""Objects of Kubernetes, and what must be true of ours however they are made: by kustomize or by the chart."""

import importlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from alert_threader.settings.settings import SETTINGS, Settings

Object = dict[str, Any]

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
CHART = ROOT / "deploy" / "helm" / "alert-threader"
RULES = ROOT / "monitoring" / "alert-threader.rules.yml"

#: The oldest version that the chart names, and a recent one.
VERSIONS = ("1.27", "1.37")
#: The Prometheus Operator's kinds, which Kubernetes' own schemas do not have.
OPERATORS = "monitoring.coreos.com"
#: What a secret's file holds while settings are read as the pod would read them.
SECRETS = {
    "SLACK_BOT_TOKEN": "xoxb-test-1",
    "WEBHOOK_TOKEN": "a-webhook-token",
    "REDIS_URL": "redis://:a-password@redis:6379/0",
}
#: Where those secrets are that not everybody needs: a file of this folder that is not there is not given.
CREDENTIALS = "CREDENTIALS_DIRECTORY"
#: How much longer than GRACEFUL_TIMEOUT a pod may take, in seconds: gunicorn and the interpreter end after the worker.
MARGIN = 10


def library(name: str) -> Any:
    """A module of requirements-deploy.txt. Without it the test is skipped on a laptop, and fails in CI."""
    try:
        return importlib.import_module(name)
    except ImportError:
        missing = f"{name} is not installed: make helm"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)


def of_kind(objects: Iterable[Object], kind: str) -> list[Object]:
    """All objects of a kind."""
    return [each for each in objects if each["kind"] == kind]


def only(objects: Iterable[Object], kind: str) -> Object:
    """The one object of a kind."""
    found = of_kind(objects, kind)
    assert len(found) == 1, f"{len(found)} objects are a {kind}"
    return found[0]


def pod(objects: Iterable[Object]) -> Object:
    """The pod that the Deployment makes."""
    template: Object = only(objects, "Deployment")["spec"]["template"]["spec"]
    return template


def container(objects: Iterable[Object]) -> Object:
    """The container of the pod."""
    containers = pod(objects)["containers"]
    assert len(containers) == 1
    found: Object = containers[0]
    return found


def environment(objects: list[Object]) -> dict[str, str]:
    """The environment of the container, with what a ConfigMap adds to it."""
    found: dict[str, str] = {}
    for source in container(objects).get("envFrom", []):
        name = source["configMapRef"]["name"]
        found |= next(each["data"] for each in of_kind(objects, "ConfigMap") if each["metadata"]["name"] == name)
    return found | {each["name"]: each["value"] for each in container(objects).get("env", [])}


def mounted(objects: list[Object]) -> dict[str, tuple[Object, Object]]:
    """What is mounted in the container, by path: the mount and its volume."""
    volumes = {each["name"]: each for each in pod(objects)["volumes"]}
    mounts = container(objects)["volumeMounts"]
    assert {each["name"] for each in mounts} == set(volumes), "a volume without a mount, or a mount without a volume"
    return {each["mountPath"]: (each, volumes[each["name"]]) for each in mounts}


def settings(objects: list[Object], folder: Path) -> Settings:
    """The settings as the pod would read them: `folder` gets the files that its variables name."""
    environ = environment(objects)
    for name, secret in SECRETS.items():
        if path := environ.get(f"{name}_FILE"):
            (folder / name.lower()).write_text(secret)
            assert path.startswith("/etc/alert-threader/credentials/")
            environ[f"{name}_FILE"] = str(folder / name.lower())
    for made in of_kind(objects, "Secret"):
        for key in set(made["stringData"]) - {name.lower() for name in SECRETS} - {"url"}:
            (folder / key).write_text(made["stringData"][key])
    environ[CREDENTIALS] = str(folder)
    return Settings.from_environ(environ)


def check_all(
    objects: list[Object], folder: Path, *, others: Mapping[str, Iterable[str]], extra: Iterable[str]
) -> None:
    """Assert all that must be true of an installation.

    `others` are the names, by kind, of objects that are not ours but that ours may refer to; `extra` are variables that
    are no settings.
    """
    check_container(objects)
    check_security(objects)
    check_environment(objects, folder, extra)
    check_store(objects, folder)
    check_stop(objects, folder)
    check_references(objects, others)
    check_selectors(objects)
    # Last: a laptop may lack what it needs, and the rest has been looked at by then.
    check_schemas(objects)


def check_schemas(objects: Iterable[Object]) -> None:
    """Assert that every version takes each of them, without a field that it does not know."""
    validate = library("kubernetes_validate").validate
    for each in objects:
        if each["apiVersion"].startswith(OPERATORS):
            continue
        for version in VERSIONS:
            validate(each, version, strict=True)


def check_container(objects: list[Object]) -> None:
    """Assert what is run, how it is probed, and what it may use."""
    ours = container(objects)
    assert ours["command"] == ["alert-threader", "serve"]
    assert "args" not in ours
    assert ours["terminationMessagePolicy"] == "FallbackToLogsOnError"
    ports = {each["name"]: each["containerPort"] for each in ours["ports"]}
    # Neither may depend on the store or on Slack: a restart fixes neither.
    for name in ("livenessProbe", "startupProbe"):
        assert set(ours[name]) == {"tcpSocket", "periodSeconds", "timeoutSeconds", "failureThreshold"}
        assert ours[name]["tcpSocket"]["port"] in ports
    assert ours["livenessProbe"]["periodSeconds"] * ours["livenessProbe"]["failureThreshold"] >= 60
    assert ours["startupProbe"]["periodSeconds"] * ours["startupProbe"]["failureThreshold"] >= 120
    assert ours["readinessProbe"]["httpGet"] == {"path": "/health", "port": "http"}
    # Redis that is away is said after 2 s.
    assert ours["readinessProbe"]["timeoutSeconds"] > 2
    assert {"cpu", "memory"} <= set(ours["resources"]["requests"])
    assert "memory" in ours["resources"]["limits"]
    assert "cpu" not in ours["resources"]["limits"]
    assert pod(objects)["enableServiceLinks"] is False


def check_security(objects: list[Object]) -> None:
    """Assert what Kubernetes' profile "restricted" asks, and more: nothing but the volume can be written."""
    ours, inside = pod(objects), container(objects)["securityContext"]
    assert ours["securityContext"]["runAsNonRoot"] is True
    assert ours["securityContext"].get("runAsUser", 1) > 0
    assert ours["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert inside["allowPrivilegeEscalation"] is False
    assert inside["readOnlyRootFilesystem"] is True
    assert inside["capabilities"] == {"drop": ["ALL"]}
    assert ours["automountServiceAccountToken"] is False
    for account in of_kind(objects, "ServiceAccount"):
        assert account["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & set(ours)
    _, temporary = mounted(objects)["/tmp"]
    assert temporary["emptyDir"]["medium"] == "Memory"
    assert "sizeLimit" in temporary["emptyDir"]


def check_environment(objects: list[Object], folder: Path, extra: Iterable[str]) -> None:
    """Assert that each variable is a setting with a value that the service takes, and that no secret is one."""
    names = {setting.name for setting in SETTINGS}
    secrets = {setting.name for setting in SETTINGS if setting.kind.secret}
    given = environment(objects)
    assert not secrets & set(given), "a secret is a variable"
    assert given.pop(CREDENTIALS) in mounted(objects)
    assert set(given) - set(extra) <= names | {f"{name}_FILE" for name in secrets}
    for each in container(objects).get("env", []):
        assert set(each) == {"name", "value"}
    read = settings(objects, folder)
    assert read.exposure is None
    assert read.bind_host in {"0.0.0.0", "::"}, "only the pod itself can connect"
    assert {each["containerPort"] for each in container(objects)["ports"]} == {read.bind_port}
    for name in (f"{name}_FILE" for name in secrets):
        if name in given:
            assert Path(given[name]).name in _files(objects, str(Path(given[name]).parent))


def _files(objects: list[Object], path: str) -> set[str]:
    """The names of the files that a volume of Secrets has; the keys of a Secret of ours, or those that it must have."""
    mount, volume = mounted(objects)[path]
    assert mount["readOnly"] is True
    if secret := volume.get("secret"):
        # Made by hand: docs/install.md has the commands, and a test holds them to these keys.
        assert secret["secretName"] == "alert-threader"
        assert secret["defaultMode"] == 0o440
        return {name.lower() for name in SECRETS}
    assert volume["projected"]["defaultMode"] == 0o440
    found = set()
    for source in volume["projected"]["sources"]:
        made = [each for each in of_kind(objects, "Secret") if each["metadata"]["name"] == source["secret"]["name"]]
        for item in source["secret"]["items"]:
            assert not made or source["secret"].get("optional") or item["key"] in made[0]["stringData"]
            found.add(item["path"])
    return found


def check_store(objects: list[Object], folder: Path) -> None:
    """Assert that the file has one process and a volume, and Redis several replicas without one."""
    spec, read = only(objects, "Deployment")["spec"], settings(objects, folder)
    claims = [each for each in pod(objects)["volumes"] if "persistentVolumeClaim" in each]
    if read.thread_store == "file":
        assert spec["replicas"] == 1
        assert spec["strategy"] == {"type": "Recreate"}
        _, volume = mounted(objects)[str(read.thread_store_file.parent)]
        assert claims == [volume]
        assert not of_kind(objects, "PodDisruptionBudget"), "it would keep a node from being drained"
        return
    assert spec["replicas"] >= 2
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    assert not claims
    assert not of_kind(objects, "PersistentVolumeClaim")
    budget = only(objects, "PodDisruptionBudget")["spec"]
    assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    assert budget["maxUnavailable"]
    assert pod(objects)["topologySpreadConstraints"]


def check_stop(objects: list[Object], folder: Path) -> None:
    """Assert that the service can end the call under way before it is killed."""
    assert pod(objects)["terminationGracePeriodSeconds"] >= settings(objects, folder).graceful_timeout + MARGIN


def check_references(objects: list[Object], others: Mapping[str, Iterable[str]]) -> None:
    """Assert that whatever the pod refers to is there, or is one of `others`."""
    ours = pod(objects)
    named = [("ServiceAccount", ours["serviceAccountName"])]
    named += [("ConfigMap", each["configMapRef"]["name"]) for each in container(objects).get("envFrom", [])]
    for volume in ours["volumes"]:
        if "persistentVolumeClaim" in volume:
            named.append(("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]))
        if "configMap" in volume:
            named.append(("ConfigMap", volume["configMap"]["name"]))
        sources = [each["secret"]["name"] for each in volume.get("projected", {}).get("sources", [])]
        sources += [volume["secret"]["secretName"]] if "secret" in volume else []
        named += [("Secret", name) for name in sources]
    made = {(each["kind"], each["metadata"]["name"]) for each in objects}
    known = made | {(kind, name) for kind, names in others.items() for name in names}
    assert set(named) <= known
    assert len(made) == len(objects), "two objects have one name"
    unused = {(kind, name) for kind, name in made if kind in dict(named)} - set(named)
    assert not unused, "nobody refers to it"


def check_selectors(objects: list[Object]) -> None:
    """Assert that whatever looks for the pod, or for the Service, finds it."""
    deployment = only(objects, "Deployment")["spec"]
    labels, service = deployment["template"]["metadata"]["labels"], only(objects, "Service")
    selectors = [deployment["selector"]["matchLabels"], service["spec"]["selector"]]
    selectors += [each["spec"]["selector"]["matchLabels"] for each in of_kind(objects, "PodDisruptionBudget")]
    selectors += [each["spec"]["podSelector"]["matchLabels"] for each in of_kind(objects, "NetworkPolicy")]
    selectors += [each["labelSelector"]["matchLabels"] for each in pod(objects).get("topologySpreadConstraints", [])]
    for selector in selectors:
        assert selector
        assert selector.items() <= labels.items()
    ports = {each["name"] for each in container(objects)["ports"]}
    assert {each["targetPort"] for each in service["spec"]["ports"]} <= ports
    for policy in of_kind(objects, "NetworkPolicy"):
        assert {port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]} == ports
    for monitor in of_kind(objects, "ServiceMonitor"):
        selector = monitor["spec"]["selector"]["matchLabels"]
        assert selector
        assert selector.items() <= service["metadata"]["labels"].items()
        offered = {each["name"] for each in service["spec"]["ports"]}
        assert {each["port"] for each in monitor["spec"]["endpoints"]} <= offered
    for ingress in of_kind(objects, "Ingress"):
        for path in (path for rule in ingress["spec"]["rules"] for path in rule["http"]["paths"]):
            assert path["backend"]["service"]["name"] == service["metadata"]["name"]
            assert path["backend"]["service"]["port"]["name"] in {each["name"] for each in service["spec"]["ports"]}


def check_service_monitor(monitor: Object) -> None:
    """Assert what its definition and our rules ask (monitoring.coreos.com/v1): the names of fields, and the job."""
    assert monitor["apiVersion"] == f"{OPERATORS}/v1"
    assert set(monitor["spec"]) == {"selector", "endpoints"}
    (endpoint,) = monitor["spec"]["endpoints"]
    assert set(endpoint) - {"authorization"} == {"port", "path", "interval", "relabelings"}
    assert endpoint["path"] == "/metrics"
    assert endpoint["relabelings"][0] == {"targetLabel": "job", "replacement": "alert-threader"}
    if "authorization" in endpoint:
        assert set(endpoint["authorization"]) == {"credentials"}
        assert set(endpoint["authorization"]["credentials"]) == {"name", "key"}


def check_prometheus_rule(rule: Object, groups: Any) -> None:
    """Assert that it has the groups of monitoring/alert-threader.rules.yml, and no field that its definition lacks."""
    assert rule["apiVersion"] == f"{OPERATORS}/v1"
    assert set(rule["spec"]) == {"groups"}
    assert rule["spec"]["groups"] == groups, "make rules"
    for group in groups:
        assert set(group) == {"name", "rules"}
        for each in group["rules"]:
            assert set(each) - {"for"} == {"alert", "expr", "labels", "annotations"}
