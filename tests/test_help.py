"""The help: its search, its pictures, what owners read, and what the portal sees for an account."""

import json
import re
from datetime import timedelta

import pytest
from django.conf import settings
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.html import escape
from PIL import Image

from accounts.models import Delivery, Mail
from accounts.security_log import Origin
from accounts.session_store import SIGNED_IN
from accounts.tests.factories import UserFactory
from datica_account.help import sections
from datica_account.templatetags.help_pictures import FOLDER, help_picture, sizes
from mfa import assisted_reset, code_failures, recovery
from mfa.models import Factor
from mfa.tests.factories import add_mode
from mfa.tests.test_mail_line import tell
from organizations.models import Membership
from organizations.tests.factories import MembershipFactory
from tests import pictured_pages
from tests.pages import text_of
from tests.signing_in import give_credentials, pending_sign_in_of, sign_in

TROUBLESHOOTING = "/help/mfa-troubleshooting"
LANGUAGES = [code for code, _name in settings.LANGUAGES]
SCHEMES = ("light", "dark")
MAX_BYTES = 2_500_000  # in four languages and two schemes

pytestmark = pytest.mark.django_db


# --- the search -----------------------------------------------------------------------------------


def found(client, query: str, **headers: str) -> list[tuple[str, str]]:
    """Return where a search leads, with the text of each result."""
    main = client.get("/help/search", {"q": query}, headers=headers).content.decode().partition("<main")[2]
    results = re.findall(r'<h2>\s*<a href="([^"]+)">.*?</h2>\s*<p>(.*?)</p>', main, re.DOTALL)
    return [(path, re.sub(r"<.*?>", "", excerpt)) for path, excerpt in results]


def test_who_has_lost_the_phone_finds_the_way_back_first(client):
    paths = [path for path, _excerpt in found(client, "lost phone")]

    assert paths[0] == f"{TROUBLESHOOTING}#lost"


def test_a_question_in_a_sentence_is_answered_too(client):
    assert f"{TROUBLESHOOTING}#late" in [path for path, _excerpt in found(client, "my email does not arrive!")]


def test_every_result_leads_to_a_heading_that_is_there(client):
    for path, _excerpt in found(client, "mode"):
        page, _hash, anchor = path.partition("#")
        assert f'<h2 id="{anchor}">' in client.get(page).content.decode()


def test_the_search_reads_every_section_of_every_page(client):
    for name in sections.PAGES:
        headings = re.findall(r'<h2 id="([^"]+)">', client.get(reverse(name)).content.decode())
        with translation.override("en"):
            assert [one.anchor for one in sections._sections("en") if one.page == name] == headings


def test_words_are_marked_in_the_excerpt(client):
    page = client.get("/help/search", {"q": "rehearsal"}).content.decode()

    assert "<mark>Rehearsal</mark>" in page


def test_the_search_is_in_the_language_of_the_reader_with_or_without_accents(client):
    with_accent = found(client, "contraseña", **{"Accept-Language": "es"})

    assert with_accent
    assert found(client, "CONTRASENA", **{"Accept-Language": "es"}) == with_accent
    assert found(client, "contraseña") == []


def test_a_query_is_text_and_never_markup(client):
    query = "<b>code</b> \"'><script>alert(1)</script>"

    page = client.get("/help/search", {"q": query}).content.decode()

    assert escape(query) in page
    assert "<b>code" not in page
    assert "alert(1)</script>" not in page


def test_what_the_help_quotes_is_shown_as_text_too():
    """SR-32: a section that explains ``<code>`` has it in its text."""
    pieces = [("type <b>", False), ("<script>", True)]

    assert render_to_string("help/_marked.html", {"pieces": pieces}) == ("type &lt;b&gt;<mark>&lt;script&gt;</mark>")


def test_what_stands_on_every_page_is_found_on_none(client):
    """Such as the link in the footer of the page that this search has read last."""
    assert found(client, "Troubleshooting") == []


@pytest.mark.parametrize("query", ["(", ".*", "[a-", "\\", "%", "&amp;", "ﬁ İ ß", "\N{COMBINING ACUTE ACCENT}"])
def test_signs_of_all_kinds_are_searched_as_they_are(client, query):
    assert client.get("/help/search", {"q": query}).status_code == 200


def test_an_empty_search_says_what_to_enter(client):
    for address in ("/help/search", "/help/search?q=", "/help/search?q=%20%20"):
        assert "Enter one word or several" in text_of(client.get(address))


def test_nothing_found_is_said(client):
    assert "No section of the help has any of these words." in text_of(client.get("/help/search?q=xylophone"))


def test_a_very_long_query_is_cut(client):
    page = client.get("/help/search", {"q": "phone " + "x" * 5000}).content.decode()

    assert len(re.search(r'name="q" value="([^"]*)"', page)[1]) == sections.MAX_QUERY_LENGTH
    assert f"{TROUBLESHOOTING}#lost" in page


def test_search_engines_keep_no_result_and_the_database_is_not_asked(client, django_assert_num_queries):
    with django_assert_num_queries(0):
        page = client.get("/help/search?q=code").content.decode()

    assert '<meta name="robots" content="noindex">' in page


def test_every_page_of_the_help_has_the_search_and_leads_to_the_others(client):
    paths = [reverse(name) for name in sections.PAGES]
    for path in [*paths, "/help/search"]:
        page = client.get(path).content.decode()
        assert 'role="search" action="/help/search"' in page
        assert all(f'href="{other}"' in page for other in paths)
        assert ('aria-current="page"' in page) == (path in paths)


# --- the page for owners --------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_owners_find_every_label_that_their_help_names(client, dana_with_app, language):
    """On the pages of an organization, in each language: the help cannot name what is not there."""
    dana_with_app.language = language
    dana_with_app.save()
    owner = MembershipFactory(user=dana_with_app, role="owner")
    MembershipFactory(organization=owner.organization, user=UserFactory())
    member = MembershipFactory(organization=owner.organization, user=UserFactory())
    add_mode(member.user, "authenticator")
    organization = owner.organization.get_absolute_url()
    sign_in(client, dana_with_app)
    client.post(f"{organization}/invitations", {"email": "new@example.com", "role": "member"})

    shown = ""
    for page in ("", "/policy", "/rehearsal", "/exemptions", "/compliance", "/members?q=example", "/invitations",
                 "/settings",
                 f"/members/{member.user_id}", f"/members/{member.user_id}/reset"):  # fmt: skip
        shown += text_of(client.get(organization + page)) + "\n"
    client.post(f"{organization}/require")
    shown += text_of(client.get(organization))

    labels = re.findall(r"<strong>(.*?)</strong>", client.get("/help/owners").content.decode())
    assert len(labels) > 20
    assert {label for label in labels if " ".join(label.split()) not in shown} == set()


# --- the pictures ---------------------------------------------------------------------------------


def pictures_of(page: str) -> list[dict[str, str]]:
    """Return the attributes of each picture of a page, with the name of its file in either scheme."""
    found = []
    for dark, light in re.findall(r"<picture>\s*<source (.*?)>\s*<img (.*?)>\s*</picture>", page):
        attributes = dict(re.findall(r'(\w+)="([^"]*)"', light))
        assert 'media="(prefers-color-scheme: dark)"' in dark
        attributes["dark"] = re.search(r'srcset="[^"]*help/([\w/-]+)[^"]*"', dark)[1]
        attributes["light"] = re.search(r"help/([\w/-]+)", attributes["src"])[1]
        found.append(attributes)
    return found


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_picture_is_there_in_my_language_in_both_schemes_with_its_size_and_words(client, language):
    for path in map(reverse, sections.PAGES):
        page = client.get(path, headers={"Accept-Language": language}).content.decode()
        for picture in pictures_of(page):
            name = picture["light"].removesuffix("-light")
            assert name.startswith(f"{language}/")
            assert picture["dark"] == f"{name}-dark"
            assert picture["loading"] == "lazy"
            assert len(picture["alt"]) > 30
            shown = int(picture["width"]) / int(picture["height"])
            for scheme in SCHEMES:
                with Image.open(FOLDER / f"{name}-{scheme}.webp") as image:
                    assert image.width >= int(picture["width"])
                    assert shown == pytest.approx(image.width / image.height, rel=0.01)


def test_a_picture_that_my_language_lacks_is_shown_in_english(monkeypatch):
    monkeypatch.setitem(sizes(), "fr", {})

    with translation.override("fr"):
        assert help_picture("prompt", "")["light"] == "help/en/prompt-light.webp"


def test_no_picture_is_left_over_and_together_they_are_small(client):
    names = {
        picture["light"].removeprefix("en/").removesuffix("-light")
        for path in map(reverse, sections.PAGES)
        for picture in pictures_of(client.get(path).content.decode())
    }
    needed = {f"{language}/{name}-{scheme}.webp" for language in LANGUAGES for name in names for scheme in SCHEMES}
    files = {file.relative_to(FOLDER).as_posix(): file.stat().st_size for file in FOLDER.rglob("*.webp")}

    assert set(files) == needed
    assert {language: set(of_language) for language, of_language in sizes().items()} == dict.fromkeys(LANGUAGES, names)
    assert sum(files.values()) < MAX_BYTES


def test_the_readme_shows_pictures_that_are_there():
    shown = re.findall(r'"(static/help/[^"]+)"', (settings.BASE_DIR / "README.md").read_text())

    assert shown
    assert [path for path in shown if not (settings.BASE_DIR / path).exists()] == []


def test_the_pictures_show_the_pages_as_they_are():
    """Words, elements and colours of what each picture shows are those of the day on which it was taken."""
    pictured = json.loads(pictured_pages.FINGERPRINTS.read_text())

    now = pictured_pages.fingerprints()

    stale = [
        f"{code}/{name}" for code, prints in now.items() for name in prints if prints[name] != pictured[code][name]
    ]
    assert stale == [], "The pages on these pictures have changed: run `make help-pictures`, look at them, commit them."


# --- what the portal sees -------------------------------------------------------------------------


def seen(client) -> str:
    """Return the block of the troubleshooting page about the reader's account; blank if there is none."""
    page = client.get(TROUBLESHOOTING)
    block = re.search(r'<section class="(?:hint )?seen".*?</section>', page.content.decode(), re.DOTALL)
    page.content = block[0].encode() if block else b""
    return text_of(page)


def next_steps(client) -> list[str]:
    block = re.search(r'class="hint seen".*?</section>', client.get(TROUBLESHOOTING).content.decode(), re.DOTALL)[0]
    return re.findall(r'<a href="([^"]+)"', block)


def test_who_is_not_signed_in_gets_the_same_page_whoever_it_is(client, dana_with_email):
    """SR-3: a wrong password opens nothing."""
    dana_with_email.mailbox_failed_at, dana_with_email.mailbox_failure = timezone.now(), "full"
    dana_with_email.save()
    before = client.get(TROUBLESHOOTING).content
    give_credentials(client, "dana", "wrong")

    assert seen(client) == ""
    assert len(client.get(TROUBLESHOOTING).content) == len(before)


def test_at_the_prompt_it_begins_with_the_mail_that_came_back(client, dana_with_email):
    give_credentials(client, "dana")
    tell(pending_sign_in_of(client), Delivery.BOUNCED, "no_mailbox")

    text = seen(client)

    assert text.startswith("What we see for your account We emailed you a code on ")
    assert "It came back: there is no such mailbox. Sign in in another way" in text
    assert next_steps(client) == ["/account/login/otp"]


def test_at_the_prompt_it_says_that_the_mail_is_held_back_under_way_or_taken(client, dana_with_email):
    give_credentials(client, "dana")
    assert "No mail server has taken it yet." in seen(client)
    tell(pending_sign_in_of(client), Delivery.ACCEPTED)
    assert "A mail server has taken it." in seen(client)
    tell(pending_sign_in_of(client), Delivery.DEFERRED, "full")
    assert "Your mail server is holding it back: the mailbox is full." in seen(client)
    assert next_steps(client) == ["#late"]


def test_at_the_prompt_a_mailbox_that_returns_mail_leads_to_another_way(client, dana_with_email):
    dana_with_email.mailbox_failed_at, dana_with_email.mailbox_failure = timezone.now(), "full"
    dana_with_email.save()
    give_credentials(client, "dana")

    assert "Mail to your address does not arrive: the mailbox is full. Sign in in another way" in seen(client)


def test_how_to_reach_an_administrator_is_said_where_only_one_helps(client, dana_with_app, settings):
    """And nothing, if the operator has not said it."""
    words = "You reach the administrators of this portal at"
    sign_in(client, dana_with_app)
    pages = TROUBLESHOOTING, "/account/view", "/account/email/undo/x", "/account/mfa/recovery-codes?next=/account"
    assert not [path for path in pages if words in text_of(client.get(path))]

    for settings.SUPPORT_CONTACT, url in (
        ("help@example.com", "mailto:help@example.com"),
        ("https://example.com/help?a=1&b=2", "https://example.com/help?a=1&amp;b=2"),
    ):
        for path in pages:
            page = client.get(path)
            assert f"{words} {settings.SUPPORT_CONTACT}" in text_of(page), path
            assert f'<a href="{url}">' in page.content.decode()


def test_too_many_wrong_codes_lead_to_a_recovery_code(client, dana_with_app):
    """SR-15: in this browser, which the account does not know."""
    for _number in range(settings.OTP_FAILURES_PER_WINDOW):
        code_failures.count(code_failures.slot_of(dana_with_app, ""))
    give_credentials(client, "dana")

    assert re.search(r"Too many wrong codes\. Try again in \d+ minutes\. Use a recovery code", seen(client))
    assert next_steps(client) == ["/account/login/otp?recovery="]


def test_at_the_prompt_nothing_tells_which_other_ways_are_open(client, dana_with_app):
    """SR-30: a password alone names no organization, and tells of no recovery codes and no mailbox that is not used."""
    organization = MembershipFactory(user=dana_with_app).organization
    organization.mfa_required_at, organization.accepted_modes = timezone.now(), "passkey"
    organization.save()
    dana_with_app.mailbox_failed_at, dana_with_app.mailbox_failure = timezone.now(), "full"
    dana_with_app.save()
    give_credentials(client, "dana")

    text = seen(client)

    assert text == (
        "What we see for your account Nothing that fails. "
        "If you have lost something or a code does not work, find it below."
    )


def test_signed_in_it_tells_of_the_last_code_that_bounced(client, dana_with_both):
    sign_in(client, dana_with_both)
    mail = Mail.objects.create(
        user=dana_with_both, task="mfa.one_time_password", state=Mail.State.SENT, sent_at=timezone.now(),
        delivery=Delivery.BOUNCED, delivery_at=timezone.now(), delivery_reason="full",
    )  # fmt: skip
    assert "It came back: the mailbox is full. Mend the mailbox, or change the address" in seen(client)

    mail.mailbox = "of an earlier address"
    mail.save()
    assert "came back" not in seen(client)


def test_a_code_that_was_right_since_is_no_trouble(client, dana_with_email):
    sign_in(client, dana_with_email)
    Mail.objects.filter(task="mfa.one_time_password").update(delivery=Delivery.DEFERRED, delivery_reason="full")
    assert "holding it back" not in seen(client)

    Factor.objects.update(last_used_at=timezone.now() - timedelta(hours=1))
    assert "holding it back" in seen(client)


def test_signed_in_it_tells_of_mailbox_clock_and_recovery_codes_in_one_sentence_each(client, dana_with_both):
    sign_in(client, dana_with_both)
    Factor.objects.filter(mode="authenticator").update(drift=-2)
    dana_with_both.mailbox_failed_at, dana_with_both.mailbox_failure = timezone.now(), "full"
    dana_with_both.save(update_fields=["mailbox_failed_at", "mailbox_failure"])

    text = seen(client)

    assert "Mail to your address does not arrive: the mailbox is full." in text
    assert "Your phone's clock was about 60 seconds behind when its last code was right." in text
    assert "You have no recovery codes." in text
    assert next_steps(client) == ["/account/view#email", "#wrong", "/account/mfa/recovery-codes"]


def test_an_organization_that_requires_mfa_is_named_with_its_date(client, dana):
    membership = MembershipFactory(user=dana)
    sign_in(client, dana)
    requires(membership, timezone.now() + timedelta(days=9))
    assert re.search(
        r" requires MFA from .* UTC on, and your account does not meet this yet\. Activate MFA", seen(client)
    )

    requires(membership, timezone.now() - timedelta(days=1))
    assert re.search(r" has required MFA since .* UTC, and your account", seen(client))


def requires(membership: Membership, at) -> None:
    membership.organization.mfa_required_at = at
    membership.organization.save()


def test_nothing_wrong_is_said_too(client, dana_with_app):
    sign_in(client, dana_with_app)
    codes = recovery.make(dana_with_app)
    recovery.confirm(dana_with_app, codes[0], Origin())

    assert "Nothing that fails." in seen(client)


def test_an_assisted_reset_opens_nothing_of_the_account(client, dana_with_app):
    """SR-28."""
    sign_in(client, dana_with_app)
    session = client.session
    session[SIGNED_IN] = {**session[SIGNED_IN], "mode": assisted_reset.MODE}
    session.save()

    assert seen(client) == ""


def test_a_second_mode_is_no_trouble(client, dana):
    add_mode(dana, "email")
    sign_in(client, dana)

    assert "emailed" not in seen(client)
