"""Two web servers, two workers and, by mistake, two schedulers: for a user they are one portal."""

import signal
import threading
import time

import pytest

from tests import servers
from tests.production import Visitor, app_code, mode_of, sign_in

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def site(production):
    """The site on two machines, each with folders of its own; the tests say which web server they ask."""
    ports = [servers.free_port(), servers.free_port()]
    production.processes = {
        **{
            f"web{number}": production.start_web(f"replica-web{number}", port=port) for number, port in enumerate(ports)
        },
        **{f"worker{number}": production.start_worker(f"replica-worker{number}") for number in range(2)},
        **{f"beat{number}": production.start_beat(f"replica-beat{number}") for number in range(2)},
    }
    production.urls = [f"http://127.0.0.1:{port}" for port in ports]
    yield production
    for process in production.processes.values():
        process.kill()


class Wanderer(Visitor):
    """A visitor whose requests go to the web servers in turn, as behind a proxy that keeps no one at one of them."""

    def __init__(self, urls: list[str]) -> None:
        super().__init__(urls[0])
        self.urls = urls

    def open(self, path: str, **fields: str) -> int:
        self.url, *_others = self.urls = [*self.urls[1:], self.urls[0]]
        return super().open(path, **fields)


@pytest.mark.parametrize("mode", ["email", "authenticator"])
def test_a_sign_in_wanders_between_web_servers(site, mode):
    visitor = sign_in(site, site.somebody(mode), visitor=Wanderer(site.urls))

    assert visitor.is_signed_in()
    assert visitor.open("/account/sessions") == 200
    assert visitor.failures == []


def test_a_code_comes_once_from_two_workers_and_two_schedulers(site):
    email = site.somebody("email")
    sign_in(site, email, visitor=Wanderer(site.urls))
    time.sleep(3)  # both schedulers have swept meanwhile

    assert len(site.codes_to(email)) == 1


def test_wrong_passwords_are_counted_together(site):
    """SR-7: what one web server has counted, the other refuses."""
    email, visitor = site.somebody("email"), Wanderer(site.urls)
    for _attempt in range(5):
        visitor.open("/account/login")
        assert visitor.open("/account/login", identifier=email, password="wrong") == 400
        assert "Incorrect" in visitor.page

    for _web_server in site.urls:
        visitor.open("/account/login")
        visitor.open("/account/login", identifier=email, password="wrong")
        assert "Too many" in visitor.page


def test_a_code_is_accepted_once_by_both(site):
    """SR-11: an authenticator's code that one web server has taken, the other refuses."""
    email = site.somebody("authenticator")
    first, second = Visitor(site.urls[0]), Visitor(site.urls[1])
    first.give_password(email)
    second.give_password(email)
    code = app_code(email)
    first.give_code(code)
    second.give_code(code)

    assert mode_of(email) == "authenticator"
    assert first.is_signed_in()
    assert not second.is_signed_in()


def test_new_code_is_loaded_without_a_lost_request(site):
    """SIGHUP: new processes take over the socket while the old ones finish what they have begun."""
    web, over = site.processes["web0"], threading.Event()
    before = set(web.children())
    visitors = [Visitor(site.urls[0]) for _number in range(3)]

    def ask(visitor):
        while not over.is_set():
            visitor.open("/account/login")

    threads = [threading.Thread(target=ask, args=[visitor]) for visitor in visitors]
    for thread in threads:
        thread.start()
    web.signal(signal.SIGHUP)
    while before & set(web.children()) or not web.children():
        time.sleep(0.1)
    over.set()
    for thread in threads:
        thread.join()

    assert [failure for visitor in visitors for failure in visitor.failures] == []
    assert all(visitor.answers[200] for visitor in visitors)
