"""One identity has one form (SR-4), and names stay on their line (SR-48)."""

import pytest
from django.core.management import CommandError, call_command

from accounts.identifiers import as_plain_line, is_compared_as_written
from accounts.models import User
from accounts.security_log import Origin
from accounts.tests.factories import UserFactory
from organizations import invitations
from organizations.models import Role
from organizations.tests.factories import MembershipFactory
from tests.codes import mailed_code
from tests.emails import read_mail
from tests.pages import text_of
from tests.signing_in import give_credentials, sign_in

pytestmark = pytest.mark.django_db

NEW = "an entirely different phrase"
# Letters that are another one once they are compared: long s, Kelvin sign, fullwidth a, ligature.
LOOKALIKES = ["\u017fam@example.com", "\u212aim@example.com", "sam@\uff41.com", "o\ufb03ce@example.com"]
# Further spellings of one mailbox: quoted, with signs that IDNA drops, and both forms of one domain.
SPELLINGS = [
    '"sam"@example.com', '"s\\am"@example.com', "sam@exam\u00adple.com", "sam@exam\u200bple.com",
    "sam@exam\u2060ple.com", "sam@exam\ufe0fple.com", "sam@xn--bcher-kva.example", '"s\x1bam"@example.com',
]  # fmt: skip


@pytest.mark.parametrize("email", [*LOOKALIKES, *SPELLINGS])
def test_an_address_that_is_compared_as_another_one_is_refused(client, sam, email):
    """SR-4: its mail would go elsewhere than to what is compared."""
    page = client.post("/account/register", {"email": email, "password": NEW, "password_confirm": NEW})

    assert page.status_code == 400
    assert read_mail() == []


@pytest.mark.parametrize("email", [*LOOKALIKES, *SPELLINGS])
def test_it_is_refused_at_every_door(client, sam, email):
    """SR-4: as a new address, in an invitation, and for whoever makes an account by hand."""
    owner = MembershipFactory(user=UserFactory(), role=Role.OWNER)
    sign_in(client, sam)
    client.post("/account/confirm", {"password": "a quiet harbour at dawn"})

    assert client.post("/account/email", {"email": email}).status_code == 400
    with pytest.raises(invitations.NotAnEmail):
        invitations.send(owner, email, role=Role.MEMBER, origin=Origin())
    with pytest.raises(ValueError, match="another address"):
        User.objects.create_user(email, NEW)


def test_its_owner_registers_and_resets_all_the_same(client):
    """SR-4."""
    client.post("/account/register", {"email": LOOKALIKES[0], "password": NEW, "password_confirm": NEW})

    client.post("/account/register", {"email": "sam@example.com", "password": NEW, "password_confirm": NEW})
    client.post("/account/verify-email", {"code": mailed_code()})

    assert give_credentials(client, "SAM@example.com", NEW).status_code == 302


def test_case_alone_makes_no_other_address():
    assert is_compared_as_written("Dana.Reyes@Example.COM")
    assert is_compared_as_written("dana@b\u00fccher.example")


@pytest.mark.parametrize("sign", ["\n", "\r", "\x0b", "\x85", "\u2028", "\u2029", "\x00", "\x1b", "\u202e"])
def test_a_name_is_one_line(client, dana, sign):
    """SR-48."""
    organization = MembershipFactory(user=dana, role=Role.OWNER).organization
    sign_in(client, dana)
    name = f"Dana{sign}{sign}Your account is closed: https://evil.example"

    assert client.post("/account/profile", {"name": name, "username": "dana"}).status_code == 400
    assert client.post(organization.get_absolute_url(), {"name": name}).status_code == 400
    with pytest.raises(CommandError):
        call_command("create_organization", name, owner="dana")


def test_a_name_that_was_stored_before_adds_no_paragraph_to_a_mail(dana):
    """SR-48."""
    User.objects.filter(pk=dana.pk).update(name="Dana\n\nPay here: https://evil.example\n")
    dana.refresh_from_db()
    owner = MembershipFactory(user=dana, role=Role.OWNER, organization__name="Clinic\r\n\r\nReally")
    invitations.send(owner, "new@example.com", role=Role.MEMBER, origin=Origin())

    message = read_mail()[-1]

    first = message.body.splitlines()[0]
    assert first == "Dana  Pay here: https://evil.example  has invited you to join Clinic    Really."
    assert "\n" not in message.subject


def test_a_plain_line_keeps_what_names_need():
    assert (
        as_plain_line("Zoë 'Żak' O\u2019Neil \U0001f469\u200d\u2695\ufe0f")
        == "Zoë 'Żak' O\u2019Neil \U0001f469\u200d\u2695\ufe0f"
    )


def test_the_refusal_says_what_to_do(client, dana):
    sign_in(client, dana)

    page = client.post("/account/profile", {"name": "Da\nna", "username": "dana"})

    assert "Use one line, without control characters." in text_of(page)
