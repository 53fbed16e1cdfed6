"""Owners and admins read the organization's security log: all of it, or what concerns a person, a kind or some days."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.utils import translation

from accounts.tests.factories import UserFactory
from mfa.tests.factories import add_mode
from organizations import models, search_index
from organizations.models import EventKind, OrganizationEvent, Role
from organizations.tests.factories import MembershipFactory, OrganizationFactory
from tests.pages import text_of
from tests.signing_in import sign_in

pytestmark = pytest.mark.django_db

MAY = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def clinic():
    return OrganizationFactory(name="Clinic")


@pytest.fixture
def olaf(clinic):
    user = UserFactory(email="olaf@example.com")
    add_mode(user, "authenticator")
    MembershipFactory(organization=clinic, user=user, role=Role.OWNER)
    return user


@pytest.fixture
def owner(client, olaf):
    sign_in(client, olaf)
    return client


def happened(clinic, subject, *, kind="invited", by="olaf@example.com", day=0, **fields):
    at = MAY + timedelta(days=day)
    return OrganizationEvent.objects.create(
        organization=clinic, kind=kind, subject=subject, actor_email=by, at=at, **fields
    )


def subjects(client, clinic, **query):
    return [row.subject for row in client.get(f"/organizations/{clinic.pk}/log", query).context["page"].rows]


class TestFilter:
    def test_by_any_part_of_the_address_of_whom_it_is_about_or_who_did_it(self, owner, clinic):
        happened(clinic, "mia.berg@example.com: admin", kind="role_changed")
        happened(clinic, "no@example.com")
        happened(clinic, "no@example.com", by="Mia.Berg@example.com", day=1)

        assert subjects(owner, clinic, person="BERG") == ["no@example.com", "mia.berg@example.com: admin"]
        assert subjects(owner, clinic, person="mi") == ["no@example.com", "mia.berg@example.com: admin"]
        assert subjects(owner, clinic, person="er") == []

    def test_by_a_member_whose_address_has_changed_since(self, owner, clinic):
        mia = UserFactory(email="mia@new.example.com")
        MembershipFactory(organization=clinic, user=mia)
        happened(clinic, "mia@old.example.com: reason", kind="exempted", member=mia.pk)
        happened(clinic, "x@example.com", by="mia@old.example.com", actor=mia, day=1)

        assert subjects(owner, clinic, person="mia@new.example.com") == ["x@example.com", "mia@old.example.com: reason"]

    def test_the_address_of_another_account_tells_nothing_of_its_earlier_ones(self, owner, clinic):
        """SR-39: only of present members, whose address managers see anyway."""
        left = UserFactory(email="left@new.example.com")
        happened(clinic, "x@example.com", by="left@old.example.com", actor=left)

        assert subjects(owner, clinic, person="left@new.example.com") == []

    def test_by_kind_and_days(self, owner, clinic):
        for day in range(4):
            happened(clinic, f"day {day}", day=day)
        happened(clinic, "joined", kind="joined", day=1)

        assert subjects(owner, clinic, kind="invited", since="2026-05-02", until="2026-05-03") == ["day 2", "day 1"]
        assert subjects(owner, clinic, kind="joined") == ["joined"]

    @pytest.mark.parametrize(
        "query",
        [{"kind": "no-such"}, {"since": "soon"}, {"until": "9999-12-31"}, {"person": "x" * 300}],
    )
    def test_what_is_no_filter_limits_nothing(self, owner, clinic, query):
        happened(clinic, "x")

        answer = owner.get(f"/organizations/{clinic.pk}/log", query)

        assert answer.status_code == 200
        assert [row.subject for row in answer.context["page"].rows] == ["x"]

    def test_nothing_found_says_so_and_leads_back(self, owner, clinic):
        page = text_of(owner.get(f"/organizations/{clinic.pk}/log?person=berg"))

        assert "No event matches your filter." in page
        assert "Show all events" in page

    def test_the_file_holds_what_the_filter_selects(self, owner, clinic):
        happened(clinic, "mia@example.com")
        happened(clinic, "ann@example.com")
        page = owner.get(f"/organizations/{clinic.pk}/log?person=mia&kind=invited").content.decode()
        assert "log.csv?person=mia&amp;kind=invited" in page

        answer = owner.get(f"/organizations/{clinic.pk}/log.csv?person=mia&kind=invited")

        lines = b"".join(answer.streaming_content).decode().splitlines()
        assert [line.split(",")[2] for line in lines[1:]] == ["mia@example.com"]

    def test_the_page_of_a_member_leads_to_the_events_of_that_member(self, owner, clinic):
        mia = UserFactory(email="mia+1@example.com")
        MembershipFactory(organization=clinic, user=mia)

        page = owner.get(f"/organizations/{clinic.pk}/members/{mia.pk}").content.decode()

        assert f"/organizations/{clinic.pk}/log?person=mia%2B1%40example.com" in page

    def test_another_organizations_events_are_never_shown(self, owner, clinic):
        """SR-39."""
        happened(OrganizationFactory(), "mia@example.com")

        assert subjects(owner, clinic, person="mia") == []


class TestPages:
    def test_they_lead_forth_and_back_and_keep_the_filter(self, owner, clinic):
        for number in range(120):  # ten at the same moment: the order is by number then
            happened(clinic, f"mia{number:03}", day=number // 10)
            happened(clinic, "other", day=number // 10)
        expected = [f"mia{number:03}" for number in reversed(range(120))]

        first = owner.get(f"/organizations/{clinic.pk}/log", {"person": "mia"}).context["page"]
        second = owner.get(f"/organizations/{clinic.pk}/log", {"person": "mia", "after": first.next}).context["page"]
        third = owner.get(f"/organizations/{clinic.pk}/log", {"person": "mia", "after": second.next}).context["page"]
        back = owner.get(f"/organizations/{clinic.pk}/log", {"person": "mia", "before": third.previous}).context["page"]

        assert [row.subject for page in (first, second, third) for row in page.rows] == expected
        assert back.rows == second.rows
        assert (first.previous, third.next) == ("", "")

    @pytest.mark.parametrize(
        "after", ["x", "_1", "2026-99-01T00:00:00Z_1", "2026-05-01T00:00:00_1", "2026_" + "9" * 30]
    )
    def test_a_place_that_is_none_is_the_first_page(self, owner, clinic, after):
        happened(clinic, "x")

        assert subjects(owner, clinic, after=after) == ["x"]

    def test_a_page_costs_the_same_however_many(self, owner, clinic, django_assert_max_num_queries):
        for number in range(120):
            happened(clinic, f"mia{number:03}", day=number)

        with django_assert_max_num_queries(7):
            assert len(subjects(owner, clinic, kind="invited", person="mia@example.com", since="2026-05-02")) == 0
        with django_assert_max_num_queries(7):
            assert len(subjects(owner, clinic, kind="invited", person="mia", since="2026-05-02")) == 50


@pytest.mark.postgresql
def test_postgresql_has_an_index_for_parts_of_addresses():
    assert search_index.create(connection, search_index.EVENTS) is True
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(
            "EXPLAIN SELECT id FROM organizations_organizationevent "
            "WHERE upper(subject) LIKE '%BERG%' OR upper(actor_email) LIKE '%BERG%'"
        )
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "organization_events_by_subject" in plan
    assert "organization_events_by_actor" in plan


@pytest.mark.parametrize(
    ("subject", "words"),
    [
        ("1 member would have been blocked", "1 Mitglied wäre ausgesperrt worden"),
        ("3 members would have been blocked", "3 Mitglieder wären ausgesperrt worden"),
        ("bot@example.com: builds (until 2026-12-24)", "bot@example.com: builds (bis 24.12.2026)"),
        ("the 99th (until 2026-99-99)", "the 99th (bis 2026-99-99)"),
        ("2026-12-24 09:30 UTC", "24.12.2026 09:30 UTC"),
        ("dana@example.com: owner", "dana@example.com: Eigentümer"),
        ("dana@example.com: lost as owner", "dana@example.com: lost as owner"),
        ("says (until 2026-12-24) twice", "says (until 2026-12-24) twice"),
    ],
)
def test_what_is_kept_in_english_is_read_in_my_language(subject, words):
    with translation.override("de"):
        assert models.in_words(subject) == words


@pytest.mark.parametrize(
    ("kept", "words"), [("any mode", "jedes Verfahren"), ("a mode of long ago", "a mode of long ago")]
)
def test_accepted_modes_are_read_in_my_language(kept, words):
    event = OrganizationEvent(kind=EventKind.ACCEPTED_MODES, subject=kept)

    with translation.override("de"):
        assert event.subject_in_words == words
