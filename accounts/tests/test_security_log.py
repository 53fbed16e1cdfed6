"""What happened to an account: seen, filtered, downloaded, kept, forgotten in time (SR-53)."""

import csv
from datetime import timedelta
from io import StringIO

import pytest
from django.utils import timezone

from accounts import security_log
from accounts.models import SecurityEvent
from accounts.security_log import Kind, Origin
from tests.pages import text_of
from tests.signing_in import give_credentials, sign_in

pytestmark = pytest.mark.django_db

PAGE = "/account/security-log"
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Firefox/128.0"


def rows_of(answer) -> list[list[str]]:
    return list(csv.reader(StringIO(b"".join(answer.streaming_content).decode())))


def test_i_read_what_happened_when_and_from_where(client, dana):
    give_credentials(client, "dana", "wrong")
    sign_in(client, dana)
    security_log.record(dana, Kind.CODE_REFUSED, Origin("192.0.2.7", FIREFOX), mode="email")

    page = text_of(client.get(PAGE))

    assert "Wrong password – 127.0.0.1" in page
    assert "Wrong one-time password email 192.0.2.7, Firefox on Windows" in page
    assert page.index("Wrong one-time password email") < page.index("Signed in – 127.0.0.1")


def test_i_filter_by_kind_also_over_pages(client, dana):
    sign_in(client, dana)
    for _number in range(60):
        security_log.record(dana, Kind.CODE_REFUSED, Origin())

    page = client.get(f"{PAGE}?kind=code_refused&page=2")

    assert "Page 2 of 2" in text_of(page)
    assert "kind=code_refused&amp;page=1" in page.content.decode()
    assert "Signed in – " not in text_of(page)


@pytest.mark.parametrize("query", ["kind=nonsense", "page=x", "page=999", "kind=%00", "kind=a&kind=b"])
def test_a_query_that_makes_no_sense(client, dana, query):
    sign_in(client, dana)

    assert client.get(f"{PAGE}?{query}").status_code in {200, 400}


def test_i_download_it(client, dana, sam):
    security_log.record(sam, Kind.PASSWORD_CHANGED, Origin())
    sign_in(client, dana)

    answer = client.get(f"{PAGE}.csv")

    rows = rows_of(answer)
    assert answer.headers["Content-Disposition"] == 'attachment; filename="security-log.csv"'
    assert rows[0] == ["Time (UTC)", "What", "Mode", "IP address", "Browser", "By", "Reason"]
    assert [row[1] for row in rows[1:]] == ["Signed in"]


def test_a_browser_that_calls_itself_a_formula_writes_none(client, dana):
    sign_in(client, dana)
    for agent in ("=cmd|' /C calc'!A0", "+1", "@x", "datica-cli-=1 =2"):
        security_log.record(dana, Kind.SIGNED_IN, Origin("192.0.2.1", agent))

    rows = rows_of(client.get(f"{PAGE}.csv?kind=signed_in"))

    assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "-", "@"))]


def test_nobody_reads_mine(client, dana, sam):
    security_log.record(sam, Kind.KEY_ADDED, Origin())
    sign_in(client, dana)

    assert "SSH key added –" not in text_of(client.get(PAGE))


def test_old_events_are_forgotten(dana):
    """SR-53: kept for 400 days."""
    for days in (399, 401):
        event = security_log.record(dana, Kind.SIGNED_IN, Origin())
        SecurityEvent.objects.filter(pk=event.pk).update(at=timezone.now() - timedelta(days=days))

    assert security_log.forget_old() == 1

    assert SecurityEvent.objects.count() == 1


def test_a_page_is_the_same_work_for_any_length(client, dana, django_assert_max_num_queries):
    sign_in(client, dana)
    SecurityEvent.objects.bulk_create([SecurityEvent(user=dana, kind="signed_in") for _number in range(300)])

    with django_assert_max_num_queries(6):
        client.get(PAGE)
