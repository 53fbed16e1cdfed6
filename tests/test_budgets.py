"""How many questions each page asks the database, sessions included."""

import pytest
from django.urls import reverse

from accounts.tests.factories import UserFactory
from mfa.tests.factories import add_mode
from mfa.tests.test_activation import activate
from organizations.models import Environment, Pod
from organizations.tests.factories import MembershipFactory
from tests.codes import app_code
from tests.signing_in import OTP, give_credentials, sign_in
from tests.test_bad_input import SOME_ID, every_address

pytestmark = pytest.mark.django_db

STRANGER = {
    "accounts:login": 0,
    "accounts:register": 0,
    "accounts:password_reset": 0,
    "accounts:dashboard": 0,
    "accounts:choose_language": 0,
    "organizations:accept_invitation": 0,
    "organizations:accept_invitation_of_older_clients": 0,
    "mfa:activate": 0,
    "mfa:otp_prompt": 0,
    "mfa:confirm_reset": 0,
    "mfa:complete_activation": 0,
    "mfa:confirm_mailbox": 0,
    "metrics": 0,
    "passkey_endpoints": 0,
    "change_password": 0,
    "security_txt": 0,
    "robots_txt": 0,
    "help_mfa": 0,
    "help_mfa_troubleshooting": 0,
    "help_owners": 0,
    "help_search": 0,
    "home": 0,
}
# Session, user, factor of the session and the menu are four; the rest is the page's own.
SIGNED_IN = {
    "accounts:dashboard": 5,
    "accounts:settings": 6,
    "accounts:profile_edit": 4,
    "accounts:sessions": 9,
    "accounts:change_email": 4,
    "accounts:delete_account": 6,
    "accounts:change_time_zone": 4,
    "accounts:notices": 4,
    "accounts:data": 5,
    "accounts:data_progress": 3,
    "accounts:confirm_email": 3,
    "accounts:security_log": 6,
    "accounts:security_log_csv": 4,
    "accounts:end_other_sessions": 4,
    "accounts:password_change": 4,
    "accounts:verify_email": 3,
    "mfa:activate": 4,
    "mfa:recovery_codes": 5,
    "mfa:passkeys": 4,
    "mfa:add_passkey": 4,
    "mfa:offer_passkey": 4,
    "mfa:cli_code": 4,
    "mfa:step_up": 10,  # the first look begins the step-up and writes it into the session
    "organizations:list": 6,
    "organizations:mfa_required": 3,
    "organizations:asked_of_me": 8,
    "help_mfa": 4,
    "help_mfa_troubleshooting": 8,  # the factors, the last code, this browser and its limits
    "help_owners": 4,
    "help_search": 4,
}
SIGNED_IN_BY_MODE = {"mfa:enable": 4, "mfa:disable": 6, "mfa:prefer": 4}


@pytest.mark.parametrize(("name", "budget"), STRANGER.items())
def test_pages_for_strangers(client, django_assert_max_num_queries, name, budget):
    with django_assert_max_num_queries(budget):
        client.get(reverse(name))


@pytest.mark.parametrize("organizations", [1, 30])
@pytest.mark.parametrize(("name", "budget"), SIGNED_IN.items())
def test_pages_for_the_signed_in(client, dana_with_both, django_assert_max_num_queries, name, budget, organizations):
    for _number in range(organizations):
        MembershipFactory(user=dana_with_both)
    sign_in(client, dana_with_both)

    with django_assert_max_num_queries(budget):
        client.get(reverse(name))


@pytest.mark.parametrize(("name", "budget"), SIGNED_IN_BY_MODE.items())
def test_confirmations(client, dana_with_both, django_assert_max_num_queries, name, budget):
    sign_in(client, dana_with_both)

    with django_assert_max_num_queries(budget):
        assert client.get(reverse(name, args=["email"])).status_code == 200


@pytest.mark.parametrize(
    "name",
    ["organization", "require", "stop_requiring", "leave", "environments", "log", "log_csv", "members", "members_csv",
     "policy", "rehearsal", "exemptions", "invitations", "compliance", "evidence"],
)  # fmt: skip
def test_pages_of_an_organization(client, dana_with_both, django_assert_max_num_queries, name):
    organization = MembershipFactory(user=dana_with_both, role="owner").organization
    sign_in(client, dana_with_both)

    with django_assert_max_num_queries(9):
        assert client.get(reverse(f"organizations:{name}", args=[organization.pk])).status_code == 200


def test_a_blocked_member_costs_one_question_more(client, dana, django_assert_max_num_queries):
    membership = MembershipFactory(user=dana)
    sign_in(client, dana)
    membership.organization.mfa_required_at = "2026-01-01T00:00:00Z"
    membership.organization.save()

    with django_assert_max_num_queries(3):
        assert client.get("/account").url == reverse("organizations:mfa_required")
    with django_assert_max_num_queries(6):
        assert client.get(reverse("organizations:mfa_required")).status_code == 200


def test_an_enrolment(client, dana, django_assert_max_num_queries):
    activate(client, "authenticator")

    with django_assert_max_num_queries(2):
        assert client.get(reverse("mfa:complete_activation")).status_code == 200


def test_help_at_the_prompt_begins_with_what_is_known(client, dana_with_email, django_assert_max_num_queries):
    give_credentials(client, "dana")

    with django_assert_max_num_queries(4):
        assert b"What we see for your account" in client.get(reverse("help_mfa_troubleshooting")).content


def test_signing_in_with_a_code_writes_what_it_must_and_no_more(client, dana, django_assert_max_num_queries):
    add_mode(dana, "authenticator")
    with django_assert_max_num_queries(21):
        give_credentials(client, "dana")
    with django_assert_max_num_queries(42):
        assert client.post(OTP, {"otp": app_code(dana)}).status_code == 302


ADMINISTRATION = {
    "index": 7,
    "mail_status": 15,
    "accounts_user_changelist": 6,
    "organizations_organization_changelist": 6,
    "organizations_environment_changelist": 7,
    "organizations_pod_changelist": 6,
    "mfa_assistedreset_changelist": 6,
}


@pytest.fixture
def administrator(client, sam):
    add_mode(sam, "authenticator")
    sam.is_staff = sam.is_superuser = True
    sam.save()
    sign_in(client, sam)
    return client


@pytest.mark.parametrize("many", [1, 60])
@pytest.mark.parametrize(("name", "budget"), ADMINISTRATION.items())
def test_lists_of_the_administration(administrator, dana, django_assert_max_num_queries, name, budget, many):
    """SR-52."""
    pod = Pod.objects.create(name="pod01")
    for number in range(many):
        organization = MembershipFactory(user=dana).organization
        Environment.objects.create(organization=organization, pod=pod, name=f"live{number}")

    with django_assert_max_num_queries(budget):
        assert administrator.get(reverse(f"admin:{name}")).status_code == 200


@pytest.mark.parametrize("many", [1, 60])
@pytest.mark.parametrize(("name", "budget"), [("change", 18), ("history", 9), ("act", 5)])
def test_the_page_of_a_person(administrator, dana_with_both, django_assert_max_num_queries, name, budget, many):
    for _number in range(many):
        MembershipFactory(user=dana_with_both)
    arguments = [dana_with_both.pk, "unlock"] if name == "act" else [dana_with_both.pk]

    with django_assert_max_num_queries(budget):
        assert administrator.get(reverse(f"admin:accounts_user_{name}", args=arguments)).status_code == 200


@pytest.mark.parametrize("many", [1, 60])
@pytest.mark.parametrize(("name", "budget"), [("change", 12), ("members", 7)])
def test_the_page_of_an_organization(administrator, dana, django_assert_max_num_queries, name, budget, many):
    organization = MembershipFactory(user=dana, role="owner").organization
    pod = Pod.objects.create(name="pod01")
    for number in range(many):
        MembershipFactory(user=UserFactory(), organization=organization, role="owner")
        Environment.objects.create(organization=organization, pod=pod, name=f"live{number}")

    with django_assert_max_num_queries(budget):
        url = reverse(f"admin:organizations_organization_{name}", args=[organization.pk])
        assert administrator.get(url).status_code == 200


def test_a_search_for_accounts(administrator, dana, django_assert_max_num_queries):
    with django_assert_max_num_queries(8):
        assert administrator.get(reverse("admin:accounts_user_changelist"), {"q": "dana"}).status_code == 200


def test_every_page_has_a_budget():
    """A new page is not forgotten."""
    tested = {*STRANGER, *SIGNED_IN, *SIGNED_IN_BY_MODE}
    named = {reverse(name) for name in (*STRANGER, *SIGNED_IN)}
    named |= {reverse(name, args=["email"]) for name in SIGNED_IN_BY_MODE}
    post_only = ("logout", "resend", "switch", "cancel", "send", "codes/confirm", "login/passkey", "/try")
    rest = {
        address
        for address in every_address()
        if address not in named
        and not address.endswith(post_only)
        and not address.startswith(("/organizations/", "/hooks/"))
    }

    assert tested
    # The confirmations of one session or key cost what the others cost.
    assert rest == {
        "/account/password/reset/complete",
        f"/account/sessions/{SOME_ID}/end",
        f"/account/cli-code/{SOME_ID}",
        f"/account/cli-code/{SOME_ID}/end",
        f"/account/mfa/passkeys/{SOME_ID}/rename",
        f"/account/mfa/passkeys/{SOME_ID}/remove",
        f"/account/keys/{SOME_ID}/remove",
        "/account/not-me/forged:token",
        "/account/mail/forged:token",
        "/account/email/undo/forged:token",
        "/account/delete/undo/forged:token",
        f"/account/data/{SOME_ID}.zip",
        f"/account/mfa/remembered/{SOME_ID}/forget",
    }
