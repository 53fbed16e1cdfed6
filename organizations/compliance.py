"""Compliance over time: how many members met the policy each day, and when it was in force, for auditors."""

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from uuid import UUID

from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from organizations import member_counts
from organizations.models import UNTIL, ComplianceDay, EventKind, Organization, OrganizationEvent, in_words

MAX_DAYS_SHOWN = 90
BATCH = 500
# What the evidence sheet quotes. These events stay for as long as their organization (``event_retention``).
EVIDENCE = (
    EventKind.MFA_REQUIRED, EventKind.MFA_ANNOUNCED, EventKind.MFA_WITHDRAWN, EventKind.MFA_NOT_REQUIRED,
    EventKind.ACCEPTED_MODES,
    EventKind.EXEMPTED, EventKind.MANY_EXEMPTED, EventKind.EXEMPTION_ENDED,
    EventKind.REMEMBERING_FORBIDDEN, EventKind.REMEMBERING_ALLOWED,
)  # fmt: skip
TIME_FORMAT = "%Y-%m-%d %H:%M UTC"  # of times in the subject of an event


def note_day() -> int:
    """Save today's counts of every organization that has none yet, in batches. Return the number of rows saved."""
    today, count, last = timezone.now().date(), 0, None
    noted = ComplianceDay.objects.filter(organization=OuterRef("pk"), day=today)
    organizations = Organization.objects.filter(~Exists(noted), deleted_at=None).order_by("pk")
    while batch := list((organizations.filter(pk__gt=last) if last else organizations)[:BATCH]):
        last = batch[-1].pk
        counts = member_counts.of_many(batch)
        days = [_counted(organization, today, counts[organization.pk]) for organization in batch]
        count += len(ComplianceDay.objects.bulk_create(days, ignore_conflicts=True))
    return count


def _counted(organization: Organization, day: date, counts: member_counts.Counts) -> ComplianceDay:
    return ComplianceDay(organization=organization, day=day, members=counts.asked, ready=counts.ready)


def days(organization: Organization, now: member_counts.Counts) -> list[ComplianceDay]:
    """Return the counts of the last ``MAX_DAYS_SHOWN`` days, oldest first, with ``now`` for today. One query."""
    today = timezone.now().date()
    since = today - timedelta(days=MAX_DAYS_SHOWN)
    noted = ComplianceDay.objects.filter(organization=organization, day__gte=since, day__lt=today).order_by("day")
    return [*noted, _counted(organization, today, now)]


@dataclass(frozen=True)
class Exemption:
    """A time during which a member was exempt; ``until`` is when the exemption ended or will end."""

    subject: str  # of its event: email, reason and a date
    since: datetime
    until: datetime

    @property
    def what(self) -> str:
        """Return email and reason, without the date."""
        return in_words(UNTIL.sub("", self.subject))


@dataclass(frozen=True)
class Period:
    """A time during which MFA was required without a break; ``until`` is None if it still is."""

    since: datetime
    until: datetime | None

    @property
    def is_brief(self) -> bool:
        """Return whether the period lasted less than a minute, which times in minutes do not show."""
        return self.until is not None and self.until - self.since < timedelta(minutes=1)

    def within(self, exemptions: list[Exemption]) -> list[Exemption]:
        """Return the exemptions that overlap this period."""
        return [one for one in exemptions if one.until > self.since and (self.until is None or one.since < self.until)]


def periods(organization: Organization) -> list[Period]:
    """Return the periods in which MFA was required, oldest first, from the security log. One query."""
    found: list[Period] = []
    since: datetime | None = None
    ends = (EventKind.MFA_NOT_REQUIRED, EventKind.MFA_WITHDRAWN)
    kinds = (EventKind.MFA_REQUIRED, EventKind.MFA_ANNOUNCED, *ends)
    for event in OrganizationEvent.objects.filter(organization=organization, kind__in=kinds).order_by("at", "pk"):
        if event.kind in ends:
            if since and since < event.at:
                found.append(Period(since, event.at))
            since = None
        elif event.kind == EventKind.MFA_REQUIRED:
            since = event.at
        else:
            since = event.effective_at
    if since and since <= timezone.now():
        found.append(Period(since, None))
    return found


def exemptions(organization: Organization) -> list[Exemption]:
    """Return all exemptions, oldest first, from the security log. One query."""
    found: list[Exemption] = []
    running: dict[UUID | None, Exemption] = {}
    kinds = (EventKind.EXEMPTED, EventKind.EXEMPTION_ENDED)
    events = OrganizationEvent.objects.filter(organization=organization, kind__in=kinds).order_by("at", "pk")
    # A run over many members writes an event for each.
    for kind, member, subject, at, until in events.values_list("kind", "member", "subject", "at", "effective_at"):
        if earlier := running.pop(member, None):
            found.append(replace(earlier, until=min(earlier.until, at)))
        if kind == EventKind.EXEMPTED:
            running[member] = Exemption(subject, at, until or at)
    return sorted([*found, *running.values()], key=lambda one: one.since)


def changes(organization: Organization) -> QuerySet[OrganizationEvent]:
    """Return the events that changed the policy or an exemption, newest first."""
    events = OrganizationEvent.objects.filter(organization=organization, kind__in=EVIDENCE)
    return events.order_by("-at", "-pk")


@dataclass(frozen=True)
class Point:
    """A day of the chart: where its point is, and the strip over which a pointer finds it. In SVG units."""

    day: ComplianceDay
    x: str
    y: str
    left: str
    width: str


@dataclass(frozen=True)
class Chart:
    """A line chart of percentages as SVG paths, ``WIDTH`` by ``HEIGHT`` units."""

    WIDTH = 600
    HEIGHT = 160

    line: str
    area: str
    points: list[Point]
    first: date
    last: date
    percent: int


def chart(shown: list[ComplianceDay]) -> Chart:
    """Return a chart of the share of members who meet the policy, day by day. ``shown`` must not be empty."""
    first, last = shown[0].day, shown[-1].day
    span = max((last - first).days, 1)

    def point(day: ComplianceDay) -> Point:
        x = Chart.WIDTH * (day.day - first).days / span if len(shown) > 1 else Chart.WIDTH
        width = Chart.WIDTH / span
        y = Chart.HEIGHT * (1 - day.share)
        return Point(day=day, x=f"{x:.1f}", y=f"{y:.1f}", left=f"{x - width / 2:.1f}", width=f"{width:.1f}")

    points = [point(day) for day in shown]
    places = [f"{one.x} {one.y}" for one in points]
    if len(shown) == 1:
        places.insert(0, f"0.0 {points[0].y}")
    line = "M" + " L".join(places)
    area = f"{line} L{Chart.WIDTH} {Chart.HEIGHT} L0 {Chart.HEIGHT} Z"
    return Chart(line=line, area=area, points=points, first=first, last=last, percent=shown[-1].percent)
