"""The least that is valid of an organization."""

from typing import ClassVar

import factory
from factory.django import DjangoModelFactory

from accounts.models import User
from accounts.tests.factories import UserFactory
from mfa.tests.factories import add_mode
from organizations.models import Membership, Organization, Role


class OrganizationFactory(DjangoModelFactory):
    class Meta:
        model = Organization

    name: ClassVar = factory.Sequence(lambda number: f"Organization {number}")


class MembershipFactory(DjangoModelFactory):
    class Meta:
        model = Membership

    organization: ClassVar = factory.SubFactory(OrganizationFactory)


def person(
    organization: Organization, who: str, role: str = Role.MEMBER, *, mode: str | None = None, **fields: str
) -> User:
    """Make a member with one mode or none. ``who`` is the first part of the email; ``fields`` are of the user."""
    user = UserFactory(email=f"{who}@example.com", **fields)
    if mode:
        add_mode(user, mode)
    MembershipFactory(organization=organization, user=user, role=role)
    return user
