from django.urls import path

from organizations.views import members, pages, policy

app_name = "organizations"
urlpatterns = [
    path("organizations", pages.list_mine, name="list"),
    path("organizations/<uuid:organization_id>", pages.organization, name="organization"),
    path("organizations/<uuid:organization_id>/require", policy.require, name="require"),
    path("organizations/<uuid:organization_id>/stop-requiring", policy.stop_requiring, name="stop_requiring"),
    path("organizations/<uuid:organization_id>/policy", policy.options, name="policy"),
    path("organizations/<uuid:organization_id>/rehearsal", policy.rehearse, name="rehearsal"),
    path("organizations/<uuid:organization_id>/exemptions", policy.exemptions, name="exemptions"),
    path("organizations/<uuid:organization_id>/compliance", policy.compliance_page, name="compliance"),
    path("organizations/<uuid:organization_id>/remind", policy.remind, name="remind"),
    path("organizations/<uuid:organization_id>/evidence", policy.evidence, name="evidence"),
    path("organizations/<uuid:organization_id>/members", members.member_list, name="members"),
    path("organizations/<uuid:organization_id>/members.csv", members.members_csv, name="members_csv"),
    path("organizations/<uuid:organization_id>/members/<uuid:user_id>", members.member, name="member"),
    path("organizations/<uuid:organization_id>/members/<uuid:user_id>/role", members.set_role, name="set_role"),
    path("organizations/<uuid:organization_id>/members/<uuid:user_id>/hand-over", members.hand_over, name="hand_over"),
    path("organizations/<uuid:organization_id>/members/<uuid:user_id>/remove", members.remove, name="remove_member"),
    path("organizations/<uuid:organization_id>/members/<uuid:user_id>/exempt", members.exempt, name="exempt"),
    path("organizations/<uuid:organization_id>/invitations", members.invitation_list, name="invitations"),
    path(
        "organizations/<uuid:organization_id>/invitations/<uuid:invitation_id>/resend",
        members.resend_invitation,
        name="resend_invitation",
    ),
    path(
        "organizations/<uuid:organization_id>/invitations/<uuid:invitation_id>/withdraw",
        members.withdraw_invitation,
        name="withdraw_invitation",
    ),
    path("organizations/<uuid:organization_id>/leave", pages.leave, name="leave"),
    path("organizations/<uuid:organization_id>/log", pages.log, name="log"),
    path("organizations/<uuid:organization_id>/log.csv", pages.log_csv, name="log_csv"),
    path(
        "organizations/<uuid:organization_id>/members/<uuid:user_id>/reset",
        members.assisted_reset,
        name="assisted_reset",
    ),
    path("organizations/<uuid:organization_id>/environments", pages.environment_list, name="environments"),
    path(
        "organizations/<uuid:organization_id>/environments/<uuid:environment_id>",
        pages.rename_environment,
        name="rename_environment",
    ),
    path(
        "organizations/<uuid:organization_id>/environments/<uuid:environment_id>/remove",
        pages.remove_environment,
        name="remove_environment",
    ),
    path("account/accept-invite", pages.accept_invitation, name="accept_invitation"),
    path("accept-invite", pages.accept_invitation, name="accept_invitation_of_older_clients"),
    path("account/mfa/required", policy.mfa_required, name="mfa_required"),
    path("account/mfa/organizations", policy.asked_of_me, name="asked_of_me"),
]
