"""What is in ``monitoring/``: alerting rules and their cases, a scrape configuration and a dashboard."""

import itertools
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest
from flask.testing import FlaskClient

from harness.servers import program
from tests.documents import OPERATIONS, blocks, both, text

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "monitoring"
RULES = MONITORING / "alert-threader.rules.yml"
CASES = MONITORING / "alert-threader.rules.test.yml"
SCRAPE = MONITORING / "prometheus.yml"
DASHBOARD = MONITORING / "grafana-dashboard.json"
#: The columns of a dashboard (Grafana's documentation, "Dashboard JSON model", `gridPos`).
COLUMNS = 24
#: Labels that Prometheus adds to whatever it scrapes.
ADDED = {"instance", "job"}
#: What Grafana puts in the place of its variables.
VARIABLES = {"$__rate_interval": "5m", "$instance": ".*"}

Sample = tuple[str, dict[str, str]]


def promtool(*arguments: str | Path) -> None:
    """Run promtool, which must find no fault."""
    ended = subprocess.run([program("promtool"), *arguments], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def rules() -> list[dict[str, Any]]:
    """All rules."""
    groups = msgspec.yaml.decode(RULES.read_bytes())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def dashboard() -> Any:
    """The dashboard."""
    return json.loads(DASHBOARD.read_text("utf-8"))


def queries() -> list[tuple[str, str]]:
    """The expression and the legend of each query of the dashboard, with values for Grafana's variables."""
    board = dashboard()
    targets = itertools.chain.from_iterable(panel.get("targets", []) for panel in board["panels"])
    found = [(target["expr"], target["legendFormat"]) for target in targets]
    found += [(each["expr"], each["textFormat"]) for each in board["annotations"]["list"] if "expr" in each]
    for name, value in VARIABLES.items():
        found = [(expression.replace(name, value), legend) for expression, legend in found]
    return found


def selectors(expression: str) -> list[tuple[str, list[tuple[str, str, str]]]]:
    """Our metrics in an expression, each with its matchers: a label, an operator and a value."""
    found = re.findall(r"\b((?:alert_threader|process)_\w+)(?:\{(.*?)\})?", expression)
    return [(name, re.findall(r'(\w+)\s*(=~|!~|!=|=)\s*"(.*?)"', matchers)) for name, matchers in found]


def metric(sample: str) -> str:
    """The name of the metric that a sample belongs to: a histogram has several of them."""
    return re.sub("_(bucket|sum|count)$", "", sample)


def does_match(sample: Sample, name: str, matchers: list[tuple[str, str, str]]) -> bool:
    """Whether a sample is one that an expression looks for."""
    shown, labels = sample
    matched = all(
        (re.fullmatch(value, labels.get(label, "")) is not None) != operator.startswith("!")
        for label, operator, value in matchers
        if label not in ADDED
    )
    return shown == name and matched


@pytest.fixture
def samples(client: FlaskClient) -> list[Sample]:
    """What GET /metrics shows of a service that has just started: a metric's name and its labels."""
    found = re.findall(r"^(\w+)(?:\{(.*)\})? \S+$", client.get("/metrics").text, re.MULTILINE)
    return [(name, dict(re.findall(r'(\w+)="(.*?)"', labels))) for name, labels in found]


def test_rules() -> None:
    """Prometheus takes the rules, with no remark, and each tells people what it means and how bad it is."""
    promtool("check", "rules", "--lint=all", "--lint-fatal", RULES)
    inhibitions = msgspec.yaml.decode((ROOT / "alertmanager-threader.yml").read_bytes())["inhibit_rules"]
    severities = set(re.findall(r"critical|warning|info", json.dumps(inhibitions)))
    for rule in rules():
        assert rule["alert"].startswith("AlertThreader")
        assert rule["labels"]["severity"] in severities
        assert rule["labels"]["service"] == "alert-threader"
        assert {"summary", "description"} == set(rule["annotations"])
        # Slack cuts a header at 150 characters.
        assert len(rule["annotations"]["summary"]) < 100
        assert len(rule["annotations"]["description"]) > 100


def test_cases() -> None:
    """Every case ends as it says."""
    promtool("test", "rules", CASES)


def test_cases_of_every_rule() -> None:
    """There is a case in which it fires, and one in which it does not, for every rule."""
    fired, quiet = set(), set()
    every = {(rule["alert"], rule["labels"]["severity"]) for rule in rules()}
    for case in msgspec.yaml.decode(CASES.read_bytes())["tests"]:
        for check in case["alert_rule_test"]:
            here = {(check["alertname"], alert["exp_labels"]["severity"]) for alert in check.get("exp_alerts", [])}
            fired |= here
            quiet |= {rule for rule in every if rule[0] == check["alertname"]} - here
    assert fired == quiet == every


def test_rules_ask_for_what_there_is(samples: list[Sample]) -> None:
    """Every metric in a rule, with the labels that it asks for, is one that GET /metrics shows."""
    asked = [selector for rule in rules() for selector in selectors(rule["expr"])]
    assert len(asked) > len(rules())
    assert [each for each in asked if not any(does_match(sample, *each) for sample in samples)] == []


def test_scrape_configuration(tmp_path: Path) -> None:
    """Prometheus takes it as it is, and with the token that its comment shows."""
    promtool("check", "config", SCRAPE)
    (tmp_path / RULES.name).write_bytes(RULES.read_bytes())
    token = tmp_path / "token"
    token.write_text("secret")
    config, commented = re.subn(r"    # (authorization:\n)    # ", r"    \1    ", SCRAPE.read_text())
    config, named = re.subn("/etc/prometheus/alert-threader-token", str(token), config)
    assert (commented, named) == (1, 1)
    (tmp_path / SCRAPE.name).write_text(config)
    promtool("check", "config", tmp_path / SCRAPE.name)


def test_dashboard_can_be_imported() -> None:
    """It belongs to no Grafana, asks for its data source, and can be narrowed to instances."""
    board = dashboard()
    assert "id" not in board
    assert board["schemaVersion"] >= 36
    variables = {each["name"]: each["type"] for each in board["templating"]["list"]}
    assert variables == {"datasource": "datasource", "instance": "query"}
    sources = re.findall(r'"datasource":\s*\{(.*?)\}', json.dumps(board).replace("${datasource}", "$datasource"))
    assert {source for source in sources if "prometheus" in source} == {'"type": "prometheus", "uid": "$datasource"'}
    assert all('instance=~".*"' in expression for expression, _ in queries())


def test_panels() -> None:
    """Each panel has a number, a title, words for what it shows, and a unit where it shows numbers."""
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({panel["title"] for panel in panels}) == len(panels)
    for panel in (panel for panel in panels if panel["type"] != "row"):
        assert len(panel["description"]) > 20, panel["title"]
        assert panel["type"] == "table" or panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


def test_no_panel_covers_another() -> None:
    """Every place of the grid belongs to one panel, and none reaches over the edge."""
    places = [
        (x, y)
        for at in (panel["gridPos"] for panel in dashboard()["panels"])
        for x, y in itertools.product(range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"]))
    ]
    assert len(set(places)) == len(places)
    assert {x for x, _ in places} == set(range(COLUMNS))


def test_dashboard_asks_for_what_there_is(samples: list[Sample]) -> None:
    """Every metric in a panel, with the labels of its query and its legend, is one that GET /metrics shows."""
    for expression, legend in queries():
        for asked in selectors(expression):
            found = [labels for name, labels in samples if does_match((name, labels), *asked)]
            assert found, expression
            shown = set(re.findall(r"\{\{(\w+)\}\}", legend)) - ADDED
            assert shown <= set(found[0]), (expression, legend)


def test_dashboard_shows_all_there_is(samples: list[Sample]) -> None:
    """No metric of ours is without a panel."""
    shown = {metric(name) for expression, _ in queries() for name, _ in selectors(expression)}
    there = {metric(name) for name, _ in samples if name.startswith("alert_threader_")}
    assert there - shown == set()


def test_dashboard_expressions(tmp_path: Path) -> None:
    """Prometheus can read each expression."""
    recorded = [{"record": f"panel:{at}", "expr": expression} for at, (expression, _) in enumerate(queries())]
    assert len(recorded) > 30
    file = tmp_path / "panels.yml"
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": recorded}]}))
    promtool("check", "rules", file)


@pytest.mark.parametrize("name", both(OPERATIONS))
def test_documents_name_what_there_is(name: str, samples: list[Sample]) -> None:
    """Every metric that the documents name is one that GET /metrics shows."""
    named = set(re.findall(r"\balert_threader_\w+", text(name)))
    assert len(named) > 10
    assert named - {metric(sample) for sample, _ in samples} == set()


@pytest.mark.parametrize("name", both(OPERATIONS))
def test_documents_name_every_rule(name: str) -> None:
    """The table of alerts has every rule with its severities, in the order of the file, and no other."""
    rows = re.findall(r"^\| `(AlertThreader\w+)` \| ([a-z, ]+) \|", text(name), re.MULTILINE)
    severities: dict[str, list[str]] = {}
    for rule in rules():
        severities.setdefault(rule["alert"], []).append(rule["labels"]["severity"])
    assert rows == [(alert, ", ".join(each)) for alert, each in severities.items()]


def test_second_way(tmp_path: Path) -> None:
    """With the documents' example, alerts about the service take both ways, and others the usual one."""
    (example,) = [block for block in blocks("yaml") if "email_configs" in block]
    config = tmp_path / "alertmanager.yml"
    config.write_text(example)

    def receivers(*labels: str) -> str:
        command = [program("amtool"), "config", "routes", "test", f"--config.file={config}", *labels]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    subprocess.run([program("amtool"), "check-config", config], capture_output=True, check=True)
    assert receivers("service=alert-threader", "severity=critical") == "on-call-by-mail,alert-threader"
    assert receivers("service=database", "severity=critical") == "alert-threader"
