"""The least that is valid of an organization."""

from typing import ClassVar

import factory
from factory.django import DjangoModelFactory

from organizations.models import Membership, Organization


class OrganizationFactory(DjangoModelFactory):
    class Meta:
        model = Organization

    name: ClassVar = factory.Sequence(lambda number: f"Organization {number}")


class MembershipFactory(DjangoModelFactory):
    class Meta:
        model = Membership

    organization: ClassVar = factory.SubFactory(OrganizationFactory)
