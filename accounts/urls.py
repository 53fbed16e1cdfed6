from django.urls import path

from accounts import views

app_name = "accounts"
urlpatterns = [
    path("", views.dashboard, name="dashboard"),
    path("/login", views.login, name="login"),
    path("/logout", views.logout, name="logout"),
    path("/not-me/<str:token>", views.not_me, name="not_me"),
    path("/register", views.register, name="register"),
    path("/verify-email", views.verify_email, name="verify_email"),
    path("/verify-email/resend", views.verify_email_resend, name="verify_email_resend"),
    path("/password/reset", views.password_reset, name="password_reset"),
    path("/password/reset/complete", views.password_reset_complete, name="password_reset_complete"),
    path("/password/change", views.password_change, name="password_change"),
    path("/view", views.settings, name="settings"),
    path("/security-log", views.security_log_page, name="security_log"),
    path("/security-log.csv", views.security_log_csv, name="security_log_csv"),
    path("/sessions", views.sessions_page, name="sessions"),
    path("/sessions/<uuid:public_id>/end", views.end_session, name="end_session"),
    path("/sessions/end-others", views.end_other_sessions, name="end_other_sessions"),
    path("/keys/<uuid:key_id>/remove", views.remove_key, name="remove_key"),
    path("/profile", views.profile_edit, name="profile_edit"),
]
