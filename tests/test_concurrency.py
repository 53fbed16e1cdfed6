"""Whatever is spent is spent once: ten threads on PostgreSQL, each with its own connection."""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from threading import Barrier

import pyotp
import pytest
from celery import current_app
from cryptography.hazmat.primitives.asymmetric import rsa
from django.conf import settings
from django.core import mail
from django.db import connection
from django.test import Client
from django.utils import timezone

from accounts import account_deletion, administrators, delivery, email_verification, outbox, passwords, signin, ssh_keys
from accounts.models import Channel, Delivery, EmailVerification, Mail, SecurityEvent, Session, Throttle, Token, User
from accounts.refusals import Refused
from accounts.security_log import Intervention, Origin
from accounts.tests.factories import PASSWORD, UserFactory
from mfa import (
    activation,
    challenges,
    code_failures,
    codes,
    factors,
    interventions,
    modes,
    passkey_sign_in,
    passkeys,
    recovery,
)
from mfa.models import Challenge, Factor
from mfa.tests.factories import add_mode, add_passkey
from organizations import (
    bulk_exemptions,
    invitations,
    member_runs,
    membership,
    policy,
    policy_changes,
    reminders,
    removals,
)
from organizations.models import ExemptionRun, Membership, OrganizationEvent, Reminder, Removal, Role
from organizations.tests.factories import MembershipFactory, OrganizationFactory
from tests.cli import public_text, signed_by
from tests.passkeys import SoftwareAuthenticator
from tests.signing_in import OTP, give_credentials

pytestmark = [pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]


def anything(_modes):
    return True


ORIGIN = Origin("127.0.0.1", "threads")
THREADS = 10


def at_once(*jobs) -> list:
    """Run jobs at the same moment; gives what each returned, or the name of its refusal."""
    barrier = Barrier(len(jobs))

    def run(job):
        try:
            barrier.wait(timeout=20)
            return job()
        except Refused as refused:
            return type(refused).__name__
        finally:
            connection.close()

    with ThreadPoolExecutor(len(jobs)) as pool:
        return [future.result(timeout=60) for future in [pool.submit(run, job) for job in jobs]]


def a_sign_in(user) -> Challenge:
    """Return one whose code was not mailed yet."""
    challenge = challenges.begin_sign_in(user, channel=Channel.BROWSER, origin=ORIGIN)
    Challenge.objects.filter(pk=challenge.pk).update(mails=0, last_mail_at=None)
    return challenge


def winners(results) -> int:
    return sum(not isinstance(result, str) for result in results)


def app_code(user) -> str:
    secret = Factor.objects.get(user=user, mode="authenticator").secret
    return pyotp.TOTP(codes.base32(secret)).at(timezone.now())


def test_one_code_brought_by_ten_sign_ins_opens_one(dana_with_app):
    """SR-12."""
    sign_ins = [a_sign_in(dana_with_app) for _number in range(THREADS)]
    otp = app_code(dana_with_app)

    results = at_once(
        *[lambda challenge=challenge: challenges.answer(challenge, otp, ORIGIN) for challenge in sign_ins]
    )

    assert winners(results) == 1
    assert results.count("CodeUsed") == THREADS - 1
    assert Challenge.objects.exclude(ended_at=None).count() == 1


def test_one_sign_in_answered_ten_times_is_finished_once(dana_with_email):
    """SR-12."""
    challenge = a_sign_in(dana_with_email)
    challenges.send_code(challenge, ORIGIN)
    otp = codes.mailed_code(challenge.secret)

    results = at_once(*[lambda: challenges.answer(challenge, otp, ORIGIN)] * THREADS)

    assert winners(results) == 1
    assert results.count("ChallengeOver") == THREADS - 1


def test_parallel_guesses_are_counted_to_the_last_one(dana_with_app):
    """SR-15: five for one challenge, however fast they come."""
    challenge = a_sign_in(dana_with_app)

    results = at_once(*[lambda: challenges.answer(challenge, "000000", ORIGIN)] * THREADS)

    assert results.count("WrongCode") == 5
    assert results.count("ChallengeOver") == 5
    digest = code_failures.slot_of(dana_with_app, "").digest
    assert Throttle.objects.get(digest=digest).in_a_row == 5


def test_parallel_guesses_over_many_sign_ins_stop_at_the_accounts_limit(dana_with_app):
    """SR-15."""
    sign_ins = [a_sign_in(dana_with_app) for _number in range(20)]

    results = at_once(*[lambda c=challenge: challenges.answer(c, "000000", ORIGIN) for challenge in sign_ins])

    assert results.count("WrongCode") == 10
    assert results.count("TooManyFailures") == 10


def test_one_enrolment_completed_ten_times_makes_one_factor(dana):
    """SR-12."""
    enrolment = activation.begin(dana, "authenticator", proven=False, mailbox_proven=True)
    otp = pyotp.TOTP(codes.base32(enrolment.secret)).at(timezone.now())

    results = at_once(*[lambda: activation.complete(enrolment, otp, set_as_preferred=True, origin=ORIGIN)] * THREADS)

    assert winners(results) == 1
    assert Factor.objects.count() == 1


def test_two_enrolments_begun_with_a_password_alone_do_not_both_become_factors(dana):
    """SR-22: the owner's first factor ends a thief's enrolment, whoever is faster."""
    enrolments = [
        activation.begin(dana, "authenticator", proven=False, mailbox_proven=True) for _number in range(THREADS)
    ]

    def complete(enrolment):
        otp = pyotp.TOTP(codes.base32(enrolment.secret)).at(timezone.now())
        return activation.complete(enrolment, otp, set_as_preferred=True, origin=ORIGIN)

    results = at_once(*[lambda enrolment=enrolment: complete(enrolment) for enrolment in enrolments])

    assert winners(results) == 1


def test_an_enrolment_begun_while_the_first_factor_is_added_never_stays_open(dana):
    """SR-22: it is either ended by the factor or sees it."""
    for _round in range(5):
        Factor.objects.all().delete()
        User.objects.update(preferred_mode="")
        dana.refresh_from_db()
        owners = activation.begin(dana, "authenticator", proven=False, mailbox_proven=True)
        otp = pyotp.TOTP(codes.base32(owners.secret)).at(timezone.now())

        at_once(
            lambda owners=owners, otp=otp: activation.complete(owners, otp, set_as_preferred=True, origin=ORIGIN),
            *[lambda: activation.begin(dana, "authenticator", proven=False, mailbox_proven=True)] * THREADS,
        )

        assert Factor.objects.count() == 1
        assert not Challenge.objects.filter(purpose="enrolment", ended_at=None).exists()


def test_a_sign_in_begun_with_the_old_password_does_not_outlive_its_change(dana):
    """SR-27."""
    checked = signin.check_credentials("dana", PASSWORD, ORIGIN)
    passwords.change(dana, "a brand new password", ORIGIN, current=PASSWORD, session_key=None)

    with pytest.raises(signin.WrongCredentials):
        signin.finish_without_code(checked, ORIGIN, channel=Channel.BROWSER)


def test_nor_does_one_that_waits_for_a_code(dana_with_app):
    """SR-27."""
    checked = signin.check_credentials("dana", PASSWORD, ORIGIN)
    passwords.change(dana_with_app, "a brand new password", ORIGIN, current=PASSWORD, session_key=None)

    challenge = challenges.begin_sign_in(checked, channel=Channel.BROWSER, origin=ORIGIN)

    assert challenges.find_sign_in(str(challenge.pk), channel=Channel.BROWSER) is None
    with pytest.raises(challenges.ChallengeOver):
        challenges.answer(challenge, app_code(dana_with_app), ORIGIN)


def test_two_tabs_cannot_each_disable_the_others_last_mode(dana_with_both):
    """SR-42, SR-24."""

    def disable(mode):
        return factors.disable(dana_with_both, mode, may_keep=bool, origin=ORIGIN, session_key=None)

    results = at_once(lambda: disable("email"), lambda: disable("authenticator"))

    assert winners(results) == 1
    assert "ChangedMeanwhile" in results  # the first has ended what the second tab was signed in by
    left = Factor.objects.get()
    dana_with_both.refresh_from_db()
    assert dana_with_both.preferred_mode == left.mode


def test_preferring_and_disabling_at_once_leaves_a_preferred_mode_that_is_enabled(dana_with_both):
    """SR-24."""
    for _round in range(5):
        Factor.objects.all().delete()
        User.objects.update(preferred_mode="")
        dana_with_both.refresh_from_db()
        add_mode(dana_with_both, "authenticator")
        add_mode(dana_with_both, "email")

        at_once(
            lambda: factors.prefer(dana_with_both, "email", origin=ORIGIN),
            lambda: factors.disable(dana_with_both, "email", may_keep=anything, origin=ORIGIN, session_key=None),
        )

        dana_with_both.refresh_from_db()
        assert dana_with_both.preferred_mode == Factor.objects.get().mode


def test_ten_clicks_on_resend_send_one_mail(dana_with_email):
    """SR-17."""
    challenge = a_sign_in(dana_with_email)

    results = at_once(*[lambda: challenges.send_code(challenge, ORIGIN) or challenge] * THREADS)

    assert winners(results) == 1
    assert results.count("MailTooSoon") == THREADS - 1


def test_a_reset_code_is_spent_once(dana):
    """SR-12."""
    proof = email_verification.ask_reset("dana", ORIGIN)
    new = "a brand new password"

    results = at_once(
        *[lambda: email_verification.reset_password(proof, proof.code, new, ORIGIN, also=code_failures.ease)] * THREADS
    )

    assert winners(results) == 1


def test_one_address_registered_ten_times_at_once_is_one_account(db):
    """SR-4: ten browsers wait for the mailed code; the first that brings it has the account."""
    proofs = at_once(
        *[
            lambda: email_verification.register("x@example.com", "a long password here", ORIGIN, proven=False)
            for _number in range(THREADS)
        ]
    )
    newest = EmailVerification.objects.exclude(last_mail_at=None).latest("last_mail_at").code

    results = at_once(*[lambda p=p: email_verification.complete_registration(p, newest, ORIGIN) for p in proofs])

    assert winners(results) == 1
    assert User.objects.count() == 1


def test_two_owners_who_leave_at_once_leave_one_owner(dana, sam):
    """SR-40."""
    organization = OrganizationFactory()
    both = [MembershipFactory(organization=organization, user=user, role=Role.OWNER) for user in (dana, sam)]

    results = at_once(*[lambda m=m: membership.leave(m, ORIGIN) or m for m in both])

    assert results.count("LastOwner") == 1
    assert Membership.objects.filter(role=Role.OWNER).count() == 1


def test_requiring_while_the_owner_disables_never_leaves_an_owner_without_mfa_requiring_it(dana_with_app):
    """SR-40."""
    owner = MembershipFactory(user=dana_with_app, role=Role.OWNER)

    at_once(
        lambda: policy_changes.require(owner, ORIGIN),
        lambda: factors.disable(dana_with_app, "authenticator", may_keep=anything, origin=ORIGIN, session_key=None),
    )

    dana_with_app.refresh_from_db()
    owner.organization.refresh_from_db()
    # Either order is fine: refused because MFA is off, or required first and then enforced by the middleware.
    assert dana_with_app.mfa_is_on is False
    assert policy.blocking(dana_with_app) == ([owner.organization] if owner.organization.mfa_required else [])


@pytest.mark.parametrize("_time", range(5))
def test_a_sender_who_is_removed_and_whom_they_invited_wait_for_each_other_and_never_for_ever(dana, sam, _time):
    """SR-43: either it is accepted first, or it is withdrawn."""
    organization = OrganizationFactory()
    olaf, eve = (
        MembershipFactory(organization=organization, user=user, role=Role.OWNER) for user in (dana, UserFactory())
    )
    invitation = invitations.send(eve, sam.email, role=Role.OWNER, origin=ORIGIN)
    code = invitations.link_of(invitation).partition("code=")[2]

    removed, joined = at_once(
        lambda: membership.remove(olaf, eve.user_id, ORIGIN), lambda: invitations.accept(sam, code, ORIGIN)
    )

    assert removed is None
    assert Membership.objects.filter(user=sam).exists() is (joined != "InvitationOver")
    assert not invitations.pending(organization).exists()


def test_ten_clicks_on_require_are_one_change(dana_with_app):
    """SR-53: and one mail to each owner."""
    owner = MembershipFactory(user=dana_with_app, role=Role.OWNER)

    at_once(*[lambda: policy_changes.require(owner, ORIGIN)] * THREADS)

    assert OrganizationEvent.objects.filter(kind="mfa_required").count() == 1
    assert Reminder.objects.count() == 1


def members_of(organization, number):
    return [MembershipFactory(organization=organization, user=UserFactory(enabled_modes="")) for _ in range(number)]


IN_A_MONTH = {"reason": "nightly backup", "until": timezone.now() + timedelta(days=30)}


def test_ten_clicks_on_exempt_all_are_one_run_and_one_worker_takes_it(dana_with_app, monkeypatch):
    """SR-50: each member is exempted once, whatever number of workers want to."""
    monkeypatch.setattr(outbox, "BULK_TURN_SECONDS", 60)
    owner = MembershipFactory(user=dana_with_app, role=Role.OWNER)
    members_of(owner.organization, 25)
    monkeypatch.setattr(member_runs, "BATCH", 4)

    def click():
        return bulk_exemptions.start(owner, state="member", search="", origin=ORIGIN, **IN_A_MONTH).pk

    assert len(set(at_once(*[click] * THREADS))) == 1
    at_once(*[lambda: member_runs.go_on(bulk_exemptions.EXEMPTIONS)] * 4)

    run = ExemptionRun.objects.get()
    assert (run.total, run.done, run.exempted) == (25, 25, 25)
    assert OrganizationEvent.objects.filter(kind="many_exempted").count() == 1
    assert OrganizationEvent.objects.filter(kind="exempted").values("member").distinct().count() == 25
    assert OrganizationEvent.objects.filter(kind="exempted").count() == 25


def test_a_worker_that_dies_in_a_batch_leaves_the_run_to_the_next(dana_with_app, monkeypatch):
    """A batch and its position are one transaction: no member is exempted twice or forgotten."""
    owner = MembershipFactory(user=dana_with_app, role=Role.OWNER)
    members_of(owner.organization, 25)
    monkeypatch.setattr(member_runs, "BATCH", 4)
    run = bulk_exemptions.start(owner, state="member", search="", origin=ORIGIN, **IN_A_MONTH)
    assert member_runs.next_batch(bulk_exemptions.EXEMPTIONS, run) == 4
    with monkeypatch.context() as death:
        death.setattr(ExemptionRun, "save", lambda *_args, **_fields: sys.exit("killed"))
        with pytest.raises(SystemExit):
            member_runs.next_batch(bulk_exemptions.EXEMPTIONS, run)
    assert OrganizationEvent.objects.filter(kind="exempted").count() == 4

    member_runs.go_on(bulk_exemptions.EXEMPTIONS)

    assert OrganizationEvent.objects.filter(kind="exempted").values("member").distinct().count() == 25
    assert ExemptionRun.objects.get().exempted == 25


def test_runs_and_the_deletion_of_their_actors_account_do_not_deadlock(dana_with_app, monkeypatch):
    """SR-63: users, organizations, runs: locks come in one order."""
    owner = MembershipFactory(user=dana_with_app, role=Role.OWNER)
    MembershipFactory(organization=owner.organization, user=add_mode(UserFactory(), "email").user, role=Role.OWNER)
    members_of(owner.organization, 40)
    monkeypatch.setattr(member_runs, "BATCH", 2)
    removals.start(owner, state="member", search="", origin=ORIGIN)
    bulk_exemptions.start(owner, state="member", search="", origin=ORIGIN, **IN_A_MONTH)
    User.objects.filter(pk=dana_with_app.pk).update(deletion_due_at=timezone.now())

    results = at_once(
        lambda: member_runs.go_on(bulk_exemptions.EXEMPTIONS),
        lambda: member_runs.go_on(removals.REMOVALS),
        account_deletion.delete_due,
    )

    assert results[2] == 1
    assert all(isinstance(result, int) for result in results)
    assert not ExemptionRun.objects.filter(done_at=None).exists()
    assert not Removal.objects.exclude(search="").exists()


def test_two_workers_write_one_reminder_to_each_who_matches(dana_with_app):
    """SR-50."""
    owner = MembershipFactory(user=dana_with_app, role=Role.OWNER)
    members_of(owner.organization, 20)
    clicks = [lambda: reminders.start_matching(owner, state="member", search="", origin=ORIGIN)] * THREADS

    assert at_once(*clicks) == [20] * THREADS
    at_once(*[reminders.fan_out] * 4)

    assert Reminder.objects.count() == 1
    assert Mail.objects.filter(task=reminders.REMINDER).count() == 20


def test_ten_clicks_on_remind_are_one_reminder(dana_with_app):
    owner = MembershipFactory(user=dana_with_app, role=Role.OWNER)

    results = at_once(*[lambda: reminders.start(owner, ORIGIN)] * THREADS)

    assert results.count("RemindedLately") == THREADS - 1
    assert Reminder.objects.count() == 1


def test_ten_workers_of_a_mailing_send_each_mail_once(dana_with_app):
    """SR-50: also while its mails are still being written."""
    owner = MembershipFactory(user=dana_with_app, role=Role.OWNER)
    people = UserFactory.create_batch(60)
    Membership.objects.bulk_create([Membership(organization=owner.organization, user=user) for user in people])
    reminders.start(owner, ORIGIN)
    current_app.loader.import_default_modules()  # as a worker does

    at_once(*[reminders.fan_out] * 4, *[outbox.send_bulk] * 6)
    while Mail.objects.filter(state=Mail.State.QUEUED).exists():  # a turn ends after a time, not after a number
        outbox.send_bulk()

    assert sorted(message.to[0] for message in mail.outbox) == sorted(user.email for user in people)


def test_one_recovery_code_brought_by_ten_sign_ins_opens_one(dana_with_app):
    """SR-12, SR-26."""
    made = recovery.make(dana_with_app)
    recovery.confirm(dana_with_app, made[0], ORIGIN)
    code = challenges.normalize_code(made[0])
    pending = [a_sign_in(dana_with_app) for _number in range(THREADS)]

    results = at_once(*[lambda c=c: challenges.answer(c, code, ORIGIN) for c in pending])

    assert winners(results) == 1
    assert recovery.left(dana_with_app) == 9


def test_ten_wrong_passwords_at_once_are_looked_at_five_times(dana):
    """SR-5, SR-7: as many as one after another."""
    results = at_once(*[lambda: signin.check_credentials("dana", "wrong", ORIGIN)] * THREADS)

    assert sorted(results) == ["TooManyTries"] * 5 + ["WrongCredentials"] * 5


def test_right_passwords_at_once_hold_nobody_back_for_long(dana):
    """A try takes its slot before it is looked at: whoever comes sixth in the same instant waits a moment."""
    results = at_once(*[lambda: signin.check_credentials("dana", PASSWORD, ORIGIN)] * THREADS)

    assert winners(results) >= 5
    assert Throttle.objects.filter(in_a_row__gt=0).count() == 0


# --- the browser and the command line together ----------------------------------------------------


def test_one_code_brought_through_both_doors_opens_one(dana_with_app):
    """SR-11, SR-12."""

    def in_browser():
        browser = Client()
        give_credentials(browser, "dana")
        return lambda: browser.post(OTP, {"otp": code}).status_code == 302 or "refused"

    def at_the_command_line():
        client = Client()
        body = {"identifier": "dana", "password": PASSWORD}
        begun = client.post("/auth/signin", body, "application/json").json()
        path = f"/auth/signin/mfa/{begun['mfaID']}"
        return lambda: client.post(path, {"otp": code}, "application/json").status_code == 200 or "refused"

    doors = [make() for make in (in_browser, at_the_command_line) * 5]
    code = app_code(dana_with_app)

    results = at_once(*doors)

    assert results.count(True) == 1
    assert results.count("refused") == 9
    assert Session.objects.filter(user=dana_with_app).count() + Token.objects.count() == 1


def test_an_invitation_accepted_ten_times_at_once_is_one_membership(dana, sam):
    """SR-43."""
    owner = MembershipFactory(user=dana, role=Role.OWNER)
    invitation = invitations.send(owner, sam.email, role=Role.MEMBER, origin=ORIGIN)
    code = invitations.link_of(invitation).split("code=")[1]

    results = at_once(*[lambda: invitations.accept(sam, code, ORIGIN)] * THREADS)

    assert winners(results) == 1
    assert Membership.objects.filter(user=sam).count() == 1


def test_one_address_invited_ten_times_at_once_has_one_open_invitation(dana):
    owner = MembershipFactory(user=dana, role=Role.OWNER)

    results = at_once(*[lambda: invitations.send(owner, "x@example.com", role=Role.MEMBER, origin=ORIGIN)] * THREADS)

    assert winners(results) == 1
    assert results.count("InvitedLately") == THREADS - 1
    assert invitations.pending(owner.organization).count() == 1


def test_two_owners_who_remove_each_other_at_once_leave_one(dana, sam):
    """SR-40."""
    organization = OrganizationFactory()
    danas, sams = (MembershipFactory(organization=organization, user=user, role=Role.OWNER) for user in (dana, sam))

    at_once(
        lambda: membership.remove(danas, sam.pk, ORIGIN),
        lambda: membership.remove(sams, dana.pk, ORIGIN),
    )

    assert Membership.objects.filter(role=Role.OWNER).count() == 1


def test_one_signature_brought_ten_times_at_once_opens_one(dana):
    """SR-38."""
    key = rsa.generate_private_key(65537, 2048)
    ssh_keys.add(dana, "laptop", public_text(key), ORIGIN)
    nonce, timestamp = "a nonce of this test", str(int(time.time()))
    body, _headers = signed_by(key, nonce, timestamp)

    results = at_once(
        *[
            lambda: ssh_keys.check_signature(
                body["publicKey"],
                body["signature"],
                nonce=nonce,
                timestamp=timestamp,
                named=str(dana.pk),
                origin=ORIGIN,
            )
        ]
        * THREADS
    )

    assert winners(results) == 1
    assert results.count("SignatureUsed") == THREADS - 1


def test_one_key_added_ten_times_at_once_is_one(dana):
    text = public_text(rsa.generate_private_key(65537, 2048))

    results = at_once(*[lambda: ssh_keys.add(dana, "laptop", text, ORIGIN)] * THREADS)

    assert winners(results) == 1


def a_passkey(user) -> SoftwareAuthenticator:
    phone = SoftwareAuthenticator(settings.RP_ORIGINS[0], settings.RP_ID)
    add_passkey(user, phone)
    return phone


def test_one_signature_of_a_passkey_brought_ten_times_without_a_password_opens_one(dana):
    """SR-58: also for a synced passkey, whose counter stays at 0."""
    phone = a_passkey(dana)
    signed = json.dumps(phone.sign(passkey_sign_in.options("a browser")))

    results = at_once(*[lambda: passkey_sign_in.sign_in(signed, ORIGIN, browser_secret="a browser")] * THREADS)

    assert winners(results) == 1
    assert results.count("ChallengeOver") == THREADS - 1
    assert SecurityEvent.objects.filter(kind="signed_in").count() == 1


def test_one_signature_of_a_passkey_brought_ten_times_to_one_sign_in_opens_one(dana):
    """SR-58, SR-12."""
    phone = a_passkey(dana)
    challenge = a_sign_in(dana)
    options = modes.get("passkey").prompt_context(challenge)["passkey_options"]
    signed = json.dumps(phone.sign(json.loads(options)))

    results = at_once(*[lambda: challenges.answer(challenge, signed, ORIGIN)] * THREADS)

    assert winners(results) == 1
    assert SecurityEvent.objects.filter(kind="signed_in").count() == 1


def test_two_passkeys_removed_at_once_leave_one(dana):
    """SR-24: a factor without a passkey is never left."""
    a_passkey(dana)
    a_passkey(dana)
    jobs = [
        lambda passkey=passkey: (
            passkeys.remove(
                User.objects.get(pk=dana.pk), passkey.pk, origin=ORIGIN, end_everything_else=lambda _user: None
            )
            or "last"
        )
        for passkey in passkeys.of_user(dana)
    ]

    results = at_once(*jobs)

    assert winners(results) == 1
    assert passkeys.of_user(dana).count() == 1


def test_reports_of_one_mail_that_come_at_once_end_in_the_last_state(dana):
    """SR-61: a late one never moves a mail back, and each state is told once."""
    states = [state for state in Delivery if state > Delivery.ACCEPTED]
    mails = [Mail.objects.create(user=dana, task="mfa.one_time_password", message_id=f"<{n}@x>") for n in range(4)]
    for row in mails:
        jobs = [
            lambda row=row, state=state: delivery.note(row.message_id, state, at=timezone.now()) for state in states * 2
        ]

        told = at_once(*jobs)

        row.refresh_from_db()
        assert row.delivery == Delivery.COMPLAINED
        assert 1 <= sum(told) <= len(states)


def test_a_mail_that_is_returned_while_it_is_noted_as_sent_marks_the_mailbox(dana):
    """Whichever is written first: the report does not know the mailbox, or the row has a report already."""
    mailbox = delivery.mailbox_of(dana.email)
    for _time in range(20):
        mail = Mail.objects.create(user=dana, task="mfa.one_time_password", state=Mail.State.SENDING)
        at_once(
            partial(delivery.note_accepted, mail, at=timezone.now(), state=Mail.State.SENT, mailbox=mailbox),
            partial(delivery.note, "", Delivery.BOUNCED, at=timezone.now(), mail_id=str(mail.pk)),
        )

        dana.refresh_from_db()
        mail.refresh_from_db()
        assert (mail.state, mail.delivery, mail.mailbox) == ("sent", Delivery.BOUNCED, mailbox)
        assert dana.mailbox_failed_at is not None
        delivery.clear_failure(dana)
        Mail.objects.all().delete()


def test_a_failure_and_a_later_delivery_that_are_reported_at_once_leave_no_mark(dana):
    """Whichever is written first: the lock on the user's row lets the second see it."""
    now, mailbox = timezone.now(), delivery.mailbox_of(dana.email)
    for number in range(10):
        returned, arrived = (
            Mail.objects.create(user=dana, task="mfa.one_time_password", message_id=f"<{number}{end}>", mailbox=mailbox)
            for end in "ab"
        )
        at_once(
            partial(delivery.note, returned.message_id, Delivery.BOUNCED, at=now - timedelta(minutes=2)),
            partial(delivery.note, arrived.message_id, Delivery.DELIVERED, at=now - timedelta(minutes=1)),
        )

        dana.refresh_from_db()
        assert dana.mailbox_failed_at is None
        Mail.objects.all().delete()


def test_two_administrators_who_remove_each_other_at_once_leave_one(dana, sam):
    by = Intervention("root@example.com", "A quarrel")
    for user in (dana, sam):
        administrators.make_administrator(user, ORIGIN, by=by)

    answers = at_once(
        partial(administrators.remove_rights, dana, ORIGIN, by=by),
        partial(interventions.set_active, sam, ORIGIN, is_active=False, by=by),
    )

    assert answers.count("LastAdministrator") == 1
    assert administrators.administrators().count() == 1


def test_a_sign_in_and_the_deletion_in_the_same_instant_leave_an_account_or_none(dana):
    """SR-63: the lock on the user's row decides. Never is there half an account, and no request fails."""
    for _round in range(5):
        user = UserFactory()
        MembershipFactory(user=user)
        User.objects.filter(pk=user.pk).update(deletion_due_at=timezone.now())

        answers = at_once(
            *[lambda user=user: give_credentials(Client(), user.email).status_code for _number in range(3)],
            account_deletion.delete_due,
        )

        assert set(answers[:3]) <= {302, 400}
        kept = User.objects.filter(pk=user.pk, deletion_due_at=None).exists()
        assert kept == (answers[3] == 0) == Membership.objects.filter(user=user.pk).exists()
        assert kept == (302 in answers[:3])


def test_two_owners_who_delete_their_accounts_at_once_leave_one(dana, sam):
    """SR-40, SR-63."""
    for _round in range(5):
        organization = OrganizationFactory()
        owners = [UserFactory(), UserFactory()]
        for owner in owners:
            MembershipFactory(organization=organization, user=owner, role=Role.OWNER)

        results = at_once(*[lambda owner=owner: account_deletion.ask(owner, ORIGIN) for owner in owners])

        assert results.count("LastOwner") == 1


def test_becoming_an_owner_and_asking_to_be_deleted_at_once(dana, sam):
    """SR-40, SR-63: no one becomes the owner of an organization and is about to go without another owner."""
    for _round in range(5):
        organization = OrganizationFactory()
        first, second = UserFactory(), UserFactory()
        owner = MembershipFactory(organization=organization, user=first, role=Role.OWNER)
        MembershipFactory(organization=organization, user=second)

        at_once(
            lambda owner=owner, second=second: membership.hand_over(owner, second.pk, ORIGIN),
            lambda second=second: account_deletion.ask(second, ORIGIN),
        )

        stays = Membership.objects.filter(organization=organization, role=Role.OWNER, user__deletion_due_at=None)
        assert stays.exists()
