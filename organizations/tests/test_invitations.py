"""An invitation in the browser."""

from urllib.parse import quote

import pytest

from accounts.models import User
from accounts.security_log import Origin
from accounts.tests.factories import UserFactory
from mfa.tests.factories import add_mode
from mfa.tests.test_activation import COMPLETE, activate
from organizations import invitations
from organizations.models import Membership, OrganizationEvent, Role
from organizations.tests.factories import MembershipFactory
from tests.codes import mailed_code
from tests.emails import read_mail
from tests.pages import text_of
from tests.signing_in import give_credentials, sign_in

pytestmark = pytest.mark.django_db

PAGE = "/account/accept-invite"


@pytest.fixture
def clinic(dana):
    return MembershipFactory(user=dana, role=Role.OWNER, organization__name="Clinic").organization


def link_for(clinic, address) -> str:
    owner = Membership.objects.select_related("organization", "user").get(organization=clinic, role=Role.OWNER)
    invitations.send(owner, address, role=Role.MEMBER, origin=Origin())
    (link,) = [line for line in read_mail()[-1].body.splitlines() if "code=" in line]
    return link.removeprefix("http://testserver")


def test_a_link_leads_through_the_sign_in_to_the_organization(client, clinic, sam):
    page = client.get(link_for(clinic, sam.email), follow=True)
    assert "You are invited to join Clinic" in text_of(page)
    assert "s•••@example.com" in text_of(page)

    landed = give_credentials(client, "sam", next=PAGE)
    page = text_of(client.get(landed.url))
    joined = client.post(PAGE, follow=True)

    assert "Accept invitation" in page
    assert "You are now a member of Clinic." in text_of(joined)
    assert joined.redirect_chain == [(clinic.get_absolute_url(), 302)]


def test_the_link_survives_a_sign_in_with_a_code(client, clinic, sam):
    add_mode(sam, "email")
    client.get(link_for(clinic, sam.email))

    sign_in(client, sam)

    assert "You are now a member" in text_of(client.post(PAGE, follow=True))


def test_the_code_leaves_the_address_at_once(client, clinic, sam):
    """SR-19."""
    answer = client.get(link_for(clinic, sam.email))

    assert answer.url == PAGE


def test_looking_at_a_link_changes_nothing(client, clinic, sam):
    """SR-47: mail scanners open links."""
    sign_in(client, sam)

    client.get(link_for(clinic, sam.email), follow=True)

    assert not Membership.objects.filter(user=sam).exists()


def test_another_account_cannot_accept(client, clinic, sam):
    """SR-43."""
    link = link_for(clinic, "new@example.com")
    sign_in(client, sam)
    page = client.get(link, follow=True)
    assert "The invitation was sent to n•••@example.com, but you are signed in as sam@example.com." in text_of(page)

    page = client.post(PAGE, follow=True)

    assert "This invitation was sent to another email." in text_of(page)
    assert not Membership.objects.filter(user=sam).exists()


@pytest.mark.parametrize("code", ["wrong", "x" * 5000, "%F0%9F%98%80", "%20"])
def test_a_link_that_is_not_valid(client, code):
    page = client.get(f"{PAGE}?code={code}", follow=True)

    assert page.status_code == 404
    assert "This invitation is no longer valid" in text_of(page)


def test_what_is_accepted_is_what_the_page_has_shown(client, clinic, sam):
    """SR-43: another link was opened in the meantime."""
    other = MembershipFactory(user=UserFactory(), role=Role.OWNER).organization
    sign_in(client, sam)
    shown = client.get(link_for(clinic, sam.email), follow=True).context["invitation"]
    client.get(link_for(other, sam.email))

    page = client.post(PAGE, {"invitation": str(shown.pk)})

    assert page.status_code == 200
    assert not Membership.objects.filter(user=sam).exists()


def test_a_link_that_is_over_takes_no_other_away(client, clinic, sam):
    sign_in(client, sam)
    client.get(link_for(clinic, sam.email))

    assert client.get(f"{PAGE}?code=wrong").status_code == 404
    client.post(PAGE)

    assert Membership.objects.filter(user=sam).exists()


def test_the_next_user_of_a_browser_finds_no_invitation_in_it(client, clinic, sam, dana):
    """SR-43: nor registers the address that it was sent to."""
    client.get(link_for(clinic, "new@example.com"))
    sign_in(client, sam)
    client.post("/account/logout")

    fields = {"email": "new@example.com", "password": "a strangers phrase", "password_confirm": "a strangers phrase"}
    assert client.post("/account/register", fields).url == "/account/verify-email"


def test_accepting_needs_a_sign_in(client, clinic, sam):
    client.get(link_for(clinic, sam.email))

    page = client.post(PAGE)

    assert "Sign in to accept" in text_of(page)
    assert not Membership.objects.filter(user=sam).exists()


def test_an_organization_that_requires_mfa_leads_to_activation_first(client, clinic, sam):
    """SR-43."""
    clinic.mfa_required_at = "2026-01-01T00:00:00Z"
    clinic.save()
    client.get(link_for(clinic, sam.email))
    sign_in(client, sam)

    page = client.post(PAGE, follow=True)

    assert page.redirect_chain == [("/account/mfa/activate", 302)]
    assert "requires multi-factor authentication" in text_of(page)
    assert not Membership.objects.filter(user=sam).exists()


@pytest.mark.parametrize("signed_in", [True, False])
def test_after_the_activation_i_am_back_at_my_invitation(client, clinic, sam, signed_in):
    """SR-43: nobody has to look for the mail again."""
    clinic.mfa_required_at = "2026-01-01T00:00:00Z"
    clinic.save()
    page = client.get(link_for(clinic, sam.email), follow=True)
    assert "you activate it first and then come back here" in text_of(page)
    if signed_in:
        sign_in(client, sam)
        client.post(PAGE)

    activate(client, "email", identifier="sam")
    done = client.post(COMPLETE, {"otp": mailed_code()})
    if not signed_in:
        assert done.url == f"/account/login?next={quote(PAGE, safe='')}"
        sign_in(client, sam)

    else:
        assert done.url == f"/account/mfa/recovery-codes?next={quote(PAGE, safe='')}"
    assert "You are now a member of Clinic." in text_of(client.post(PAGE, follow=True))


def test_the_code_proves_the_mailbox(client, clinic, sam):
    User.objects.filter(pk=sam.pk).update(email_verified_at=None)
    sign_in(client, sam)
    client.get(link_for(clinic, sam.email))

    client.post(PAGE)

    sam.refresh_from_db()
    assert sam.email_verified_at


def test_names_cannot_forge_the_mail(clinic, dana):
    """SR-48."""
    dana.name = "Dana\nBcc: eve@example.com <b>"
    dana.save()
    clinic.name = "Clinic\r\nBcc: eve@example.com <script>"
    clinic.save()

    link_for(clinic, "new@example.com")

    message = read_mail()[-1]
    assert message.recipients() == ["new@example.com"]
    assert "\n" not in message.subject
    assert "<script>" not in message.alternatives[0].content


def invited_as(role, clinic, address):
    owner = Membership.objects.select_related("organization", "user").get(organization=clinic, role=Role.OWNER)
    invitations.send(owner, address, role=role, origin=Origin())
    mail = read_mail()[-1].body
    (link,) = [line for line in mail.splitlines() if "code=" in line]
    return " ".join(mail.split()), link.removeprefix("http://testserver")


@pytest.mark.parametrize(
    ("role", "says", "joined"),
    [
        (Role.OWNER, "If you accept, you become an owner of this organization.", "You are now an owner of Clinic."),
        (Role.ADMIN, "If you accept, you become an admin of this organization.", "You are now an admin of Clinic."),
    ],
)
def test_who_gets_rights_over_others_reads_so_before_and_after_they_accept(
    client, clinic, dana, sam, role, says, joined
):
    """SR-43."""
    mail, link = invited_as(role, clinic, sam.email)
    anonymous = text_of(client.get(link, follow=True))
    sign_in(client, sam)
    signed_in = text_of(client.get(PAGE))

    assert says in mail
    for page in (anonymous, signed_in):
        assert says in page
        assert f"The invitation is from {dana.name or dana.email}" in page
        assert "If you do not want to join, close this page: nothing happens." in page
    assert not Membership.objects.filter(user=sam).exists()
    assert joined in text_of(client.post(PAGE, follow=True))


def test_a_plain_member_reads_of_no_rights(client, clinic, sam):
    mail, link = invited_as(Role.MEMBER, clinic, sam.email)

    assert "you become" not in mail
    assert "you become" not in text_of(client.get(link, follow=True))


def test_the_log_and_the_mail_to_the_owners_say_as_what_someone_was_invited_and_joined(client, clinic, sam):
    """SR-53, SR-54."""
    _mail, link = invited_as(Role.OWNER, clinic, sam.email)
    sign_in(client, sam)
    client.get(link)
    client.post(PAGE)

    events = OrganizationEvent.objects.filter(organization=clinic).order_by("pk")
    assert list(events.values_list("kind", "subject")) == [
        ("invited", "sam@example.com: owner"),
        ("joined", "sam@example.com: owner"),
    ]
    assert any("Clinic: Joined\nsam@example.com: owner" in message.body for message in read_mail())
