"""Times as I read them: in the zone that I have chosen, else in my browser's, on pages and in mails."""

import json
import re
from datetime import UTC, datetime, timedelta
from io import BytesIO
from urllib.parse import urljoin
from zipfile import ZipFile

import pytest
import time_machine
from django.conf import settings
from django.test import Client
from django.urls import reverse
from django.utils import timezone, translation

from accounts import account_deletion, data_export, security_log, signin, time_zones
from accounts.models import Channel, DataExport, Mail, User
from accounts.security_log import Kind, Origin
from accounts.templatetags.times import ago, in_words, logged, moment, utc_moment
from accounts.tests.factories import PASSWORD
from accounts.web.time_zones import PAGE_TIME_ZONE, show_times_of_reader
from mfa import assisted_reset
from mfa.tests.factories import add_mode
from tests.emails import read_mail
from tests.pages import text_of
from tests.signing_in import OTP, give_credentials, sign_in
from tests.statements import recorded

CHOOSE = "/account/time-zone"
SETTINGS = "/account/view"
SUMMER = datetime(2026, 7, 1, 12, 30, tzinfo=UTC)
WINTER = datetime(2026, 1, 1, 12, 30, tzinfo=UTC)


def chosen(user: User, name: str) -> None:
    User.objects.filter(pk=user.pk).update(time_zone=name)


def notice_of(user: User) -> str:
    """Return the text of a notice about something that happens to a user now."""
    user.refresh_from_db()
    security_log.record(user, Kind.PASSWORD_CHANGED, Origin())
    return read_mail()[-1].body


def zone_of(page) -> tuple[str, bool]:
    """Return the time zone of a page, and whether the script must leave it alone."""
    found = re.search(r'<html [^>]*data-time-zone="([^"]*)"( data-time-zone-chosen)?', page.content.decode())
    return found[1], bool(found[2])


# --- my choice ----------------------------------------------------------------------------------


@pytest.mark.django_db
def test_i_choose_a_zone_and_pages_show_it_without_script(client, dana):
    with time_machine.travel(SUMMER, tick=False):
        sign_in(client, dana)
        assert zone_of(client.get(SETTINGS)) == ("UTC", False)

        page = client.post(CHOOSE, {"time_zone": "America/New_York"}, follow=True)

        assert zone_of(page) == ("America/New_York", True)
        assert "Time zone: New York (America), now 08:30 EDT" in text_of(page)
        assert '<time datetime="2026-07-01T12:30:00Z" data-local="clock">08:30 EDT</time>' in page.content.decode()
        page = client.get(CHOOSE).content.decode()
        assert '<option value="America/New_York" selected>New York (UTC−4)</option>' in page

        client.post(CHOOSE, {"time_zone": ""})
        assert "as in the browser ( UTC ), now 12:30 UTC" in text_of(client.get(SETTINGS))


def offered(client, query: str = "") -> list[tuple[str, str]]:
    """Return the groups and choices of the list as they stand on the page: tag, group, whether it is chosen, label."""
    page = client.get(CHOOSE, {"q": query} if query else {}).content.decode()
    return re.findall(r'<(optgroup|option)[^>]*?(?: label="([^"]*)")?(?: value="[^"]*")?( selected)?>([^<]*)', page)


@pytest.mark.parametrize(("day", "berlin", "lord_howe"), [(SUMMER, "+2", "+10:30"), (WINTER, "+1", "+11")])
@pytest.mark.django_db
def test_each_city_has_the_offset_of_today_and_that_of_my_browser_comes_first(client, dana, day, berlin, lord_howe):
    client.cookies[settings.TIME_ZONE_COOKIE_NAME] = "Europe/Berlin"
    with time_machine.travel(day, tick=False):
        sign_in(client, dana)
        rows = offered(client)

    assert [group or label for _tag, group, _selected, label in rows[:6]] == [
        "as in the browser", "Time zone of this browser", f"Berlin (UTC{berlin})", "UTC", "Africa", "Abidjan (UTC+0)",
    ]  # fmt: skip
    labels = [label for _tag, _group, _selected, label in rows]
    assert labels.count(f"Berlin (UTC{berlin})") == 2
    assert {f"Lord Howe (UTC{lord_howe})", "Kolkata (UTC+5:30)", "Buenos Aires, Argentina (UTC−3)"} <= {*labels}


@pytest.mark.django_db
def test_i_search_my_city_without_script_and_the_best_choice_is_chosen(client, dana):
    chosen(dana, "Asia/Tokyo")
    sign_in(client, dana)

    with time_machine.travel(WINTER, tick=False):
        assert [row[1] or row[3] for row in offered(client, "SÃO pau")] == ["America", "Sao Paulo (UTC−3)"]
        assert "Knox, Indiana (UTC−6)" in [row[3] for row in offered(client, "knox indiana")]
        assert [row[1] or row[3] for row in offered(client, "Indian mauri")] == ["Indian Ocean", "Mauritius (UTC+4)"]


@pytest.mark.parametrize("query", ["Kopenh", "Copenhagen", "Dänemark", "europa kopenhagen"])
@pytest.mark.django_db
def test_i_find_my_city_in_my_language_by_its_name_or_country(client, dana, query):
    client.cookies[settings.LANGUAGE_COOKIE_NAME] = "de"
    with time_machine.travel(WINTER, tick=False):
        sign_in(client, dana)
        assert ("option", "", "", "Kopenhagen (UTC+1)") in offered(client, query)
        page = client.post(CHOOSE, {"time_zone": "Europe/Copenhagen"}, follow=True)

    assert "Kopenhagen (Europa)" in text_of(page)
    assert "13:30 MEZ" in text_of(page)


@pytest.mark.django_db
def test_a_search_without_result_shows_the_whole_list_with_my_choice(client, dana):
    chosen(dana, "Asia/Tokyo")
    sign_in(client, dana)

    page = client.get(CHOOSE, {"q": "<Atlantis>"})

    assert "No city, country or region of the list begins like this." in text_of(page)
    assert 'value="&lt;Atlantis&gt;"' in page.content.decode()
    assert '<option value="Asia/Tokyo" selected>' in page.content.decode()
    assert len(offered(client, "x" * 500)) > 400


@pytest.mark.parametrize(
    "unknown", ["Mars/Olympus", "../../etc/passwd", "Europe/../UTC", "europe/berlin", "EST5EDT", "x" * 500]
)
@pytest.mark.django_db
def test_an_unknown_zone_is_refused(client, dana, unknown):
    sign_in(client, dana)

    page = client.post(CHOOSE, {"time_zone": unknown})

    assert page.status_code == 400
    assert "This time zone is not available." in text_of(page)
    dana.refresh_from_db()
    assert dana.time_zone == ""
    with pytest.raises(time_zones.NoSuchTimeZone):
        time_zones.choose(dana, unknown)


@pytest.mark.django_db
def test_my_zone_is_not_that_of_the_next_request(client, dana):
    chosen(dana, "Asia/Tokyo")
    sign_in(client, dana)
    assert zone_of(client.get(SETTINGS)) == ("Asia/Tokyo", True)

    assert zone_of(Client().get("/account/login")) == ("UTC", False)
    client.post("/account/logout")
    assert zone_of(client.get("/account/login")) == ("UTC", False)
    assert timezone.get_current_timezone_name() == "UTC"


@pytest.mark.django_db
def test_a_zone_that_the_database_no_longer_has_is_utc(client, dana):
    chosen(dana, "Europe/Atlantis")
    sign_in(client, dana)

    assert zone_of(client.get(SETTINGS))[0] == "UTC"


@pytest.mark.parametrize(("path", "zone"), [("", "UTC"), ("accounts/user/", "UTC"), ("../account", "Asia/Tokyo")])
def test_the_administration_stays_in_utc(rf, path, zone):
    request = rf.get(urljoin(reverse("admin:index"), path), headers={PAGE_TIME_ZONE: "Asia/Tokyo"})

    assert show_times_of_reader(lambda _request: timezone.get_current_timezone_name())(request) == zone


@pytest.mark.django_db
def test_what_i_download_stays_in_utc(client, dana):
    chosen(dana, "Asia/Tokyo")
    with time_machine.travel(SUMMER, tick=False):
        sign_in(client, dana)
        assert zone_of(client.get("/account/security-log"))[0] == "Asia/Tokyo"
        lines = b"".join(client.get("/account/security-log.csv").streaming_content).decode().splitlines()
        with time_zones.shown_in("Asia/Tokyo"):
            data_export.ask(dana, Origin())
            data_export.build_waiting()

        archive = ZipFile(BytesIO(data_export.read(dana, DataExport.objects.get().pk)))

    assert lines[1].startswith("2026-07-01T12:30:00+00:00,")
    [account] = json.loads(archive.read("json/account.json"))
    assert account["time_zone"] == "Asia/Tokyo"
    [row] = json.loads(archive.read("json/security_log.json"))
    assert row["at"] == "2026-07-01T12:30:00Z"


# --- the browser's ------------------------------------------------------------------------------


@pytest.mark.django_db
def test_without_a_choice_the_zone_is_what_the_script_has_kept(client, dana):
    client.cookies[settings.TIME_ZONE_COOKIE_NAME] = "Europe/Berlin"
    with time_machine.travel(WINTER, tick=False):
        sign_in(client, dana)
        page = client.get(SETTINGS)
        chosen(dana, "UTC")
        assert zone_of(client.get(SETTINGS)) == ("UTC", True)

    assert zone_of(page) == ("Europe/Berlin", False)
    assert "as in the browser ( Berlin (Europe) ), now 13:30 CET" in text_of(page)


@pytest.mark.parametrize(
    "sent", ["../../etc/passwd", "<script>", "Europe/Berlin/", "/etc/localtime", "localtime", "x" * 4000, ""]
)
@pytest.mark.django_db
def test_what_the_cookie_holds_is_not_trusted(client, sent):
    client.cookies[settings.TIME_ZONE_COOKIE_NAME] = sent

    assert zone_of(client.get("/account/login")) == ("UTC", False)


@pytest.mark.django_db
def test_a_part_of_a_page_is_in_the_page_s_language_and_zone_and_reads_no_session(client, dana):
    """What the prompt asks again and again costs one statement: that of the mail."""
    add_mode(dana, "email")
    give_credentials(client, "dana")
    line = re.search(r'data-follow="([^"]+)"', client.get(OTP).content.decode())[1]
    read_mail()
    sign_in(client, dana)
    of_page = {"X-Page-Language": "de", "X-Page-Time-Zone": "Asia/Kolkata"}

    with recorded() as sent:
        part = client.get(line, headers=of_page)

    assert sent.statements == 1, str(sent)
    assert "gesendet" in text_of(part)
    assert " IST" in text_of(part)
    forged = client.get(line, headers={"X-Page-Language": "xx", "X-Page-Time-Zone": "../x"})
    assert " UTC" in text_of(forged)


# --- how times read -----------------------------------------------------------------------------


def test_a_moment_names_its_zone():
    with time_zones.shown_in("Europe/Berlin"):
        assert in_words(WINTER) == "1 January 2026, 13:30 CET"
        assert in_words(SUMMER) == "1 July 2026, 14:30 CEST"
        assert ">1 July 2026, 14:30 CEST</time>" in moment(SUMMER)
        assert ">1 July 2026, 12:30 UTC</time>" in utc_moment(SUMMER)
    with time_zones.shown_in("America/Sao_Paulo"):
        assert in_words(SUMMER) == "1 July 2026, 09:30 UTC-03"


@pytest.mark.parametrize(
    ("passed", "words"),
    [
        (timedelta(seconds=-30), "just now"),  # another server's clock
        (timedelta(seconds=59), "just now"),
        (timedelta(minutes=1), "1 minute ago"),
        (timedelta(minutes=59), "59 minutes ago"),
        (timedelta(hours=1), "1 hour ago"),
        (timedelta(hours=23, minutes=59), "23 hours ago"),
    ],
)
def test_what_was_today_is_relative_with_the_full_time_at_hand(passed, words):
    with time_machine.travel(SUMMER + passed, tick=False), time_zones.shown_in("Europe/Berlin"):
        assert f"1 July 2026, 14:30 CEST</time> ({words})" in ago(SUMMER)
        assert "2026-07-01 14:30:00 CEST</time>" in logged(SUMMER)
        assert words in logged(SUMMER)


def test_what_was_before_or_is_to_come_is_not_relative():
    for passed in (timedelta(days=1), timedelta(minutes=-2)):
        with time_machine.travel(SUMMER + passed, tick=False):
            assert ago(SUMMER) == moment(SUMMER)
            assert "ago" not in logged(SUMMER)
    assert ago(None) == ""


@pytest.mark.django_db
def test_the_dashboard_says_how_long_ago_i_signed_in(client, dana):
    chosen(dana, "Europe/Berlin")
    sign_in(client, dana)

    with time_machine.travel(timezone.now() + timedelta(minutes=3)):
        page = client.get("/account").content.decode()

    assert re.search(r'<time datetime="[^"]+Z" data-local="minute">[^<]+ CES?T</time> \(3 minutes ago\)', page)


# --- mails --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chosen_zone", "of_browser", "time"),
    [("", "", "12:30 UTC"), ("", "Europe/Berlin", "14:30 CEST"), ("Asia/Kolkata", "Europe/Berlin", "18:00 IST")],
)
@pytest.mark.django_db
def test_the_mail_with_my_code_is_in_the_zone_of_the_page_that_waits_for_it(
    client, dana, chosen_zone, of_browser, time
):
    chosen(dana, chosen_zone)
    add_mode(dana, "email")
    client.cookies[settings.TIME_ZONE_COOKIE_NAME] = of_browser

    with time_machine.travel(SUMMER, tick=False):
        give_credentials(client, "dana")
        [mail] = read_mail()

    assert f"You asked for this code at {time}" in mail.body
    assert f"You asked for this code at {time}" in str(mail.alternatives[0].content)


@pytest.mark.django_db
def test_a_security_notice_is_in_my_zone(dana):
    chosen(dana, "Europe/Madrid")
    dana.refresh_from_db()
    with time_machine.travel(SUMMER, tick=False):
        security_log.record(dana, Kind.PASSWORD_CHANGED, Origin())
        assert Mail.objects.get().time_zone == "Europe/Madrid"
        [mail] = read_mail()

    assert "Time: 1 July 2026, 14:30 CEST." in mail.body


def test_until_i_choose_a_zone_my_notices_are_in_that_of_my_last_browser(client, another_browser, dana):
    client.cookies[settings.TIME_ZONE_COOKIE_NAME] = "Europe/Berlin"
    elsewhere = another_browser()
    elsewhere.cookies[settings.TIME_ZONE_COOKIE_NAME] = "Asia/Kolkata"
    with time_machine.travel(SUMMER, tick=False):
        sign_in(client, dana)
        assert "Time: 1 July 2026, 14:30 CEST." in notice_of(dana)
        page = text_of(client.get(SETTINGS))

        sign_in(elsewhere, dana)
        assert "Time: 1 July 2026, 18:00 IST." in notice_of(dana)

        chosen(dana, "America/New_York")
        assert "Time: 1 July 2026, 08:30 EDT." in notice_of(dana)

    assert "the zone of the browser in which you last signed in, until you choose one" in page


@pytest.mark.parametrize("sent", ["", "Mars/Olympus", "../../etc/passwd", "x" * 4000])
def test_a_browser_that_tells_no_zone_leaves_the_last_one(client, dana, sent):
    client.cookies[settings.TIME_ZONE_COOKIE_NAME] = sent
    for last in ("", "Europe/Berlin"):
        User.objects.filter(pk=dana.pk).update(last_time_zone=last)
        sign_in(client, dana)

        dana.refresh_from_db()
        assert dana.last_time_zone == last


def test_the_command_line_has_no_zone_and_its_code_comes_in_that_of_my_browser(client, dana_with_email):
    User.objects.filter(pk=dana_with_email.pk).update(last_time_zone="Europe/Berlin")
    client.cookies[settings.TIME_ZONE_COOKIE_NAME] = "Asia/Tokyo"
    with time_machine.travel(SUMMER, tick=False):
        credentials = {"identifier": "dana", "password": PASSWORD}
        begun = client.post("/auth/signin", credentials, "application/json").json()
        [mail] = read_mail()
        code = re.search(r"(\d{6}) is your one-time password", mail.body)[1]
        path = f"/auth/signin/mfa/{begun['mfaID']}"
        assert client.post(path, {"otp": code}, "application/json").status_code == 200

    assert "You asked for this code at 14:30 CEST" in mail.body
    dana_with_email.refresh_from_db()
    assert dana_with_email.last_time_zone == "Europe/Berlin"


def test_only_a_sign_in_in_a_browser_leaves_its_zone(dana):
    told = Origin(time_zone="Asia/Tokyo")
    for channel, left in ((Channel.CLI, ""), (Channel.BROWSER, "Asia/Tokyo")):
        signin.finish_without_code(dana, told, channel=channel)

        dana.refresh_from_db()
        assert dana.last_time_zone == left


@pytest.mark.parametrize(("mine", "time"), [("", "12:30 UTC"), ("Asia/Kolkata", "18:00 IST")])
def test_what_another_person_does_to_my_account_is_mailed_in_my_zone(dana_with_app, sam, mine, time):
    User.objects.filter(pk=dana_with_app.pk).update(last_time_zone=mine)
    chosen(sam, "America/New_York")
    with time_machine.travel(SUMMER, tick=False), time_zones.shown_in("America/New_York"), translation.override("de"):
        dana_with_app.refresh_from_db()
        assisted_reset.start(dana_with_app, by=sam, authority="staff", reason="lost phone", origin=Origin())
        [mail] = read_mail()

    assert f"until 4 July 2026, {time}." in " ".join(mail.body.split())


def test_my_last_zone_is_in_my_data_and_in_the_last_mail_and_goes_with_my_account(dana):
    User.objects.filter(pk=dana.pk).update(last_time_zone="Europe/Berlin")
    dana.refresh_from_db()
    data_export.ask(dana, Origin())
    data_export.build_waiting()
    archive = ZipFile(BytesIO(data_export.read(dana, DataExport.objects.get().pk)))
    [account] = json.loads(archive.read("json/account.json"))
    assert account["time_zone_of_last_browser"] == "Europe/Berlin"

    account_deletion.ask(dana, Origin())
    with time_machine.travel(datetime(2027, 7, 1, 12, 30, tzinfo=UTC), tick=False):
        account_deletion.delete_due()
        mail = read_mail()[-1]

    assert "Your account was deleted on 1 July 2027, 14:30 CEST" in mail.body
    assert not User.objects.exists()
