from django.urls import URLPattern, path

from organizations.web.views import (
    accept_invitation,
    compliance,
    creation,
    environments,
    invitations,
    log,
    many_members,
    members,
    my_policies,
    organization,
    organization_settings,
    policy,
    rehearsal,
)


def _run_pages(folder: str, name: str, pages: many_members.RunPages) -> list[URLPattern]:
    """Return the pages of one kind of run over many members."""
    url, kind = f"organizations/<uuid:organization_id>/{folder}/<uuid:run_id>", {"pages": pages}
    return [
        path(url, many_members.run_page, kind, name=name),
        path(f"{url}/progress", many_members.run_progress, kind, name=f"{name}_progress"),
        path(f"{url}/stop", many_members.stop_run, kind, name=f"stop_{name}"),
    ]


app_name = "organizations"
urlpatterns = [
    path("organizations", organization.list_mine, name="list"),
    path("organizations/new", creation.create, name="create"),
    path("organizations/<uuid:organization_id>", organization.organization, name="organization"),
    path("organizations/<uuid:organization_id>/require", policy.require, name="require"),
    path("organizations/<uuid:organization_id>/stop-requiring", policy.stop_requiring, name="stop_requiring"),
    path("organizations/<uuid:organization_id>/policy", policy.options, name="policy"),
    path("organizations/<uuid:organization_id>/rehearsal", rehearsal.rehearse, name="rehearsal"),
    path("organizations/<uuid:organization_id>/exemptions", compliance.exemptions, name="exemptions"),
    path("organizations/<uuid:organization_id>/compliance", compliance.progress, name="compliance"),
    path("organizations/<uuid:organization_id>/remind", many_members.remind, name="remind"),
    path("organizations/<uuid:organization_id>/evidence", compliance.evidence, name="evidence"),
    path("organizations/<uuid:organization_id>/members", members.members, name="members"),
    path("organizations/<uuid:organization_id>/members.csv", members.members_csv, name="members_csv"),
    path("organizations/<uuid:organization_id>/members/remove", many_members.remove_many, name="remove_many"),
    path("organizations/<uuid:organization_id>/members/remind", many_members.remind_many, name="remind_many"),
    path("organizations/<uuid:organization_id>/members/exempt", many_members.exempt_many, name="exempt_many"),
    *_run_pages("removals", "removal", many_members.REMOVAL),
    *_run_pages("exemption-runs", "exemption_run", many_members.EXEMPTION),
    path("organizations/<uuid:organization_id>/members/<uuid:user_id>", members.member, name="member"),
    path("organizations/<uuid:organization_id>/members/<uuid:user_id>/role", members.set_role, name="set_role"),
    path("organizations/<uuid:organization_id>/members/<uuid:user_id>/hand-over", members.hand_over, name="hand_over"),
    path("organizations/<uuid:organization_id>/members/<uuid:user_id>/remove", members.remove, name="remove_member"),
    path("organizations/<uuid:organization_id>/members/<uuid:user_id>/exempt", members.exempt, name="exempt"),
    path("organizations/<uuid:organization_id>/invitations", invitations.invitation_list, name="invitations"),
    path(
        "organizations/<uuid:organization_id>/invitations/<uuid:invitation_id>/resend",
        invitations.resend_invitation,
        name="resend_invitation",
    ),
    path(
        "organizations/<uuid:organization_id>/invitations/<uuid:invitation_id>/withdraw",
        invitations.withdraw_invitation,
        name="withdraw_invitation",
    ),
    path("organizations/<uuid:organization_id>/leave", organization.leave, name="leave"),
    path("organizations/<uuid:organization_id>/settings", organization_settings.organization_settings, name="settings"),
    path("organizations/<uuid:organization_id>/delete", organization_settings.delete, name="delete"),
    path("organizations/<uuid:organization_id>/keep", organization_settings.keep, name="keep"),
    path("organizations/<uuid:organization_id>/log", log.log, name="log"),
    path("organizations/<uuid:organization_id>/log.csv", log.log_csv, name="log_csv"),
    path(
        "organizations/<uuid:organization_id>/members/<uuid:user_id>/reset",
        members.start_reset,
        name="assisted_reset",
    ),
    path(
        "organizations/<uuid:organization_id>/members/<uuid:user_id>/reset/cancel",
        members.cancel_reset,
        name="cancel_reset",
    ),
    path("organizations/<uuid:organization_id>/environments", environments.environment_list, name="environments"),
    path(
        "organizations/<uuid:organization_id>/environments/<uuid:environment_id>",
        environments.rename_environment,
        name="rename_environment",
    ),
    path(
        "organizations/<uuid:organization_id>/environments/<uuid:environment_id>/remove",
        environments.remove_environment,
        name="remove_environment",
    ),
    path("account/accept-invite", accept_invitation.accept_invitation, name="accept_invitation"),
    path("accept-invite", accept_invitation.accept_invitation, name="accept_invitation_of_older_clients"),
    path("account/mfa/required", my_policies.mfa_required, name="mfa_required"),
    path("account/mfa/organizations", my_policies.asked_of_me, name="asked_of_me"),
]
