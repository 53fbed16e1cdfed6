"""Times in a browser far from UTC: its own zone without asking, mine once I choose one."""

import re

import pytest

from tests.people import Person

pytestmark = pytest.mark.browser


def test_times_are_in_my_browsers_zone_until_i_choose_one(browser_window, small):
    dana = Person(browser_window(locale="en-GB", timezone_id="Asia/Tokyo"), small)
    dana.activates_email()
    dana.signs_in()
    row, now = dana.page.locator("#time-zone"), dana.page.locator("#time-zone time")

    # The script has told the server, which knows the zone's own name.
    dana.goes_to("/account/view")
    assert re.search(r"as in the browser \(Tokyo \(Asia\)\), now \d\d:\d\d JST", row.inner_text())

    # Without the cookie the page comes in UTC, and the script turns it.
    dana.page.context.clear_cookies(name="time-zone")
    dana.page.reload()
    assert re.search(r"as in the browser \(Asia/Tokyo\), now \d\d:\d\d GMT\+9", row.inner_text())
    assert re.fullmatch(r"\d\d:\d\d UTC", now.get_attribute("title"))

    # What I choose is left alone, whatever the browser thinks.
    dana.follows("Choose time zone")
    dana.page.get_by_label("Time zone").select_option("America/Argentina/Ushuaia")
    dana.clicks("Save")
    dana.reads("Your time zone is saved.")
    assert re.search(r"Ushuaia, Argentina \(America\), now \d\d:\d\d UTC-03", row.inner_text())
    dana.goes_to("/account")
    signed_in = dana.page.locator(".rows li", has=dana.page.locator("time")).first
    assert re.match(r"\d+ \w+ \d{4}, \d\d:\d\d UTC-03 \((just now|\d+ minutes? ago)\)", signed_in.inner_text())

    # The inbox of development shows mails as they are written, with their times.
    dana.goes_to("/development/inbox")
    assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC-03", dana.page.locator("main").inner_text())

    # The links of a mail open from its HTML, which is shown in a sandbox, and from its text.
    dana.page.get_by_role("link", name="mode enabled").first.click()
    with dana.page.context.expect_page() as opened:
        dana.page.frame_locator("iframe").get_by_role("link", name="/account/password/reset").click()
    opened.value.get_by_role("heading", name="Reset your password").wait_for()
    dana.page.locator(".mail-text").get_by_role("link", name="/account/password/reset").click()
    dana.page.get_by_role("heading", name="Reset your password").wait_for()
