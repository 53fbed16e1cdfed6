"""Environments: what an organization runs on a pod."""

from dataclasses import dataclass
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _

from accounts.models import Channel, User
from accounts.refusals import Refused
from accounts.security_log import Origin
from organizations import membership, policy, rehearsal
from organizations.models import Environment, EventKind, Membership, Organization, Pod


class NoSuchEnvironment(Refused):
    """Unknown, or of an organization to which the user does not belong: the answer is the same (SR-39)."""

    message = _("There is no such environment, or you are not a member of its organization.")


class NoServices(Refused):
    """The portal manages accounts and does not know what runs in an environment."""

    message = _(
        "This portal manages accounts and organizations. It does not serve the services, metrics or images of an "
        "environment."
    )


class RenamedElsewhere(Refused):
    """Environments are renamed only on the organization's page."""

    message = _("An owner of the organization can rename environments in the browser.")


class NameTaken(Refused):
    """The organization has another environment with this name."""

    message = _("This organization already has an environment with this name.")


def pods() -> QuerySet[Pod]:
    """Return all pods, ordered by name."""
    return Pod.objects.order_by("name")


def of_organization(organization: Organization) -> QuerySet[Environment]:
    """Return the environments of an organization, ordered by name."""
    return Environment.objects.filter(organization=organization).select_related("pod").order_by("name")


@dataclass(frozen=True)
class Listed:
    """An environment of a user's organization; ``is_closed`` if the organization's policy is not met."""

    environment: Environment
    is_closed: bool


def of_user(user: User, *, pod: str = "", proved: frozenset[str], channel: Channel, origin: Origin) -> list[Listed]:
    """Return the environments of a user's organizations, ordered by name, closed ones too (SR-41).

    A closed environment is listed with its name: without it, the client would offer another environment instead of
    showing why the command is refused. ``pod`` is the name of one pod, or blank for all. ``proved`` are the modes
    that proved the token (SR-60). Rehearsals record what they would block with ``channel`` and ``origin``.
    """
    status = policy.status_of(user, proved=proved)
    for organization in status.rehearsing:
        rehearsal.note(organization, user, channel, origin)
    closed = {organization.pk for organization in (*status.blocking, *status.asking)}
    mine = Membership.objects.filter(user=user).values("organization")
    on_pod = Q(pod__name=pod) if pod else Q()
    rows = Environment.objects.filter(on_pod, organization__in=mine).order_by("name", "pk")
    return [Listed(row, is_closed=row.organization_id in closed) for row in rows]


def find(user: User, environment_id: UUID, *, proved: frozenset[str], channel: Channel, origin: Origin) -> Environment:
    """Return an environment of a user's organization. ``proved`` are the modes that proved the token.

    Raise ``NoSuchEnvironment``, ``MfaMissing`` or ``ModeNotProved``.
    """
    environment = Environment.objects.filter(pk=environment_id).first()
    if environment is None:
        raise NoSuchEnvironment
    try:
        policy.authorize(user, environment.organization_id, proved=proved, channel=channel, origin=origin)
    except membership.OrganizationNotFound:
        raise NoSuchEnvironment from None
    return environment


def create(owner: Membership, *, name: str, pod: Pod, origin: Origin) -> Environment:
    """Create an environment. Raise ``NameTaken``."""
    try:
        with transaction.atomic():
            environment = Environment.objects.create(organization=owner.organization, name=name, pod=pod)
            membership.record(owner.organization, owner.user, EventKind.ENVIRONMENT_CREATED, origin, subject=name)
    except IntegrityError:
        raise NameTaken from None
    return environment


def rename(owner: Membership, environment: Environment, *, name: str, origin: Origin) -> None:
    """Rename an environment. Raise ``NameTaken``."""
    try:
        with transaction.atomic():
            Environment.objects.filter(pk=environment.pk).update(name=name)
            subject = f"{environment.name} → {name}"
            membership.record(owner.organization, owner.user, EventKind.ENVIRONMENT_RENAMED, origin, subject=subject)
    except IntegrityError:
        raise NameTaken from None


def remove(owner: Membership, environment: Environment, origin: Origin) -> None:
    """Delete an environment from the portal. What runs on the pod is not affected."""
    with transaction.atomic():
        Environment.objects.filter(pk=environment.pk).delete()
        membership.record(
            owner.organization, owner.user, EventKind.ENVIRONMENT_REMOVED, origin, subject=environment.name
        )
