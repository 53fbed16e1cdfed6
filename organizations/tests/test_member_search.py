"""Owners find members by any part of their email or name, in any order, page after page in both directions."""

import pytest
from django.db import connection

from accounts.tests.factories import UserFactory
from mfa.models import Factor
from organizations import member_list, search_index
from organizations.models import Membership, Role
from organizations.tests.factories import MembershipFactory, OrganizationFactory
from tests.pages import text_of
from tests.signing_in import sign_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def clinic():
    return OrganizationFactory(name="Clinic")


@pytest.fixture
def owner(client, clinic, dana_with_app):
    MembershipFactory(organization=clinic, user=dana_with_app, role=Role.OWNER)
    sign_in(client, dana_with_app)
    return client


def member(clinic, email, name=""):
    user = UserFactory(email=email, name=name)
    MembershipFactory(organization=clinic, user=user)
    return user


def found(client, clinic, **query):
    return [row.email for row in client.get(f"/organizations/{clinic.pk}/members", query).context["rows"]]


@pytest.mark.parametrize("q", ["berg@lab", "LAB.EXAMPLE", "Olaf", "olaf berg", "ström lab", "rgst", "ol"])
def test_any_part_of_email_or_name_finds_a_member(owner, clinic, q):
    member(clinic, "o.berg@lab.example.org", name="Olaf Bergström")
    member(clinic, "sam@example.com", name="Sam Okafor")

    assert found(owner, clinic, q=q) == ["o.berg@lab.example.org"]


@pytest.mark.parametrize("q", ["%", "_", "o%berg", "nobody", "olaf sam"])
def test_what_is_no_part_finds_no_one(owner, clinic, q):
    member(clinic, "o.berg@lab.example.org", name="Olaf Bergström")

    assert found(owner, clinic, q=q) == []


def test_a_changed_name_or_email_is_found(owner, clinic):
    user = member(clinic, "old@example.com", name="Old Name")
    user.name, user.email = "New Surname", "fresh@example.com"
    user.save()

    assert found(owner, clinic, q="surname") == ["fresh@example.com"]
    assert found(owner, clinic, q="old") == []


def test_a_name_in_another_organization_is_not_found(owner, clinic):
    """SR-39."""
    member(OrganizationFactory(), "elsewhere@example.com", name="Olaf")

    assert found(owner, clinic, q="olaf") == []


@pytest.mark.parametrize("sort", member_list.SORTS)
@pytest.mark.parametrize("state", ["all", "missing", "off", "member"])
def test_next_and_previous_show_every_member_once_in_every_order(clinic, sort, state):
    expected = {member(clinic, f"m{number:02}@example.com").pk for number in range(23)}

    def walk(page, direction):
        seen = [page]
        while edge := getattr(page, "next" if direction == "after" else "previous"):
            page = member_list.page(clinic, state=state, sort=sort, limit=5, **{direction: edge})
            seen.append(page)
        return seen

    there = walk(member_list.page(clinic, state=state, sort=sort, limit=5), "after")
    back = walk(there[-1], "before")

    column, is_descending = member_list.SORTS[sort]
    order = [row.user_id for row in Membership.objects.order_by(f"-{column}" if is_descending else column)]
    assert [row.user_id for page in there for row in page.rows] == order
    assert set(order) == expected
    assert {row.user_id for page in back for row in page.rows} == expected
    assert there[0].previous == ""
    assert there[-1].next == ""


@pytest.mark.parametrize("query", ["?sort=newest&after=x", "?sort=nonsense", "?before=%20", "?sort=oldest&before=-1",
                                   "?sort=newest&after=" + "9" * 40, "?q=" + "a " * 200])  # fmt: skip
def test_strange_queries_are_answered(owner, clinic, query):
    assert owner.get(f"/organizations/{clinic.pk}/members{query}").status_code == 200


def test_the_page_offers_previous_and_keeps_the_filter(owner, clinic):
    for number in range(30):
        member(clinic, f"m{number:02}@example.com")
    first = owner.get(f"/organizations/{clinic.pk}/members?q=example&sort=-email")

    second = owner.get(f"/organizations/{clinic.pk}/members?q=example&sort=-email&after={first.context['page'].next}")

    assert "Previous" not in text_of(first)
    assert "First page Previous" in text_of(second)
    assert "q=example&amp;sort=-email&amp;before=" in second.content.decode()


@pytest.mark.postgresql
def test_a_role_that_may_not_create_extensions_goes_without_the_index(clinic):
    """The migration succeeds, and a search finds the same."""
    member(clinic, "o.berg@lab.example.org")
    with connection.cursor() as cursor:
        cursor.execute("DROP EXTENSION IF EXISTS pg_trgm CASCADE")
        cursor.execute("CREATE ROLE visitor")
        cursor.execute("SET LOCAL ROLE visitor")
        assert search_index.create(connection, search_index.MEMBERS) is False
        cursor.execute("RESET ROLE")

    assert [row.email_key for row in member_list.matching(clinic, search="berg")] == ["o.berg@lab.example.org"]


@pytest.mark.postgresql
def test_the_index_is_created_and_dropped():
    assert search_index.create(connection, search_index.MEMBERS) is True
    assert search_index.create(connection, search_index.MEMBERS) is True
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexdef FROM pg_indexes WHERE indexname = %s", list(search_index.MEMBERS))
        assert "gin_trgm_ops" in cursor.fetchone()[0]
    search_index.drop(connection, search_index.MEMBERS)


def test_the_csv_file_has_the_members_of_the_list(owner, clinic, dana_with_app):
    """All of them, or those whom a search or a state has narrowed it down to."""
    member(clinic, "sam@example.com")
    member(clinic, "zoe@example.com")
    url = f"/organizations/{clinic.pk}/members"

    def emails(query=""):
        rows = b"".join(owner.get(f"{url}.csv{query}").streaming_content).decode().splitlines()[1:]
        return [row.split(",")[0].strip('"') for row in rows]

    assert emails() == [dana_with_app.email, "sam@example.com", "zoe@example.com"]
    rows = b"".join(owner.get(f"{url}.csv").streaming_content).decode().splitlines()
    since = Factor.objects.get().created_at.isoformat(timespec="seconds")
    assert [row.split(",")[-1].strip('"') for row in rows] == ["MFA at least since", since, "", ""]
    assert emails("?mfa=missing") == ["sam@example.com", "zoe@example.com"]
    assert emails("?q=zoe&sort=-email") == ["zoe@example.com"]
    assert f'{url}.csv?mfa=missing"' in owner.get(url, {"mfa": "missing"}).content.decode()


def test_an_owner_without_mfa_reads_so_before_the_rules_are_filled_in(client, clinic, dana):
    """SR-40."""
    MembershipFactory(organization=clinic, user=dana, role=Role.OWNER)
    sign_in(client, dana)

    page = client.get(f"/organizations/{clinic.pk}/policy")

    assert "Your own account does not meet this policy yet. Activate multi-factor authentication" in text_of(page)
    assert f"next=/organizations/{clinic.pk}" in page.content.decode().replace("%2F", "/")
