"""The commands of docs/install.md, "Kubernetes", and what stands in its blocks."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest

from alert_threader.cli.main import command_line
from tests.deploy.kustomize import build
from tests.deploy.manifests import KUBERNETES, ROOT, SECRETS, check_all, of_kind, only
from tests.deploy.test_helm import made, merge, values


def section() -> str:
    """What the page says about Kubernetes."""
    page = (ROOT / "docs" / "install.md").read_text("utf-8")
    found = re.search(r"^## Kubernetes\n(.*?)(?=^## )", page, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def found(language: str) -> list[str]:
    """Its code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", section(), re.MULTILINE | re.DOTALL)


def commands(*start: str) -> list[list[str]]:
    """Its commands that begin with these words, each as words."""
    lines = [shlex.split(line) for block in found("sh") for line in block.splitlines()]
    return [line for line in lines if line[: len(start)] == [*start]]


def chart_values() -> Any:
    """The values that the page proposes."""
    return msgspec.yaml.decode(next(block for block in found("yaml") if "SLACK_CHANNEL" in block))


def test_the_chart_takes_the_values(tmp_path: Path) -> None:
    """With Redis and the Prometheus Operator, as they stand there."""
    objects = made(chart_values())
    check_all(objects, tmp_path, others={"Secret": ["alert-threader"]}, extra=())
    assert of_kind(objects, "ServiceMonitor")
    assert of_kind(objects, "PrometheusRule")


def test_without_its_optional_parts(tmp_path: Path) -> None:
    """A file with what comes before "Only with" is a whole one, too."""
    block = next(block for block in found("yaml") if "SLACK_CHANNEL" in block)
    objects = made(msgspec.yaml.decode(block.partition("# Only with")[0]))
    check_all(objects, tmp_path, others={"Secret": ["alert-threader"]}, extra=())


def test_the_image_is_the_one_that_was_pushed() -> None:
    """Under one name in all places."""
    names = {command[-1] for command in commands("docker", "push")} | {commands("docker", "build")[0][5]}
    (name,) = names
    image = chart_values()["image"]
    assert name == f"{image['repository']}:{image['tag']}"


def test_the_paths_are_there() -> None:
    """Once the example is copied."""
    (copy,) = commands("cp", "-R")
    assert (ROOT / copy[2]).samefile(KUBERNETES / "example")
    (applied,) = commands("kubectl", "apply", "--kustomize")
    assert applied[3] == copy[3]
    assert (ROOT / copy[3]).parent == KUBERNETES, "its paths lead to the folders beside it"
    (helm,) = commands("helm", "upgrade", "--install")
    assert (ROOT / helm[4] / "Chart.yaml").is_file()
    (config,) = [command for command in commands("kubectl") if "--filename" in command]
    assert (ROOT / config[-1]).is_file()


def test_the_namespace_is_one() -> None:
    """Of the example, of the commands, and of the address in the AlertmanagerConfig."""
    named = {
        command[command.index("--namespace") + 1]
        for command in [*commands("kubectl"), *commands("helm")]
        if "--namespace" in command
    }
    assert named == {only(build(KUBERNETES / "example"), "Service")["metadata"]["namespace"]}
    assert commands("kubectl", "create", "namespace") == [["kubectl", "create", "namespace", *named]]


def test_the_secret_has_every_key(tmp_path: Path) -> None:
    """The files that the service reads, whatever kubectl makes of the command."""
    (command,) = [each for each in commands("kubectl") if "secret" in each]
    if "`--from-file=redis_url`" in section():
        command = [*command, "--from-file=redis_url"]
    keys = {each.partition("=")[2] for each in command if each.startswith("--from-file=")}
    assert keys == {name.lower() for name in SECRETS}
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed, and Debian has none that is new enough")
    for key in keys:
        (tmp_path / key).write_text("x")
    made = subprocess.run(
        [kubectl, *command[1:], "--dry-run=client", "--output=yaml"], cwd=tmp_path, check=True, capture_output=True
    )
    secret = msgspec.yaml.decode(made.stdout)
    assert (secret["metadata"]["name"], set(secret["data"])) == ("alert-threader", keys)


def test_the_token_ends_without_a_line_break(tmp_path: Path) -> None:
    """Alertmanager could not send one in a header."""
    line = next(line for block in found("sh") for line in block.splitlines() if line.startswith("openssl"))
    subprocess.run(["bash", "-c", line], cwd=tmp_path, check=True, timeout=60)
    assert re.fullmatch("[0-9a-f]{64}", (tmp_path / "webhook_token").read_text())


def test_what_runs_in_the_pod_is_ours() -> None:
    """Commands that the command line takes, and a file that the service writes."""
    inside = [command[command.index("--") + 1 :] for command in commands("kubectl") if "--" in command]
    assert {words[1] for words in inside} == {"check", "send-test", "/var/lib/alert-threader/threads.json"}
    for words in (words[1:] for words in inside if words[0] == "alert-threader"):
        name, command, rest = command_line.resolve_command(click.Context(command_line), words)
        assert command is not None
        command.make_context(name, rest)


def test_the_table_names_values_of_the_chart() -> None:
    """Each is one, and does what the row says."""
    rows = "".join(line for line in section().splitlines() if line.startswith("|"))
    assert {"`networkPolicy.enabled`", "`extraEnv`", "`configFiles`", "`podSecurityContext`"} <= set(
        re.findall("`[^`]+`", rows)
    )
    given = values("file")
    merge(given, {"networkPolicy": {"enabled": True}, "settings": {"BIND_HOST": "::"}})
    assert of_kind(made(given), "NetworkPolicy")
