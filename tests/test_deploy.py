"""What deploy/ says agrees with the documentation, with the code, and with itself."""

import configparser
import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.stack import ROOT

DEPLOY = ROOT / "deploy"
UNITS = DEPLOY / "systemd"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
OURS = ("migrate", "web", "codes", "others", "beat")
OF_PYTHON_AND_SHELL = {"PATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"}


def in_tables(*pages):
    """Return the first column of the tables of pages, where settings are named."""
    rows = re.findall(r"^\| (`[A-Z].*?) \|", "\n".join((ROOT / page).read_text() for page in pages), re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`([A-Z][A-Z_]+)`", row)}


def drop_in():
    return (UNITS / "portal-.service.d" / "common.conf").read_text()


def set_by_units():
    lines = re.findall(r"^Environment=(.*)", drop_in(), re.MULTILINE)
    return {part.partition("=")[0] for line in lines for part in line.split()}


def set_by_image():
    text = (DEPLOY / "Containerfile").read_text().replace("\\\n", " ")
    return {
        name for line in re.findall(r"^ENV (.*)", text, re.MULTILINE) for name in re.findall(r"(?:^| )(\w+)=", line)
    }


def set_by_compose():
    text = (DEPLOY / "compose.yaml").read_text()
    services = [*COMPOSE["services"].values()]
    names = {name for service in services for name in service.get("environment", {}) if "POSTGRES" not in name}
    return names | set(re.findall(r"\$\{(\w+)", text))


def set_by_example():
    return set(re.findall(r"^([A-Z_]+)=", (DEPLOY / "portal.env.example").read_text(), re.MULTILINE))


def set_by_caddyfile():
    return set(re.findall(r"\{\$(\w+)", (DEPLOY / "Caddyfile").read_text()))


@pytest.mark.parametrize("names", [set_by_units, set_by_image, set_by_compose, set_by_example, set_by_caddyfile])
def test_every_variable_is_documented(names):
    named = {name.removesuffix("_FILE") for name in names()}

    assert named
    assert named - in_tables("README.md", "docs/operating.md") - OF_PYTHON_AND_SHELL == set()


def plain(command):
    """Return a command without what differs from place to place: paths, the address, the number of a worker."""
    words = command if isinstance(command, list) else shlex.split(command)
    words = [word.rpartition(".venv/bin/")[2].replace("%%", "%") for word in words]
    if "--bind" in words:
        at = words.index("--bind")
        words = words[:at] + words[at + 2 :]
    return [re.sub(r"^(codes)(1|%i)@", r"\1@", word) for word in words]


def documented():
    """Return the commands in the table of docs/operating.md."""
    text = (ROOT / "docs/operating.md").read_text()
    rows = re.findall(r"^\| (\w+) \| [^|]+ \| `((?:gunicorn|celery|python) [^`]+)` \|$", text, re.MULTILINE)
    return {name: plain(command) for name, command in rows}


def test_units_run_the_documented_commands():
    found = {}
    for path in UNITS.glob("*.service"):
        unit = configparser.RawConfigParser(strict=False)
        unit.read(path)
        found[re.fullmatch(r"portal-(\w+)@?", path.stem)[1]] = plain(unit["Service"]["ExecStart"])

    assert found == documented()


def test_the_procfile_runs_the_documented_commands():
    lines = (DEPLOY / "Procfile").read_text().splitlines()
    found = {name: plain(command) for name, _, command in (line.partition(": ") for line in lines)}

    assert found == {name: command for name, command in documented().items() if name != "migrate"}


def test_containers_run_the_documented_commands():
    image = re.search(r"^CMD (\[.*\])$", (DEPLOY / "Containerfile").read_text(), re.MULTILINE)[1]
    found = {name: plain(COMPOSE["services"][name].get("command") or json.loads(image)) for name in OURS}

    assert found == documented()


def test_only_the_proxy_can_be_reached_from_outside():
    open_to_all = [
        name
        for name, service in COMPOSE["services"].items()
        if any(not str(port).startswith("127.0.0.1:") for port in service.get("ports", []))
    ]

    assert open_to_all == ["proxy"]
    assert COMPOSE["services"]["mailcatcher"]["profiles"] == ["try"]
    assert COMPOSE["networks"]["data"]["internal"]


def test_only_proxy_and_web_share_the_trusted_network():
    """SR-6: each machine in that network could claim any client address."""
    inside = {name for name, service in COMPOSE["services"].items() if "proxy" in service["networks"]}

    assert inside == {"proxy", "web"}
    subnet = COMPOSE["networks"]["proxy"]["ipam"]["config"][0]["subnet"]
    assert COMPOSE["services"]["web"]["environment"]["TRUSTED_PROXIES"] == subnet


@pytest.mark.parametrize("name", OURS)
def test_a_container_of_the_portal_can_change_nothing(name):
    service = COMPOSE["services"][name]

    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["restart"] in {"always", "on-failure"}
    assert "ports" not in service


def write_secrets(folder):
    command = [DEPLOY / "make-secrets", folder, "containers"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_each_secret_is_written_once(tmp_path):
    folder = tmp_path / "secrets"
    write_secrets(folder)
    written = {path.name: path.read_text() for path in folder.iterdir()}

    assert write_secrets(folder) == ""
    assert {path.name: path.read_text() for path in folder.iterdir()} == written
    assert set(written) == set(COMPOSE["secrets"])
    assert written["SECRET_KEY"] != written["ENCRYPTION_KEYS"]
    assert len(written["SECRET_KEY"].strip()) == 64
    assert written["DATABASE_PASSWORD"].strip() in written["DATABASE_URL"]
    assert folder.stat().st_mode & 0o777 == 0o700


def test_units_and_containers_get_the_same_secrets_as_files():
    credentials = set(re.findall(r"^LoadCredential=(\w+):/etc/portal/secrets/\1$", drop_in(), re.MULTILINE))

    assert credentials == {name.removesuffix("_FILE") for name in set_by_units() if name.endswith("_FILE")}
    for name in OURS:
        assert set(COMPOSE["services"][name]["secrets"]) == credentials


def test_the_image_is_built_from_wheels_with_known_hashes_and_runs_as_nobody_special():
    text = (DEPLOY / "Containerfile").read_text()

    assert "--require-hashes --only-binary :all:" in text
    assert re.search(r"^USER 10001:10001$", text, re.MULTILINE)


def metrics_in_code():
    """Return the names of metrics, as the code and django-prometheus spell them."""
    apps = [
        path for app in ("accounts", "mfa", "organizations", "datica_account") for path in (ROOT / app).rglob("*.py")
    ]
    code = "\n".join(path.read_text() for path in apps if "tests" not in path.parts)
    return set(re.findall(r"[\"'](portal_\w+)[\"']", code))


# Of Prometheus itself and its blackbox exporter.
OF_PROMETHEUS = {"up", "probe_success"}
OF_DJANGO_PROMETHEUS = {
    "django_http_requests_latency_seconds_by_view_method",
    "django_http_responses_total_by_status",
    "django_http_exceptions_total_by_type",
}


def expressions():
    alerts = yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text())
    yield from (rule["expr"] for group in alerts["groups"] for rule in group["rules"])
    dashboard = json.loads((DEPLOY / "grafana/portal.json").read_text())
    yield from (target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", []))


def test_alerts_and_dashboard_name_only_metrics_that_exist():
    named = {
        re.sub(r"_(total|bucket|count|sum)$", "", name)
        for expression in expressions()
        for name in re.findall(r"\b(?:portal|django)_\w+|\bup\b|\bprobe_success\b", expression)
    }

    assert len(named) > 10
    assert named - metrics_in_code() - OF_DJANGO_PROMETHEUS - OF_PROMETHEUS == set()


def test_an_alert_says_how_urgent_it_is_and_what_it_means():
    alerts = yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text())
    rules = [rule for group in alerts["groups"] for rule in group["rules"]]
    tested = (DEPLOY / "prometheus/alerts_test.yml").read_text()

    for rule in rules:
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert rule["annotations"]["summary"]
        assert f"alertname: {rule['alert']}" in tested
    if promtool := shutil.which("promtool"):
        subprocess.run([promtool, "test", "rules", DEPLOY / "prometheus/alerts_test.yml"], check=True)


def test_the_dashboard_asks_the_data_source_that_its_reader_chooses():
    dashboard = json.loads((DEPLOY / "grafana/portal.json").read_text())
    targets = [target for panel in dashboard["panels"] for target in panel.get("targets", [])]

    assert {target["datasource"]["uid"] for target in targets} == {"${datasource}"}
    assert [variable["name"] for variable in dashboard["templating"]["list"]] == ["datasource"]


def test_documents_name_files_of_deploy_that_exist():
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *DEPLOY.rglob("*")]
    named = {
        found.rstrip(".")
        for page in pages
        if page.is_file()
        for found in re.findall(r"\bdeploy/[\w./-]*[\w]", page.read_text())
    }
    written_by_operators = {"deploy/secrets", "deploy/portal.env", "deploy/secrets/EMAIL_URL"}

    assert {name for name in named if not Path(ROOT / name).exists()} - written_by_operators == set()
