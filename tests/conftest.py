"""Chromium, and the two stacks that it talks to."""

import os

import pytest
from playwright.sync_api import sync_playwright

from tests import production as production_site
from tests import servers, stack
from tests.people import Person

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


# Files with tests of half a minute: begun last, one would keep a single process busy after all others have ended.
SLOW = {"test_run", "test_proxies", "test_broker", "test_invariants", "test_histories"}
# Files that go the same ways again and again: tracing them takes half as long again and adds no line.
NOT_TRACED = {"test_invariants", "test_histories", "test_shares", "test_throttles", "test_budgets", "test_permissions",
              "test_member_counts", "test_cli_contract", "test_bad_input", "test_concurrency",
              "test_seams"}  # fmt: skip


def pytest_collection_modifyitems(items):
    """Begin with slow tests. With `--dist loadgroup`, tests that share a stack run in one process, in two halves."""
    items.sort(key=lambda item: item.path.stem not in SLOW)
    for item in items:
        asked = getattr(item, "callspec", None)
        stack = asked.params.get("portal") if asked else None
        shared = min({"small", "large", "production"} & {stack, *item.fixturenames}, default="a stack of its own")
        half = "journeys" if item.path.stem == "test_journeys" else "the rest"
        item.add_marker(pytest.mark.xdist_group(f"{shared}, {half}"))
        if item.path.stem in NOT_TRACED:
            item.add_marker(pytest.mark.no_cover)


@pytest.fixture(scope="session")
def chromium():
    path = servers.or_skip(servers.chromium)
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        # Playwright's loop runs in this thread; Django takes it for a server's and refuses to ask the database.
        patch.setitem(os.environ, "DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def small():
    with stack.small() as running:
        yield running


@pytest.fixture(scope="session")
def large():
    context = stack.large()
    yield servers.or_skip(context.__enter__)
    context.__exit__(None, None, None)


@pytest.fixture(scope="session")
def production():
    context = production_site.site()
    yield servers.or_skip(context.__enter__)
    context.__exit__(None, None, None)


@pytest.fixture(params=["small", "large"])
def portal(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def browser_window(chromium):
    """Open windows; a console error or a page error in any of them fails the test."""
    contexts, complaints = [], []

    def open_window(**options):
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        context.set_default_timeout(30_000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        return page

    yield open_window
    for context in contexts:
        context.close()
    # Chromium itself reports each answer of 400 and above.
    assert [text for text in complaints if "Failed to load resource" not in text] == []


@pytest.fixture
def person(browser_window, portal):
    return Person(browser_window(), portal)
