"""Whatever a stranger sends gets a clear page with the right status, never a 500 (SR-32, SR-49)."""

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import User
from mfa.models import Factor
from mfa.tests.factories import add_mode
from organizations.tests.factories import MembershipFactory
from tests.pages import text_of
from tests.signing_in import give_credentials, sign_in

pytestmark = pytest.mark.django_db

FIELDS = (
    "identifier", "password", "password_confirm", "current_password", "email", "code", "otp", "type", "mode", "next",
    "name", "username", "set_as_preferred",
)  # fmt: skip


SOME_ID = "11111111-2222-4333-8444-555555555555"


def every_address(*, of_pages: bool = True) -> list[str]:
    """Give an address of each view of ours: of the pages, or else of the JSON endpoints and their document."""
    found = []

    def walk(patterns, namespace=""):
        for pattern in patterns:
            if isinstance(pattern, URLResolver) and pattern.namespace == "admin":
                continue  # Django's own
            if isinstance(pattern, URLResolver):
                walk(pattern.url_patterns, f"{pattern.namespace}:" if pattern.namespace else namespace)
            elif isinstance(pattern, URLPattern) and pattern.name and (namespace != "api:") == of_pages:
                values = {"mode": "email", "code": "secret", "name": "laptop", "token": "forged:token"}
                kwargs = {name: values.get(name, SOME_ID) for name in pattern.pattern.converters}
                found.append(reverse(f"{namespace}{pattern.name}", kwargs=kwargs))

    walk(get_resolver().url_patterns)
    return sorted(found)


@pytest.mark.parametrize("address", every_address() + every_address(of_pages=False))
@pytest.mark.parametrize("method", ["get", "post", "head", "put", "delete", "options", "patch"])
def test_every_method_on_every_address_is_answered(client, address, method):
    response = getattr(client, method)(address)

    assert response.status_code < 500
    assert response.status_code in {200, 204, 302, 400, 401, 403, 404, 405}


@pytest.mark.parametrize("address", every_address())
def test_a_megabyte_is_refused_before_anything_reads_it(client, address):
    """SR-49."""
    response = client.post(address, {"identifier": "x" * 1_000_000})

    assert response.status_code == 413
    assert "too large" in text_of(response).lower()


@pytest.mark.parametrize("address", every_address())
@pytest.mark.parametrize(
    "body", [b"identifier=%00&otp=1", b"identifier=\x00", b"identifier=%ff%fe", b"\xff=1", b"%00=%00"]
)
def test_nul_bytes_and_broken_utf_8_are_refused(client, address, body):
    """SR-49."""
    response = client.post(address, body, content_type="application/x-www-form-urlencoded")

    assert response.status_code == 400


@pytest.mark.parametrize("query", ["next=%00", "next=%ff", "type=%00", "page=%00", "%ff"])
@pytest.mark.parametrize("address", ["/account/login", "/account/mfa/activate", "/organizations", "/nowhere"])
def test_a_broken_query_is_refused(client, address, query):
    assert client.get(f"{address}?{query}").status_code == 400


@pytest.mark.parametrize("page", ["0", "-1", "9" * 100, "x", "1e3", ""])
def test_a_page_number_that_is_none_shows_a_page(client, dana, page):
    sign_in(client, dana)

    assert client.get("/organizations", {"page": page}).status_code == 200


@pytest.mark.parametrize("cookie", ["", "x", "ÿ", "x" * 4000, "' OR 1=1", "../../etc/passwd"])
def test_a_forged_session_cookie_is_nobody(client, cookie):
    client.cookies["session"] = cookie

    assert client.get("/account/view").url.startswith("/account/login")


@pytest.mark.parametrize("name", ["session", "csrf", "messages"])
def test_garbage_in_any_cookie_is_survived(client, name):
    client.cookies[name] = "%00%ff{}[]"

    assert client.get("/account/login").status_code == 200


@pytest.mark.parametrize("address", every_address())
def test_nul_bytes_in_the_other_encoding_are_refused_too(client, dana_with_app, address):
    """SR-49."""
    give_credentials(client, "dana")

    response = client.post(address, {"identifier": "da\x00na", "mode": "email\x00", "next": "/\x00"})

    assert response.status_code == 400


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    address=st.sampled_from(every_address()),
    fields=st.dictionaries(st.sampled_from(FIELDS), st.lists(st.text(max_size=80), max_size=3)),
    state=st.sampled_from(["stranger", "half signed in", "signed in"]),
)
def test_no_form_ever_breaks_or_changes_what_it_should_not(db, address, fields, state):
    """SR-32: whatever is missing, repeated, empty or mistyped."""
    User.objects.all().delete()
    dana = User.objects.create_user("dana@example.com", "a quiet harbour at dawn", username="dana")
    add_mode(dana, "authenticator")
    MembershipFactory(user=dana)
    client = Client(raise_request_exception=True)
    if state != "stranger":
        give_credentials(client, "dana")
    if state == "signed in":
        sign_in(client, dana)

    response = client.post(address, fields)

    assert response.status_code < 500
    dana.refresh_from_db()
    assert dana.check_password("a quiet harbour at dawn")
    if state != "signed in":
        assert dana.preferred_mode == "authenticator"
        assert Factor.objects.filter(user=dana).count() == 1
        assert client.get("/account/view").status_code == 302


@pytest.mark.parametrize("address", ["/nowhere", "/account/login/", "/organizations/7", "/account/mfa/sms/disable"])
def test_what_does_not_exist_says_so(client, address):
    page = client.get(address)

    assert page.status_code == 404
    assert "There is no such page" in text_of(page)


def test_a_forged_host_is_refused_in_words(client):
    """SR-47."""
    page = client.get("/account/login", headers={"host": "evil.example"})

    assert page.status_code == 400
    assert "could not be read" in text_of(page)


def test_an_address_used_in_the_wrong_way_says_so(client):
    page = client.get("/account/logout")

    assert (page.status_code, page.headers["Allow"]) == (405, "POST")
    assert "use its button" in text_of(page)


def test_an_error_of_ours_says_that_it_is_ours(dana, monkeypatch):
    from accounts import signin

    def fail(*_args):
        raise RuntimeError("boom")

    monkeypatch.setattr(signin, "check_credentials", fail)
    page = give_credentials(Client(raise_request_exception=False), "dana")

    assert page.status_code == 500
    assert "Something went wrong on our side" in text_of(page)
    assert "boom" not in text_of(page)


@pytest.mark.parametrize("address", ["/account/login", "/help/mfa", "/nowhere", "/account/register"])
def test_every_answer_carries_the_headers_of_a_careful_site(client, address):
    """SR-46, on errors too."""
    headers = client.get(address).headers

    policy = headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"
    assert "camera=()" in headers["Permissions-Policy"]


@pytest.mark.parametrize(
    "charset",
    ["=base64", "=hex", "=rot13", "=zip", "=undefined", "=utf-16", '="x', "*=utf-8''base64", "*0=base; charset*1=64",
     "*0*=''base64", "*=utf-8''zip", "=utf-8; a*=nosuch''x", "=utf-8; boundary*=nosuch''x"],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_charset_that_no_page_names_breaks_nothing(db, method, kind, charset):
    """SR-46, SR-49: it is looked up before any middleware runs."""
    from io import BytesIO

    from django.test.client import RequestFactory

    from datica_account.wsgi import application

    body = b"identifier=dana&password=x"
    environ = RequestFactory().generic(method, "/account/login?next=/x", body, f"{kind}; charset=utf-8").environ
    environ |= {"CONTENT_TYPE": f"{kind}; charset{charset}", "wsgi.input": BytesIO(body)}
    answers = []

    list(application(environ, lambda status, headers: answers.append((status, dict(headers)))))

    ((status, headers),) = answers
    assert status[:3] in {"200", "400", "403"}
    assert "Content-Security-Policy" in headers
