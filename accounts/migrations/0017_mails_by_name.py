from django.db import migrations

NAMES = {
    "mfa.send_one_time_password": "mfa.one_time_password",
    "mfa.ask_to_confirm_reset": "mfa.confirm_reset",
    "mfa.tell_reset_ready": "mfa.reset_ready",
    "organizations.send_invitation": "organizations.invitation",
    "organizations.send_reminder": "organizations.reminder",
    "organizations.tell_of_policy": "organizations.owners_notice",
    "accounts.tell_old_address": "accounts.email_changed",
    "accounts.tell_address_taken": "accounts.email_taken",
    "accounts.send_mailbox_code": "accounts.verification_code",
    "accounts.tell_of_event": "accounts.security_notice",
}
BATCH = 5000


def rename(apps, names) -> None:
    mails = apps.get_model("accounts", "Mail").objects
    for old, new in names.items():
        while ids := list(mails.filter(task=old).values_list("pk", flat=True)[:BATCH]):
            mails.filter(pk__in=ids).update(task=new)


class Migration(migrations.Migration):
    """A mail is named after the function that composes it."""

    dependencies = [("accounts", "0016_rename_to_fields_terms")]
    operations = [
        migrations.RunPython(
            lambda apps, _schema: rename(apps, NAMES),
            lambda apps, _schema: rename(apps, {new: old for old, new in NAMES.items()}),
        )
    ]
