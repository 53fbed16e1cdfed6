"""Fixtures of every test: the users of the stories, and what the whole run shares."""

import gc

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.test import Client

from accounts.tests.factories import UserFactory
from mfa.tests.factories import add_mode
from tests import shortcuts
from tests.passkeys import SoftwareAuthenticator


def pytest_collection_finish():
    """Let the garbage collector pass over what was imported: it stays until the end."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def static_files():
    """Pages name static files by their hash, which must be known. `make test` has seen to it."""
    if not (settings.STATIC_ROOT / "staticfiles.json").exists():
        call_command("collectstatic", interactive=False, verbosity=0)
    with shortcuts.static_files_listed_once():
        yield


@pytest.fixture(scope="session", autouse=True)
def cheap_hashing():
    with shortcuts.cheap_hashing():
        yield


@pytest.fixture(scope="session", autouse=True)
def quick_flush():
    with shortcuts.quick_flush():
        yield


@pytest.fixture(autouse=True)
def only_where_it_can_run(request):
    if request.node.get_closest_marker("postgresql"):
        request.getfixturevalue("transactional_db")
        if connection.vendor != "postgresql":
            pytest.skip("row locks: this run is on SQLite, `make test` runs it again on PostgreSQL")


@pytest.fixture
def dana(db):
    return UserFactory(email="Dana@example.com", username="dana", name="Dana Reyes")


@pytest.fixture
def sam(db):
    return UserFactory(email="sam@example.com", username="sam")


@pytest.fixture
def dana_with_email(dana):
    add_mode(dana, "email")
    return dana


@pytest.fixture
def dana_with_app(dana):
    add_mode(dana, "authenticator")
    return dana


@pytest.fixture
def dana_with_both(dana):
    add_mode(dana, "authenticator")
    add_mode(dana, "email")
    return dana


@pytest.fixture
def phone(settings):
    """A phone whose passkeys are synced, and the browser on it."""
    return SoftwareAuthenticator(settings.RP_ORIGINS[0], settings.RP_ID)


@pytest.fixture
def another_browser():
    """Make further browsers."""
    return Client
