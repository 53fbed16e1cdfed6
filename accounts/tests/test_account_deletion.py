"""I delete my account, and can change my mind for a week (SR-63)."""

import re
from datetime import timedelta

import pytest
import time_machine
from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core import mail
from django.utils import timezone

from accounts import account_deletion, account_parts, email_change, housekeeping, security_log, signin, tokens
from accounts.models import DeletedAccount, EmailChange, Mail, SecurityEvent, User
from accounts.security_log import Kind, Origin
from accounts.tests.factories import PASSWORD
from mfa.models import Factor
from mfa.tests.factories import add_passkey
from organizations.tests.factories import MembershipFactory
from tests.emails import read_mail
from tests.pages import text_of
from tests.signing_in import LOGIN, give_credentials, is_signed_in, sign_in

pytestmark = pytest.mark.django_db

PAGE = "/account/delete"
A_WEEK = timedelta(days=7, minutes=1)


def ask(client, user) -> None:
    sign_in(client, user)
    assert client.post(PAGE).url == LOGIN
    user.refresh_from_db()
    assert user.deletion_due_at is not None


def after_a_week() -> int:
    with time_machine.travel(timezone.now() + A_WEEK):
        return account_deletion.delete_due()


def link() -> str:
    (sent,) = [sent for sent in read_mail() if sent.subject == "Datica: your account will be deleted"]
    return next(line.partition("testserver")[2] for line in sent.body.splitlines() if "/account/delete/undo/" in line)


def test_the_mail_shows_at_a_glance_how_to_keep_the_account(client, dana):
    account_deletion.ask(dana, Origin())

    [sent] = read_mail()
    html = str(sent.alternatives[0].content)

    assert re.search(rf'<p><a href="http://testserver{link()}" style="[^"]+">Keep my account</a></p>', html)
    assert sent.body.index("/account/delete/undo/") < sent.body.index("Asked for:")
    assert '<a href="http://testserver/account/password/reset">' in html


def kinds_of(user) -> list[str]:
    return list(SecurityEvent.objects.filter(user=user).order_by("pk").values_list("kind", flat=True))


def test_the_page_says_what_will_happen_and_what_stays(client, dana):
    MembershipFactory(user=dana, organization__name="Clinic")
    sign_in(client, dana)

    page = text_of(client.get(PAGE))

    assert "You leave your organizations: Clinic" in page
    assert "We email Dana@example.com with a link that undoes it." in page
    assert "The logs of your organizations keep what you did there, without your address" in page


def test_all_sessions_and_tokens_end_when_i_ask(client, dana, another_browser):
    """SR-63: those of other browsers and of the command line too."""
    other = another_browser()
    sign_in(other, dana)
    token = tokens.issue(dana, Origin(), mode="")

    ask(client, dana)

    assert "Your account will be deleted on" in text_of(client.get(LOGIN))
    assert not is_signed_in(client)
    assert not is_signed_in(other)
    assert tokens.find(token) is None


def test_after_the_wait_nothing_of_me_is_left(client, dana, sam):
    """SR-63: no row of any table refers to the account, and a last mail says so."""
    add_passkey(dana)
    MembershipFactory(user=dana)
    security_log.record(sam, Kind.KEY_ADDED, Origin())
    account_deletion.ask(User.objects.get(pk=dana.pk), Origin("192.0.2.1", "x"))
    mail.outbox.clear()

    assert after_a_week() == 1

    assert not User.objects.filter(pk=dana.pk).exists()
    assert not Factor.objects.exists()
    for model in apps.get_models():
        for field in model._meta.concrete_fields:
            if field.related_model is User:
                assert not model._default_manager.filter(**{field.attname: dana.pk}).exists(), (model, field)
    assert kinds_of(sam) == ["key_added"]
    (sent,) = [sent for sent in read_mail() if sent.to == ["Dana@example.com"]]
    assert sent.subject == "Datica: your account is deleted"


def test_no_column_of_any_table_holds_my_address(client, dana):
    """SR-63: the address of the last mail is encrypted, and forgotten in two days."""
    MembershipFactory(user=dana)
    ask(client, dana)
    read_mail()

    after_a_week()

    for model in apps.get_models():
        for row in model._default_manager.all().values_list():
            assert "dana@example.com" not in str(row).lower(), model
    assert DeletedAccount.objects.get().email == "Dana@example.com"
    with time_machine.travel(timezone.now() + A_WEEK + timedelta(days=3)):
        housekeeping.forget_expired()
    assert not DeletedAccount.objects.exists()


def test_nothing_is_deleted_before_the_wait_is_over(client, dana):
    ask(client, dana)

    with time_machine.travel(timezone.now() + timedelta(days=6, hours=23)):
        assert account_deletion.delete_due() == 0

    assert User.objects.filter(pk=dana.pk).exists()


def test_signing_in_undoes_it(client, dana):
    """SR-63: with a plain message, a line in the log and a mail."""
    ask(client, dana)

    page = client.post(LOGIN, {"identifier": "dana", "password": PASSWORD}, follow=True)

    assert "Your account will not be deleted." in text_of(page)
    assert after_a_week() == 0
    assert Kind.DELETION_UNDONE in kinds_of(dana)
    assert read_mail()[-1].subject == "Datica: Deletion of the account called off"


def test_a_password_alone_does_not_undo_it_where_a_code_is_due(client, dana_with_app):
    """SR-30: a sign-in counts when it is finished."""
    ask(client, dana_with_app)

    give_credentials(client, "dana")

    assert User.objects.get(pk=dana_with_app.pk).deletion_due_at is not None
    Factor.objects.update(last_step=0)
    sign_in(client, dana_with_app)
    assert User.objects.get(pk=dana_with_app.pk).deletion_due_at is None


def test_the_link_of_the_mail_undoes_it_by_post(client, dana, another_browser):
    """SR-47: looking changes nothing. The link works once, in any browser, and signs no one in."""
    ask(client, dana)
    path, phone = link(), another_browser()

    assert "Keep my account" in text_of(phone.get(path))
    assert User.objects.get(pk=dana.pk).deletion_due_at is not None
    assert phone.post(path).url == LOGIN

    assert User.objects.get(pk=dana.pk).deletion_due_at is None
    assert not is_signed_in(phone)
    assert phone.post(path).status_code == 404


def test_the_link_of_an_earlier_request_does_not_undo_a_later_one(client, dana):
    ask(client, dana)
    path = link()
    give_credentials(client, "dana")
    client.post(PAGE)

    assert client.get(path).status_code == 404


@pytest.mark.parametrize("token", ["forged", "forged:token", "x" * 500])
def test_a_forged_link_says_nothing(client, token):
    assert client.get(f"/account/delete/undo/{token}").status_code == 404


def test_it_needs_a_recent_proof(client, dana_with_app):
    """SR-22."""
    sign_in(client, dana_with_app)
    session = client.session
    session["proven_at"] -= 3600
    session.save()

    assert client.post(PAGE).url.startswith("/account/confirm")
    assert User.objects.get(pk=dana_with_app.pk).deletion_due_at is None


def test_the_last_owner_hands_over_first(client, dana):
    """SR-63: the page names the organization and has no button; a posted request is refused."""
    MembershipFactory(user=dana, role="owner", organization__name="Clinic")
    sign_in(client, dana)

    page = client.get(PAGE)
    assert "make another member the owner of these organizations" in text_of(page)
    assert b'class="danger">Delete my account' not in page.content
    assert "needs an owner" in text_of(client.post(PAGE, follow=True))

    assert User.objects.get(pk=dana.pk).deletion_due_at is None


def test_staff_cannot(client, dana_with_app):
    """SR-52: what they did in the administration has to stay."""
    User.objects.filter(pk=dana_with_app.pk).update(is_staff=True)
    sign_in(client, dana_with_app)

    assert "The account of an administrator cannot be deleted." in text_of(client.post(PAGE, follow=True))


def test_a_disabled_account_stays(client, dana):
    """The staff who disabled it need its log."""
    ask(client, dana)
    User.objects.filter(pk=dana.pk).update(is_active=False)

    assert after_a_week() == 0


def test_a_new_address_can_be_undone_first(client, dana, settings):
    """SR-29: an attacker who changed the address does not shorten the owner's time by deleting the account."""
    changed = timezone.now() - timedelta(days=1)
    EmailChange.objects.create(user=dana, old_email="old@example.com", old_email_key="old@example.com")
    EmailChange.objects.update(at=changed)
    settings.ACCOUNT_DELETION_WAIT = timedelta(days=1)

    ask(client, dana)

    assert dana.deletion_due_at == changed + timedelta(days=7)


def test_a_worker_that_dies_in_the_middle_leaves_the_account_whole(client, dana, monkeypatch):
    """SR-63: the next call does it."""
    MembershipFactory(user=dana)
    ask(client, dana)
    part = account_parts.PARTS[-1]
    leave, events = part.delete, SecurityEvent.objects.count()

    def dies(user):
        leave(user)
        raise RuntimeError("the worker is gone")

    monkeypatch.setattr(part, "delete", dies)
    assert after_a_week() == 0
    assert User.objects.get(pk=dana.pk).deletion_due_at is not None
    assert SecurityEvent.objects.count() == events
    monkeypatch.undo()

    assert after_a_week() == 1


def test_one_account_that_fails_does_not_keep_the_others(client, dana, sam, monkeypatch):
    ask(client, dana)
    ask(client, sam)
    part = account_parts.PARTS[-1]
    leave = part.delete

    def fails_for_dana(user):
        if user.pk == dana.pk:
            raise RuntimeError
        leave(user)

    monkeypatch.setattr(part, "delete", fails_for_dana)

    assert after_a_week() == 1

    assert list(User.objects.values_list("pk", flat=True)) == [dana.pk]


def test_mails_that_wait_are_not_sent_to_a_deleted_account(client, dana):
    """SR-50."""
    ask(client, dana)
    security_log.record(dana, Kind.PASSWORD_CHANGED, Origin())
    with time_machine.travel(timezone.now() + A_WEEK):
        account_deletion.delete_due()

    assert [row.task for row in Mail.objects.all()] == ["accounts.account_deleted"]


def test_the_administrations_log_forgets_my_address(dana, sam):
    """SR-63: it keeps what staff did (SR-52)."""
    kind = ContentType.objects.get_for_model(User)
    for person in (dana, sam):
        LogEntry.objects.create(
            user=sam, content_type=kind, object_id=str(person.pk), object_repr=person.email, action_flag=2
        )
    account_deletion.ask(User.objects.get(pk=dana.pk), Origin())

    after_a_week()

    assert list(LogEntry.objects.order_by("pk").values_list("object_repr", flat=True)) == ["deleted account", sam.email]


def test_the_link_that_undoes_a_new_address_says_so_if_the_account_goes_meanwhile(client, dana, monkeypatch):
    """SR-63: the worker that deletes the account comes between the page's look and its act."""
    change = EmailChange.objects.create(
        user=dana, old_email="old@example.com", old_email_key="old@example.com", mfa_was_on=False
    )
    address = f"/account/email/undo/{email_change.undo_token(change)}"
    found = email_change.find_undoable

    def found_too_late(token):
        change = found(token)
        User.objects.filter(pk=dana.pk).delete()
        return change

    monkeypatch.setattr(email_change, "find_undoable", found_too_late)

    assert client.post(address).status_code == 404


def test_the_link_that_withdraws_a_password_says_so_if_the_account_goes_meanwhile(client, dana, monkeypatch):
    """SR-63."""
    event = security_log.record(dana, Kind.PASSWORD_KNOWN, Origin())
    address = f"/account/not-me/{signin.withdrawal_token(event)}"
    found = signin.find_withdrawal

    def found_too_late(token):
        event = found(token)
        User.objects.filter(pk=dana.pk).delete()
        return event

    monkeypatch.setattr(signin, "find_withdrawal", found_too_late)

    assert client.post(address).status_code == 404
