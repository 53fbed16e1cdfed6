"""An operator makes an organization."""

import pytest
from django.core.management import CommandError, call_command

from organizations.models import Membership, Organization, OrganizationEvent

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("owner", ["dana", "DANA@example.com"])
def test_it_has_an_owner_from_the_start(dana, owner):
    call_command("create_organization", "Clinic", owner=owner)

    membership = Membership.objects.select_related("organization").get(user=dana)
    assert (membership.organization.name, membership.role) == ("Clinic", "owner")
    assert OrganizationEvent.objects.get().kind == "created"


@pytest.mark.parametrize(("name", "owner", "why"), [("Clinic", "nobody", "register first"), (" ", "dana", "1 to 128")])
def test_what_makes_no_sense_is_refused_in_words(dana, name, owner, why):
    with pytest.raises(CommandError, match=why):
        call_command("create_organization", name, owner=owner)

    assert not Organization.objects.exists()
