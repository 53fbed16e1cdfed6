"""English, German, Spanish and French: complete catalogs, and pages, mails and the command line in them."""

import gettext
import re
from datetime import timedelta

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone, translation
from django.utils.translation import gettext_lazy as _

from accounts import languages
from accounts.compose import compose
from accounts.models import EmailVerification, Mail, SecurityEvent, User
from accounts.tests.factories import PASSWORD, UserFactory
from mfa.tests.factories import add_mode
from organizations import reminders
from organizations.models import Reminder, Role
from organizations.tests.factories import MembershipFactory, OrganizationFactory
from tests import catalogs
from tests.emails import read_mail
from tests.pages import text_of
from tests.signing_in import give_credentials, sign_in

TRANSLATED = [code for code, _name in settings.LANGUAGES if code != settings.LANGUAGE_CODE]
PARTS = re.compile(r"%%|%\(\w+\)[sd]|</?\w[^>]*>|https?://\S+|&\w+;")  # placeholders and tags
FORMAL = {"de": r"\b(du|dich|dir|dein\w*)\b", "es": r"\b(tú|tus?|te|contigo)\b", "fr": r"\b(tu|toi|ton|tes)\b"}
MAILS = sorted(folder.name for folder in (catalogs.ROOT / "templates" / "emails").iterdir() if folder.is_dir())
LANGUAGE = "/account/language"
SIGN_IN = {"en": "Sign in", "de": "Anmelden", "es": "Iniciar sesión", "fr": "Se connecter"}


def title_of(page) -> str:
    return re.search(r"<title>(.*?) ·", page.content.decode())[1]


# --- the catalogs -------------------------------------------------------------------------------


@pytest.mark.parametrize("language", TRANSLATED)
def test_no_text_is_missing_and_none_is_left_over(language):
    needed = catalogs.needed()

    found = {entry.key for entry in catalogs.read(language)}

    assert len(needed) > 900
    assert (needed - found, found - needed) == (set(), set())


@pytest.mark.parametrize("language", TRANSLATED)
def test_every_text_is_translated_with_its_placeholders_and_tags(language):
    for entry in catalogs.read(language):
        assert "fuzzy" not in entry.flags, entry.msgid
        assert len(entry.forms) == ({"de": 2, "es": 3, "fr": 3}[language] if entry.msgid_plural else 1), entry.msgid
        for number, form in enumerate(entry.forms):
            source = entry.msgid_plural if number else entry.msgid
            assert form.strip() == form != "", source
            assert sorted(PARTS.findall(form)) == sorted(PARTS.findall(source)), source


@pytest.mark.parametrize("language", TRANSLATED)
def test_the_reader_is_addressed_formally(language):
    for entry in catalogs.read(language):
        assert not any(re.search(FORMAL[language], form, re.IGNORECASE) for form in entry.forms), entry.forms


@pytest.mark.parametrize(("language", "numbers"), [("de", (1, 2)), ("es", (1, 10**6, 2)), ("fr", (0, 10**6, 2))])
def test_what_is_compiled_is_what_was_written(language, numbers):
    """A fresh clone needs no tools: the compiled catalog is in the repository too."""
    with (catalogs.ROOT / "locale" / language / "LC_MESSAGES" / "django.mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)

    for entry in catalogs.read(language):
        context, text, plural = entry.key
        if plural:
            assert [compiled.ngettext(text, plural, number) for number in numbers] == entry.forms
        else:
            assert [compiled.pgettext(context, text) if context else compiled.gettext(text)] == entry.forms


# --- pages --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("", "en"),
        ("de", "de"),
        ("fr-CA,fr;q=0.9,en;q=0.8", "fr"),
        ("es-419", "es"),
        ("it, nl", "en"),
        ("x" * 9000, "en"),
    ],
)
@pytest.mark.django_db
def test_a_page_comes_in_the_language_that_the_browser_asks_for(accepted, language):
    page = Client(headers={"Accept-Language": accepted}).get("/account/login")

    assert title_of(page) == SIGN_IN[language]
    assert f'<html lang="{language}" ' in page.content.decode()
    assert page.headers["Content-Language"] == language
    assert "Accept-Language" in page.headers["Vary"]


@pytest.mark.django_db
def test_an_anonymous_visitor_chooses_a_language_in_the_footer():
    browser = Client(headers={"Accept-Language": "de"}, enforce_csrf_checks=True)
    footer = browser.get("/help/mfa?a=1").content.decode().partition("<footer")[2]
    assert re.findall(r'value="(\w\w)" lang="\w\w"( aria-current="true")?', footer) == [
        ("de", ' aria-current="true"'), ("en", ""), ("es", ""), ("fr", ""),
    ]  # fmt: skip
    fields = dict(re.findall(r'name="(csrfmiddlewaretoken|next)" value="([^"]*)"', footer))

    answer = browser.post(LANGUAGE, {**fields, "language": "fr"})

    assert answer.url == "/help/mfa?a=1"
    assert 'lang="fr"' in browser.get("/account/login").content.decode().partition("<head>")[0]
    assert browser.cookies[settings.LANGUAGE_COOKIE_NAME]["httponly"]
    assert browser.post(LANGUAGE, {"language": "de"}).status_code == 403, "SR-45: not without a token"


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example", "//evil.example/", "/\\evil.example", "javascript:x", ""]
)
@pytest.mark.django_db
def test_the_choice_leads_to_no_other_site(client, elsewhere):
    """SR-9."""
    assert client.post(LANGUAGE, {"language": "de", "next": elsewhere}).url in {"/account", "accounts:dashboard"}


@pytest.mark.parametrize("unknown", ["it", "DE", "de-DE", "../de", "<b>", "en\0", "e" * 500])
@pytest.mark.django_db
def test_an_unknown_language_is_refused(client, dana, unknown):
    sign_in(client, dana)

    assert client.post(LANGUAGE, {"language": unknown}).status_code == 400
    assert client.post(LANGUAGE).status_code == 400
    dana.refresh_from_db()
    assert dana.language == ""
    with pytest.raises(languages.NoSuchLanguage):
        languages.choose(dana, unknown)


@pytest.mark.django_db
def test_an_unknown_language_in_the_cookie_is_ignored(client):
    client.cookies[settings.LANGUAGE_COOKIE_NAME] = "../../etc"

    assert title_of(client.get("/account/login")) == SIGN_IN["en"]


@pytest.mark.django_db
def test_the_choice_in_the_settings_goes_along_to_every_browser(client, dana):
    """The user's choice comes before the cookie, and the cookie before Accept-Language."""
    sign_in(client, dana)
    client.post(LANGUAGE, {"language": "de", "next": "/account/view"})
    page = client.get("/account/view")
    assert title_of(page) == "Kontoeinstellungen"
    assert page.headers["Content-Language"] == "de"
    assert '<option value="de" lang="de" selected>Deutsch</option>' in page.content.decode()

    another = Client(headers={"Accept-Language": "es"})
    another.cookies[settings.LANGUAGE_COOKIE_NAME] = "fr"
    assert title_of(another.get("/account/login")) == SIGN_IN["fr"]
    sign_in(another, dana)
    assert title_of(another.get("/account/view")) == "Kontoeinstellungen"

    client.post(LANGUAGE, {"language": ""})
    assert title_of(client.get("/account/view")) == "Account settings"
    assert title_of(another.get("/account/view")) == "Paramètres du compte"


@pytest.mark.django_db
def test_the_language_of_one_request_is_not_that_of_the_next(client, dana):
    dana.language = "de"
    dana.save()
    sign_in(client, dana)
    client.get("/account/view")

    assert title_of(Client().get("/account/login")) == "Sign in"
    assert translation.get_language() == "en"


@pytest.mark.django_db
def test_what_the_user_downloads_is_in_their_language(client, dana):
    dana.language = "fr"
    dana.save()
    sign_in(client, dana)

    lines = b"".join(client.get("/account/security-log.csv").streaming_content).decode().splitlines()

    assert lines[0].startswith("Heure (UTC),")
    assert "Connexion" in lines[1]


@pytest.mark.django_db
def test_errors_and_refusals_are_in_the_language_too(client):
    client.cookies[settings.LANGUAGE_COOKIE_NAME] = "de"

    assert title_of(client.get("/nowhere")) == "Diese Seite gibt es nicht"
    refused = text_of(give_credentials(client, "dana", "wrong"))
    assert "Benutzername, E-Mail-Adresse oder Passwort ist falsch." in refused
    assert (
        title_of(client.post("/account/login", {"identifier": "x" * 70_000})) == "Was Sie gesendet haben, ist zu groß"
    )


@pytest.mark.django_db
def test_the_list_of_wrong_fields_reads_well_in_french(client):
    """A label ends with a colon of its own there, and a space before it."""
    client.cookies[settings.LANGUAGE_COOKIE_NAME] = "fr"

    page = client.post("/account/register", {"email": "broken", "password": PASSWORD, "password_confirm": "other"})

    assert ">Adresse e-mail</a>\xa0: Saisissez une adresse e-mail valide." in page.content.decode()


# --- mails --------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", MAILS)
def test_every_mail_can_be_sent_in_every_language(folder):
    now = timezone.now()
    facts = {
        "at": now, "until": now, "expires_at": now, "asked_at": now, "required_at": now, "days_left": 3,
        "code": "123-456", "what": _("Recovery code used"),
        "organization": "Clinic", "sender": "Dana", "who": "Dana", "address": "192.0.2.1", "tag": "K7", "hours": 24,
        "reason": "lost", "link": "http://localhost", "mfa_is_on": True,
        "event": SecurityEvent(at=now, ip_address="192.0.2.1", actor="Ada", reason="lost", user=User(email="dana@")),
    }  # fmt: skip
    composed = {}
    for language, _name in settings.LANGUAGES:
        with translation.override(language):
            composed[language] = compose(folder, to="dana@example.com", **facts)
        html = str(composed[language].alternatives[0].content)
        assert f'<html lang="{language}">' in html
        assert not re.search(r"(?<!^--)[ \t]+$|\n{3}", composed[language].body, re.MULTILINE)

    for part in ("subject", "body"):
        assert len({getattr(mail, part) for mail in composed.values()}) == len(composed)


@pytest.mark.django_db
def test_each_recipient_is_told_in_their_own_language(client):
    """A German owner makes a French member an owner: each owner and the member get the notice in their language."""
    olaf, odile, eva = (UserFactory(email=f"{name}@example.com") for name in ("olaf", "odile", "eva"))
    clinic = OrganizationFactory(name="Clinic")
    for user, role in ((olaf, Role.OWNER), (odile, Role.MEMBER), (eva, Role.OWNER)):
        MembershipFactory(organization=clinic, user=user, role=role)
        add_mode(user, "authenticator")
    for user, language in ((olaf, "de"), (odile, "fr"), (eva, "")):
        User.objects.filter(pk=user.pk).update(language=language)
    sign_in(client, olaf)

    client.post(f"{clinic.get_absolute_url()}/members/{odile.pk}/role", {"role": "owner", "confirmed": "yes"})

    told = {message.to[0]: message for message in read_mail() if message.subject.startswith("Clinic")}
    assert {email: message.subject for email, message in told.items()} == {
        "olaf@example.com": "Clinic: Rolle geändert",
        "odile@example.com": "Clinic\xa0: Rôle modifié",
        "eva@example.com": "Clinic: Role changed",
    }
    assert "Vous recevez cet e-mail parce que vous êtes propriétaire" in told["odile@example.com"].body
    assert translation.get_language() == "en"


@pytest.mark.django_db
def test_reminders_go_out_in_bulk_each_in_its_language(django_assert_num_queries):
    clinic = OrganizationFactory(name="Clinic", mfa_required_at=timezone.now() + timedelta(days=3))
    for language in ("de", "es", ""):
        MembershipFactory(organization=clinic, user=UserFactory(email=f"in-{language}@example.com", language=language))
    Reminder.objects.create(
        organization=clinic, kind=Reminder.Kind.ANNOUNCED, required_at=clinic.mfa_required_at, starts_at=timezone.now()
    )

    assert reminders.fan_out() == 3

    subjects = {message.to[0]: message.subject for message in read_mail()}
    assert (
        subjects["in-de@example.com"] == "Clinic bittet Sie, Multi-Faktor-Authentifizierung zu aktivieren (noch 3 Tage)"
    )
    assert subjects["in-es@example.com"] == "Clinic le pide que active la autenticación multifactor (quedan 3 días)"
    assert subjects["in-@example.com"] == "Clinic asks you to activate multi-factor authentication (3 days left)"


@pytest.mark.django_db
def test_who_registers_on_a_spanish_page_gets_spanish_mail_and_keeps_the_language(client):
    client.cookies[settings.LANGUAGE_COOKIE_NAME] = "es"
    client.post("/account/register", {"email": "new@example.com", "password": PASSWORD, "password_confirm": PASSWORD})
    assert read_mail()[-1].subject.startswith("Verifique su correo electrónico")
    proof = EmailVerification.objects.get(email="new@example.com")
    code = re.match(r"[0-9A-Z-]+", read_mail()[-1].body)[0]

    client.post("/account/verify-email", {"code": code})

    assert proof.user is None
    assert User.objects.get(email="new@example.com").language == "es"


@pytest.mark.django_db
def test_a_code_comes_in_the_language_of_the_page_that_asked_for_it(client, dana):
    """Unless the user has chosen another one."""
    add_mode(dana, "email")
    client.cookies[settings.LANGUAGE_COOKIE_NAME] = "de"
    give_credentials(client, "dana")
    assert "ist Ihr Einmalpasswort" in read_mail()[-1].body

    User.objects.filter(pk=dana.pk).update(language="fr")
    Mail.objects.all().delete()
    give_credentials(Client(headers={"Accept-Language": "es"}), "dana")
    assert "est votre mot de passe à usage unique" in read_mail()[-1].body


# --- the command line ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accepted", "title", "description"),
    [
        (None, "Sign In Failed", "Incorrect username, email or password."),
        ("en-US", "Sign In Failed", "Incorrect username, email or password."),
        ("de-AT", "Anmeldung fehlgeschlagen", "Benutzername, E-Mail-Adresse oder Passwort ist falsch."),
        ("tlh", "Sign In Failed", "Incorrect username, email or password."),
    ],
)
@pytest.mark.django_db
def test_the_command_line_speaks_the_language_that_it_asks_for(accepted, title, description):
    headers = {"X-CLI-Version": "4.4.1", **({"Accept-Language": accepted} if accepted else {})}

    answer = Client(headers=headers).post(
        "/auth/signin", {"identifier": "dana", "password": "wrong"}, content_type="application/json"
    )

    assert answer.status_code == 401
    assert answer.json() == {"title": title, "description": description, "code": 4011}
    nothing_there = Client(headers=headers).get("/nowhere").json()
    assert nothing_there["title"] == ("Nicht gefunden" if accepted == "de-AT" else "Not Found")
