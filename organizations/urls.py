from django.urls import path

from organizations import views

app_name = "organizations"
urlpatterns = [
    path("organizations", views.list_mine, name="list"),
    path("organizations/<uuid:organization_id>", views.organization, name="organization"),
    path("organizations/<uuid:organization_id>/require", views.require, name="require"),
    path("organizations/<uuid:organization_id>/stop-requiring", views.stop_requiring, name="stop_requiring"),
    path("organizations/<uuid:organization_id>/leave", views.leave, name="leave"),
    path("account/mfa/required", views.mfa_required, name="mfa_required"),
]
