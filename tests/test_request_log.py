"""What the request log says of a request: where it came from, and no secret."""

import logging

import pytest
import structlog

from datica_account.logs import hide_secrets, without_secrets

pytestmark = pytest.mark.django_db

SECRET = "kq3-Zw9_secret"


@pytest.fixture
def logged(caplog):
    """Return the lines of the request log, as the handler would write them."""
    caplog.set_level(logging.INFO)

    def lines():
        events = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
        return [hide_secrets(None, "info", dict(event)) for event in events]

    yield lines
    structlog.contextvars.clear_contextvars()


@pytest.fixture(autouse=True)
def everything_is_logged(settings):
    level = logging.getLogger("django_structlog").level
    logging.getLogger("django_structlog").setLevel(logging.INFO)
    yield
    logging.getLogger("django_structlog").setLevel(level)


def test_the_address_is_that_of_the_throttles(client, logged, settings):
    """SR-6: a header of the client's own is not believed."""
    client.get("/account/login", headers={"X-Forwarded-For": "203.0.113.66"})

    finished = [line for line in logged() if line["event"] == "request_finished"]
    assert [line["ip"] for line in finished] == ["127.0.0.1"]


@pytest.mark.parametrize(
    "path",
    [
        f"/account/accept-invite?code={SECRET}",
        f"/account/accept-invite%3Fcode={SECRET}",
        f"/account/accept-invite%3Fcode%3D{SECRET}",
        f"/account/accept-invite%253Fcode%253D{SECRET}",
        f"/account/accept-invite?utm=x%26code={SECRET}",
        f"/account/accept-invite?c%6Fde={SECRET}",
        f"/account/accept-invite?code[]={SECRET}",
        f"/account/accept-invite?{SECRET}",
        f"/orgs/accept-invite/{SECRET}",
        f"/orgs/accept-invite%2F{SECRET}",
        f"/account/not-me/{SECRET}",
        f"/account/email/undo/{SECRET}",
        f"/auth/signin/mfa/{SECRET}",
    ],
)
def test_no_code_of_an_address_is_logged(client, logged, path):
    """SR-19: however its signs are encoded."""
    client.get(path)

    lines = logged()
    assert any(line["event"] == "request_finished" for line in lines)
    assert SECRET not in str(lines)
    assert SECRET not in without_secrets(f"GET {path} HTTP/1.1")


def test_what_is_no_secret_stays(client, logged):
    assert without_secrets("GET /account/mfa/email/disable") == "GET /account/mfa/email/disable"
