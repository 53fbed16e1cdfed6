"""Lists and counts of members follow what happens to people, exactly, whatever does it."""

from itertools import permutations
from types import SimpleNamespace

import pytest
from django.db import connection
from django.db.models import Count
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import User
from accounts.tests.factories import UserFactory
from mfa import modes
from mfa.models import Factor
from mfa.tests.factories import add_mode
from organizations import triggers
from organizations.models import MemberCount, Membership, Organization
from organizations.tests.factories import MembershipFactory, OrganizationFactory
from tests.shortcuts import examples

pytestmark = pytest.mark.django_db


def check() -> None:
    for membership in Membership.objects.select_related("user"):
        factors = Factor.objects.filter(user=membership.user).order_by("mode").values_list("mode", flat=True)
        assert membership.user.enabled_modes == " ".join(factors)
        assert membership.modes == membership.user.enabled_modes
        assert membership.email_key == membership.user.email_key
    real = Membership.objects.order_by().values_list("organization", "modes").annotate(number=Count("pk"))
    kept = MemberCount.objects.filter(count__gt=0).values_list("organization", "modes", "count")
    assert sorted(map(str, kept)) == sorted(map(str, real))
    assert not MemberCount.objects.filter(count__lt=0).exists()


def test_a_factor_that_goes_by_any_way_is_gone_from_the_count(dana_with_both):
    """SR-42: also when support or a command deletes the row."""
    membership = MembershipFactory(user=dana_with_both)
    assert Membership.objects.get().modes == "authenticator email"

    Factor.objects.filter(user=dana_with_both, mode="email")._raw_delete("default")

    assert Membership.objects.get().modes == "authenticator"
    assert MemberCount.objects.get(organization=membership.organization, modes="authenticator").count == 1
    check()


@pytest.mark.parametrize("order", list(permutations(["membercount", "factor", "membership", "organization", "user"])))
def test_the_tables_can_be_emptied_in_any_order(dana_with_both, order):
    """`flush` does so on SQLite, and the triggers run meanwhile."""
    MembershipFactory(user=dana_with_both)
    names = {
        "membercount": MemberCount, "factor": Factor, "membership": Membership, "organization": Organization,
        "user": User,
    }  # fmt: skip
    with connection.cursor() as cursor:
        if connection.vendor != "sqlite":
            cursor.execute("SET CONSTRAINTS ALL DEFERRED")
        for name in order:
            cursor.execute(f"DELETE FROM {names[name]._meta.db_table}")

    connection.check_constraints()


def test_an_old_copy_of_a_user_does_not_overwrite_it(dana):
    old = User.objects.get(pk=dana.pk)
    add_mode(dana, "email")

    old.name = "Dana R."
    old.save()

    assert User.objects.get(pk=dana.pk).modes == {"email"}


ACTIONS = st.tuples(
    st.sampled_from(["join", "leave", "enable", "disable", "rename", "delete user"]),
    st.integers(0, 2),
    st.integers(0, 1),
    st.sampled_from(sorted(modes.ALL)),
)


@settings(max_examples=examples(40), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(ACTIONS, max_size=20))
def test_whatever_happens_the_counts_are_right(actions):
    User.objects.all().delete()
    MemberCount.objects.all().delete()
    users = [UserFactory() for _number in range(3)]
    organizations = [OrganizationFactory() for _number in range(2)]
    for number, (action, who, where, mode) in enumerate(actions):
        user, organization = users[who], organizations[where]
        if action == "join" and not Membership.objects.filter(user=user, organization=organization).exists():
            MembershipFactory(user=user, organization=organization)
        elif action == "leave":
            Membership.objects.filter(user=user, organization=organization).delete()
        elif action == "enable" and not Factor.objects.filter(user=user, mode=mode).exists():
            add_mode(user, mode)
        elif action == "disable":
            Factor.objects.filter(user=user, mode=mode).delete()
        elif action == "rename":
            user.email = f"another{number}@example.com"
            user.save(update_fields=["email"])
        elif action == "delete user":
            User.objects.filter(pk=user.pk).delete()
            users[who] = UserFactory()
        check()


def test_reversing_a_migration_of_organizations_removes_their_triggers():
    ours, theirs = SimpleNamespace(app_label="organizations"), SimpleNamespace(app_label="mfa")
    triggers.remove_before_reversal(using="default", plan=[(ours, False), (theirs, True)])
    first = MembershipFactory(user=UserFactory())
    assert MemberCount.objects.get(organization=first.organization).count == 1

    triggers.remove_before_reversal(using="default", plan=[(theirs, True), (ours, True)])
    second = MembershipFactory(user=UserFactory())
    assert not MemberCount.objects.filter(organization=second.organization).exists()

    triggers.install(using="default")
    third = MembershipFactory(user=UserFactory())
    assert MemberCount.objects.get(organization=third.organization).count == 1
