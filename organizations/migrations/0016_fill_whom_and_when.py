"""Events said in words alone from when a date holds and whom, until when, an exemption spares."""

import re
from datetime import UTC, datetime

from django.db import migrations

BATCH = 1000
EXEMPTED = re.compile(r"(?s)(.+?): .*\((\d{4}-\d\d-\d\d)\)\Z")
ANNOUNCED = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d) UTC\Z")


def fill(apps, _schema_editor):
    event = apps.get_model("organizations", "OrganizationEvent")
    user = apps.get_model("accounts", "User")
    last = 0
    kinds = ["exempted", "exemption_ended", "mfa_announced"]
    rows = event.objects.filter(kind__in=kinds, effective_at=None, member=None).order_by("pk")
    while batch := list(rows.filter(pk__gt=last)[:BATCH]):
        for row in batch:
            read(row, user)
        event.objects.bulk_update(batch, ["effective_at", "member"])
        last = batch[-1].pk


def read(row, user):
    if row.kind == "mfa_announced":
        if found := ANNOUNCED.match(row.subject):
            row.effective_at = datetime.strptime(found[1], "%Y-%m-%d %H:%M").replace(tzinfo=UTC)
        return
    email = row.subject
    if row.kind == "exempted" and (found := EXEMPTED.match(row.subject)):
        email = found[1]
        row.effective_at = datetime.strptime(found[2], "%Y-%m-%d").replace(tzinfo=UTC)
    row.member = user.objects.filter(email=email).values_list("pk", flat=True).first()


class Migration(migrations.Migration):
    dependencies = [
        ("organizations", "0015_events_keep_whom_and_when"),
        ("accounts", "0011_mail_about"),
    ]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop, elidable=True)]
