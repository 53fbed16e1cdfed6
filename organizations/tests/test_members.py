"""Owners and admins look after the members."""

from datetime import timedelta

import pytest
import time_machine
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from accounts.models import Mail, User
from accounts.tests.factories import PASSWORD
from mfa.tests.factories import add_mode
from organizations import member_list
from organizations.models import Invitation, Membership, OrganizationEvent, Role
from organizations.tests.factories import OrganizationFactory, person
from tests.emails import read_mail
from tests.pages import text_of
from tests.signing_in import sign_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def clinic():
    return OrganizationFactory(name="Clinic")


@pytest.fixture
def olaf(clinic):
    return person(clinic, "olaf", Role.OWNER, mode="authenticator")


@pytest.fixture
def amy(clinic):
    return person(clinic, "amy", Role.ADMIN)


@pytest.fixture
def mo(clinic):
    return person(clinic, "mo", Role.MEMBER)


@pytest.fixture
def owner(client, olaf):
    sign_in(client, olaf)
    return client


def members_of(clinic, query=""):
    return f"{clinic.get_absolute_url()}/members{query}"


def page_of(clinic, user, verb=""):
    return f"{members_of(clinic)}/{user.pk}{verb}"


def role_of(user):
    membership = Membership.objects.filter(user=user).first()
    return membership.role if membership else None


def test_i_see_who_belongs_to_it_and_how_they_are_protected(owner, clinic, amy, mo):
    add_mode(mo, "email")
    add_mode(mo, "authenticator")

    page = text_of(owner.get(members_of(clinic)))

    assert "amy@example.com admin off" in page
    assert "mo@example.com member authenticator + email preferred: email" in page
    assert "all (3)" in page
    assert "off (1)" in page


def test_i_look_for_one(owner, clinic, amy, mo):
    page = text_of(owner.get(members_of(clinic, "?q=AM")))

    assert "amy@example.com" in page
    assert "mo@example.com" not in page


def test_i_look_for_those_without_mfa(owner, clinic, amy):
    page = text_of(owner.get(members_of(clinic, "?mfa=off")))

    assert "amy@example.com" in page
    assert "olaf@example.com owner" not in page


def test_page_after_page_shows_everybody_once(owner, clinic):
    people = [person(clinic, f"m{number:03}", Role.MEMBER) for number in range(60)]
    seen, address = [], members_of(clinic)
    for _page in range(10):
        context = owner.get(address).context
        seen += [row.email for row in context["rows"]]
        if not context["page"].next:
            break
        address = members_of(clinic, f"?after={context['page'].next}")

    assert sorted(seen) == sorted([*(user.email for user in people), "olaf@example.com"])
    assert len(seen) == len(set(seen))


@pytest.mark.parametrize("query", ["?mfa=nonsense", "?after=zzz", "?q=" + "x" * 300, "?q=%25_", "?after=&q=&mfa="])
def test_strange_queries_are_answered(owner, clinic, query):
    assert owner.get(members_of(clinic, query)).status_code == 200


def test_the_file_holds_everybody_and_runs_no_formula(owner, clinic, mo):
    User.objects.filter(pk=mo.pk).update(name="=HYPERLINK(1)")

    lines = b"".join(owner.get(members_of(clinic) + ".csv").streaming_content).decode().splitlines()

    assert lines[0].startswith("Email,Name,Role,Modes")
    assert lines[1].startswith("mo@example.com,'=HYPERLINK(1),member,off,,no,,")
    assert lines[2].startswith("olaf@example.com,")
    last_verified = lines[2].split(",")[7]
    assert last_verified.startswith(f"{timezone.now():%Y-%m-%dT}")
    assert len(lines) == 3


def test_the_file_says_at_whom_mail_does_not_arrive(owner, clinic, mo):
    User.objects.filter(pk=mo.pk).update(mailbox_failed_at=timezone.now(), mailbox_failure="full")

    lines = b"".join(owner.get(members_of(clinic) + ".csv").streaming_content).decode().splitlines()

    assert [line.split(",")[-2] for line in lines] == ["Mail does not arrive", "the mailbox is full", ""]


def test_a_file_of_many_costs_few_queries(owner, clinic, django_assert_max_num_queries, monkeypatch):
    monkeypatch.setattr(member_list, "BATCH", 10)
    people = [person(clinic, f"m{number:03}", Role.MEMBER) for number in range(35)]

    with django_assert_max_num_queries(13):
        lines = b"".join(owner.get(members_of(clinic) + ".csv").streaming_content).decode().splitlines()

    assert [line.split(",")[0] for line in lines[1:]] == [*(user.email for user in people), "olaf@example.com"]


class TestRoles:
    def test_an_owner_gives_a_role(self, owner, clinic, mo):
        owner.post(page_of(clinic, mo, "/role"), {"role": "admin"})

        assert role_of(mo) == "admin"
        assert OrganizationEvent.objects.get(kind="role_changed").subject == "mo@example.com: admin"

    def test_an_admin_gives_none_above_their_own(self, client, clinic, amy, mo, olaf):
        """SR-44."""
        sign_in(client, amy)
        client.post(page_of(clinic, mo, "/role"), {"role": "owner"})
        client.post(page_of(clinic, amy, "/role"), {"role": "owner"})
        client.post(page_of(clinic, olaf, "/role"), {"role": "member"})

        assert (role_of(mo), role_of(amy), role_of(olaf)) == ("member", "admin", "owner")

    def test_an_owner_is_offered_to_hand_over_to_others_than_owners(self, owner, clinic, amy):
        other = person(clinic, "eve", Role.OWNER)
        offer = "Hand over my ownership to this member"

        assert offer in text_of(owner.get(page_of(clinic, amy)))
        assert offer not in text_of(owner.get(page_of(clinic, other)))

    def test_a_member_changes_nothing(self, client, clinic, amy, mo):
        """SR-39, SR-44."""
        sign_in(client, mo)

        for verb in ("/role", "/remove", "/exempt", "/hand-over"):
            for target in (mo, amy):
                assert client.post(page_of(clinic, target, verb), {"role": "owner"}).status_code == 403
        assert role_of(mo) == "member"

    @pytest.mark.parametrize(
        ("address", "fields"),
        [
            ("/account/profile", {"name": "Mo", "username": "mo"}),
            ("/account/register", {"email": "new@example.com", "password": PASSWORD, "password_confirm": PASSWORD}),
        ],
    )
    def test_fields_that_no_form_shows_are_ignored(self, client, clinic, mo, address, fields):
        """SR-44: mass assignment."""
        sign_in(client, mo)
        hidden = {
            "role": "owner", "is_staff": "on", "is_superuser": "on", "preferred_mode": "email",
            "email_verified_at": "1", "organization": str(clinic.pk), "enabled_modes": "authenticator",
            "user": "1", "id": "1",
        }  # fmt: skip

        client.post(address, {**hidden, **fields})

        assert role_of(mo) == "member"
        assert not User.objects.filter(is_staff=True).exists()
        assert not User.objects.exclude(enabled_modes="").exists()

    def test_the_last_owner_stays_one(self, owner, clinic, olaf):
        """SR-40."""
        owner.post(page_of(clinic, olaf, "/role"), {"role": "member"})

        assert role_of(olaf) == "owner"

    def test_an_owner_hands_over(self, owner, clinic, olaf, amy):
        owner.post(page_of(clinic, amy, "/hand-over"))

        assert (role_of(olaf), role_of(amy)) == ("admin", "owner")

    def test_owners_hear_of_a_new_one(self, owner, clinic, olaf, amy):
        """SR-54: whoever becomes an owner can switch everything off."""
        asked = text_of(owner.post(page_of(clinic, amy, "/role"), {"role": "owner"}))
        assert "Make amy@example.com an owner?" in asked
        assert "Careful: amy@example.com has no MFA." in asked
        assert role_of(amy) == "admin"

        owner.post(page_of(clinic, amy, "/role"), {"role": "owner", "confirmed": "yes"})

        told = [message for message in read_mail() if message.subject == "Clinic: Role changed"]
        assert sorted(message.to[0] for message in told) == ["amy@example.com", "olaf@example.com"]
        assert "amy@example.com: owner" in told[0].body

    def test_nobody_hands_over_to_a_stranger(self, owner, clinic, sam):
        assert owner.post(page_of(clinic, sam, "/hand-over")).status_code == 404


def test_i_remove_a_member(owner, clinic, mo):
    page = owner.get(page_of(clinic, mo, "/remove"))
    assert "Remove User from Organization" in text_of(page)

    owner.post(page_of(clinic, mo, "/remove"))

    assert role_of(mo) is None


@pytest.mark.parametrize("verb", ["/role", "/remove", "/exempt", "/hand-over"])
def test_changing_members_needs_a_fresh_proof(client, clinic, olaf, mo, verb):
    """SR-40."""
    with time_machine.travel(timezone.now(), tick=False) as clock:
        sign_in(client, olaf)
        clock.shift(timedelta(minutes=11))

        assert client.post(page_of(clinic, mo, verb), {"role": "admin"}).url.startswith("/account/confirm")
    assert role_of(mo) == "member"


def test_strangers_find_nothing(client, clinic, mo, sam):
    """SR-39."""
    sign_in(client, sam)
    paths = ["", ".csv", f"/{mo.pk}"]

    assert {client.get(members_of(clinic, path)).status_code for path in paths} == {404}


class TestInvitations:
    def invite(self, client, clinic, emails, role="member"):
        address = f"{clinic.get_absolute_url()}/invitations"
        return text_of(client.post(address, {"email": emails, "role": role}, follow=True))

    def test_one(self, owner, clinic):
        page = self.invite(owner, clinic, "new@example.com")

        assert "1 invitation is on its way. See it: new@example.com as member" in page
        assert "new@example.com STATUS: PENDING" in page
        assert [message.to for message in read_mail()] == [["new@example.com"]]

    def test_the_message_leads_to_the_invite(self, owner, clinic):
        address = f"{clinic.get_absolute_url()}/invitations"

        page = owner.post(address, {"email": "new@example.com", "role": "member"}, follow=True).content.decode()

        anchor = f"invitation-{Invitation.objects.get().pk}"
        assert f'<a href="{address}#{anchor}">See it: new@example.com as member</a>' in page
        assert f'id="{anchor}"' in owner.get(address).content.decode()

    def test_many_as_they_were_pasted(self, owner, clinic, mo):
        pasted = 'Name,Email\n"A, Jr",a@example.com\nB,<B@example.com>;b@example.com\nmo@example.com\nbroken@\n'

        page = self.invite(owner, clinic, pasted)

        assert "2 invitations are on their way. See them: 2 as member" in page
        assert "mo@example.com: This user is already a member of the organization." in page
        assert "broken@: This is not an email address." in page
        assert Invitation.objects.count() == 2
        assert set(Mail.objects.filter(task="organizations.invitation").values_list("queue", flat=True)) == {"bulk"}

    def test_what_was_refused_stays_in_its_field_with_the_reason_beside_it(self, owner, clinic, mo):
        address = f"{clinic.get_absolute_url()}/invitations"

        page = owner.post(address, {"email": "new@example.com, mo@example.com\nbroken@", "role": "admin"})

        form = page.context["invite_form"]
        assert page.status_code == 400
        assert form["email"].value().split() == ["broken@", "mo@example.com"]
        assert form["role"].value() == "admin"
        assert form.errors == {
            "email": [
                "broken@: This is not an email address.",
                "mo@example.com: This user is already a member of the organization.",
            ]
        }
        field = page.content.decode().partition('name="email"')[2][:1500]
        assert "broken@: This is not an email address." in field
        assert "1 invitation is on its way." in text_of(page)
        assert [row.email for row in Invitation.objects.all()] == ["new@example.com"]

    def test_of_many_refusals_some_are_told_and_all_are_kept(self, owner, clinic):
        address = f"{clinic.get_absolute_url()}/invitations"
        file = SimpleUploadedFile("people.csv", b"\n".join(b"p%d@" % number for number in range(13)))

        page = owner.post(address, {"file": file, "role": "member"})

        errors = page.context["invite_form"].errors.get_json_data()["email"]
        assert [error["message"] for error in errors[9:]] == [
            "p9@: This is not an email address.",
            "… and 3 more that could not be invited.",
        ]
        assert len(page.context["invite_form"]["email"].value().split()) == 13

    def test_what_is_no_address_at_all_is_kept_too(self, owner, clinic):
        page = owner.post(f"{clinic.get_absolute_url()}/invitations", {"email": "mo at example", "role": "admin"})

        assert page.status_code == 400
        assert page.context["invite_form"]["email"].value() == "mo at example"
        assert page.context["invite_form"]["role"].value() == "admin"
        text = text_of(page)
        assert text.index("This is not an email address.") < text.index("Search for an invite")

    def test_a_thousand_cost_as_many_queries_as_ten(self, owner, clinic, django_assert_max_num_queries):
        pasted = "\n".join(f"n{number}@example.com" for number in range(1000))
        with django_assert_max_num_queries(80):
            owner.post(f"{clinic.get_absolute_url()}/invitations", {"email": pasted})

        assert Invitation.objects.count() == 1000

    def test_a_list_may_be_longer_than_any_other_form(self, owner, clinic):
        """SR-49."""
        pasted = "\n".join(f"{'x' * 60}.{number}@example.com,{'y' * 100}" for number in range(1000))
        assert len(pasted) > 150_000

        assert "1000 invitations are on their way." in self.invite(owner, clinic, pasted)

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
    def test_many_as_a_file(self, owner, clinic, encoding):
        content = "Name;Email\r\nJosé;a@example.com\r\nZoë;b@example.com\r\n".encode(encoding)
        file = SimpleUploadedFile("people.csv", content, content_type="text/csv")

        page = owner.post(f"{clinic.get_absolute_url()}/invitations", {"file": file, "role": "member"}, follow=True)

        assert "2 invitations are on their way." in text_of(page)
        assert sorted(Invitation.objects.values_list("email", flat=True)) == ["a@example.com", "b@example.com"]

    def test_a_file_without_an_address(self, owner, clinic):
        file = SimpleUploadedFile("people.csv", b"\x00\xff\x89PNG", content_type="text/csv")

        page = owner.post(f"{clinic.get_absolute_url()}/invitations", {"file": file, "role": "member"}, follow=True)

        assert "This is not an email address." in text_of(page)

    def test_the_list_is_paged_and_searched(self, owner, clinic):
        self.invite(owner, clinic, "\n".join(f"n{number:02}@example.com" for number in range(60)))
        pages = [text_of(owner.get(f"{clinic.get_absolute_url()}/invitations?page={page}")) for page in (1, 2, 3)]

        assert "Page 1 of 3" in pages[0]
        assert all(f"n{number:02}@example.com" in "".join(pages) for number in range(60))
        found = text_of(owner.get(f"{clinic.get_absolute_url()}/invitations?q=N07"))
        assert "n07@example.com" in found
        assert "n08@example.com" not in found

    def test_an_expired_one_says_so_and_lives_anew(self, owner, clinic, olaf):
        with time_machine.travel(timezone.now(), tick=False) as clock:
            self.invite(owner, clinic, "new@example.com")
            clock.shift(timedelta(days=8))
            sign_in(owner, olaf)
            assert "new@example.com STATUS: EXPIRED" in text_of(owner.get(members_of(clinic)))

            owner.post(f"{clinic.get_absolute_url()}/invitations/{Invitation.objects.get().pk}/resend")

            assert "new@example.com STATUS: PENDING" in text_of(owner.get(members_of(clinic)))

    @pytest.mark.parametrize("role", ["admin", "owner"])
    def test_inviting_somebody_to_manage_needs_a_fresh_proof(self, client, clinic, olaf, role):
        """SR-22, SR-44: as giving the role to a member does; what was typed is kept."""
        address = f"{clinic.get_absolute_url()}/invitations"
        with time_machine.travel(timezone.now(), tick=False) as clock:
            sign_in(client, olaf)
            clock.shift(timedelta(minutes=11))

            page = client.post(address, {"email": "new@example.com", "role": role})

            assert page.url.startswith("/account/confirm")
            assert not Invitation.objects.exists()
            form = client.get(address).content.decode()
            assert "new@example.com" in form
            assert f'<option value="{role}" selected>' in form
            client.post(address, {"email": "new@example.com", "role": "member"})
            assert Invitation.objects.exists()

    def test_too_many(self, owner, clinic):
        pasted = "\n".join(f"n{number}@example.com" for number in range(2001))

        page = self.invite(owner, clinic, pasted)

        assert "up to 2,000 people at once" in page
        assert "n1999@example.com" in page  # what was pasted is not lost

    def test_an_admin_invites_no_owner(self, client, clinic, amy):
        """SR-44."""
        sign_in(client, amy)
        self.invite(client, clinic, "new@example.com", "owner")

        assert not Invitation.objects.exists()

    def test_i_send_one_again_but_not_all_the_time(self, owner, clinic):
        self.invite(owner, clinic, "new@example.com")
        address = f"{clinic.get_absolute_url()}/invitations/{Invitation.objects.get().pk}/resend"

        assert "just sent an invitation" in text_of(owner.post(address, follow=True))
        with time_machine.travel(timezone.now() + timedelta(minutes=2)):
            assert "We have sent the invitation to" in text_of(owner.post(address, follow=True))
            assert "just sent an invitation" in text_of(owner.post(address, follow=True))
        assert len({message.body for message in read_mail()}) == 1

    def test_i_withdraw_one(self, owner, clinic):
        self.invite(owner, clinic, "new@example.com")

        owner.post(f"{clinic.get_absolute_url()}/invitations/{Invitation.objects.get().pk}/withdraw")

        assert Invitation.objects.get().revoked_at
        assert "no pending invites" in text_of(owner.get(members_of(clinic)))

    def test_whoever_registers_through_it_needs_no_second_proof(self, owner, clinic):
        """SR-43: the link came to the mailbox."""
        self.invite(owner, clinic, "new@example.com")
        link = next(line for line in read_mail()[-1].body.splitlines() if "code=" in line)
        guest = Client()
        guest.get(link.partition("testserver")[2])

        page = guest.post(
            "/account/register", {"email": "New@example.com", "password": PASSWORD, "password_confirm": PASSWORD}
        )
        guest.post("/account/accept-invite")

        assert page.url == "/account/accept-invite"
        user = User.objects.get(email_key="new@example.com")
        assert user.email_verified_at
        assert role_of(user) == "member"

    def test_it_proves_no_other_address(self, owner, clinic):
        """SR-43."""
        self.invite(owner, clinic, "new@example.com")
        link = next(line for line in read_mail()[-1].body.splitlines() if "code=" in line)
        guest = Client()
        guest.get(link.partition("testserver")[2])

        guest.post(
            "/account/register", {"email": "else@example.com", "password": PASSWORD, "password_confirm": PASSWORD}
        )

        assert not User.objects.filter(email_key="else@example.com").exists()


@pytest.mark.parametrize("members", [3, 300])
@pytest.mark.parametrize("mode", ["authenticator", "email"])
@pytest.mark.parametrize(
    "path",
    [
        "/members",
        "/members?mfa=off",
        "/members?q=m",
        "",
        "/require",
        "/policy",
        "/compliance",
        "/exemptions",
        "/members?mfa=missing",
        "/invitations",
    ],
)
def test_pages_stay_under_ten_queries(client, clinic, members, path, mode, django_assert_max_num_queries):
    """Also for owners of whom the policy has to be asked."""
    sign_in(client, person(clinic, "olga", Role.OWNER, mode=mode))
    users = [User(email=f"m{n}@example.com", email_key=f"m{n}@example.com", password="!") for n in range(members)]
    User.objects.bulk_create(users)
    Membership.objects.bulk_create([Membership(organization=clinic, user=user) for user in users])

    with django_assert_max_num_queries(10 if path == "/compliance" else 9):
        assert client.get(clinic.get_absolute_url() + path).status_code == 200
