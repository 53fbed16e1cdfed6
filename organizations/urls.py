from django.urls import path

from organizations import views

app_name = "organizations"
urlpatterns = [
    path("organizations", views.list_mine, name="list"),
    path("organizations/<uuid:organization_id>", views.organization, name="organization"),
    path("organizations/<uuid:organization_id>/require", views.require, name="require"),
    path("organizations/<uuid:organization_id>/stop-requiring", views.stop_requiring, name="stop_requiring"),
    path("organizations/<uuid:organization_id>/leave", views.leave, name="leave"),
    path("organizations/<uuid:organization_id>/log", views.log, name="log"),
    path(
        "organizations/<uuid:organization_id>/members/<uuid:user_id>/reset",
        views.assisted_reset,
        name="assisted_reset",
    ),
    path("organizations/<uuid:organization_id>/environments", views.environment_list, name="environments"),
    path(
        "organizations/<uuid:organization_id>/environments/<uuid:environment_id>",
        views.rename_environment,
        name="rename_environment",
    ),
    path(
        "organizations/<uuid:organization_id>/environments/<uuid:environment_id>/remove",
        views.remove_environment,
        name="remove_environment",
    ),
    path("account/accept-invite", views.accept_invitation, name="accept_invitation"),
    path("accept-invite", views.accept_invitation, name="accept_invitation_of_older_clients"),
    path("account/mfa/required", views.mfa_required, name="mfa_required"),
]
