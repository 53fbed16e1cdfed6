"""Requests made up from the OpenAPI document: no fault of ours, no answer that the document does not know."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli import Cli
from tests.stack import PASSWORD

pytestmark = pytest.mark.browser

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
# Real ids, so that the requests reach what lies behind the permissions. Signing out would end the run's token.
CONFIG = """
[parameters]
"path.org_id" = "{organization}"
"path.environment_id" = "{environment}"
"""


def test_no_request_of_the_document_is_answered_otherwise(large, tmp_path):
    cli = Cli(large.url, large.somebody(), PASSWORD)
    cli.signs_in()
    (environment, *_others) = cli.must("GET", "/environments").json
    config = tmp_path / "schemathesis.toml"
    config.write_text(CONFIG.format(organization=environment["organizationId"], environment=environment["id"]))
    command = [
        Path(sys.executable).with_name("schemathesis"), "--config-file", config, "run", f"{large.url}/api/openapi.json",
        "--header", f"Authorization: Bearer {cli.token}", "--exclude-path", "/auth/signout", "--checks", CHECKS,
        # Its made-up queries outgrow a request line, which gunicorn refuses itself; test_policy_api.py asks it instead.
        "--exclude-path", "/api/v1/organizations/{org_id}/members",
        "--max-examples", "20", "--suppress-health-check", "all", "--no-color", "--generation-database", "none",
    ]  # fmt: skip

    run = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)

    assert run.returncode == 0, run.stdout[-5000:]
    assert " passed" in run.stdout
    assert cli.is_signed_in()
