from django.urls import path

from accounts.web.access import all_work_while_blocked, works_during_assisted_reset
from accounts.web.views import (
    account_deletion,
    account_settings,
    data_export,
    email_change,
    language,
    mail_progress,
    notices,
    passwords,
    registration,
    sessions,
    signing_in,
)

app_name = "accounts"
urlpatterns = [
    path("", account_settings.dashboard, name="dashboard"),
    *all_work_while_blocked(
        [
            path("/login", signing_in.login, name="login"),
            path("/logout", signing_in.logout, name="logout"),
            path("/mail/<str:token>", mail_progress.progress, name="mail_progress"),
            path("/not-me/<str:token>", signing_in.not_me, name="not_me"),
            path("/register", registration.register, name="register"),
            path("/verify-email", registration.verify_email, name="verify_email"),
            path("/verify-email/resend", registration.verify_email_resend, name="verify_email_resend"),
            path("/password/reset", passwords.password_reset, name="password_reset"),
            path("/password/reset/complete", passwords.password_reset_complete, name="password_reset_complete"),
            path("/password/change", passwords.password_change, name="password_change"),
            path("/view", account_settings.settings, name="settings"),
            path("/security-log", sessions.security_log_page, name="security_log"),
            path("/security-log.csv", sessions.security_log_csv, name="security_log_csv"),
            path("/sessions", sessions.sessions_page, name="sessions"),
            path("/sessions/<uuid:public_id>/end", sessions.end_session, name="end_session"),
            path("/sessions/end-others", sessions.end_other_sessions, name="end_other_sessions"),
            path("/keys/<uuid:key_id>/remove", sessions.remove_key, name="remove_key"),
            path("/email", email_change.change_email, name="change_email"),
            path("/email/confirm", email_change.confirm_email, name="confirm_email"),
            path("/email/confirm/resend", email_change.resend_email, name="resend_email"),
            path("/email/undo/<str:token>", email_change.undo_email_change, name="undo_email_change"),
            path("/data", data_export.data, name="data"),
            path("/data/progress", data_export.progress, name="data_progress"),
            path("/data/<uuid:export_id>.zip", data_export.download, name="data_download"),
            path("/delete", account_deletion.delete_account, name="delete_account"),
            path("/delete/undo/<str:token>", account_deletion.keep_account, name="keep_account"),
            path("/notices", notices.change, name="notices"),
            path("/profile", account_settings.profile_edit, name="profile_edit"),
            path("/time-zone", account_settings.change_time_zone, name="change_time_zone"),
            path("/language", works_during_assisted_reset(language.choose_language), name="choose_language"),
        ]
    ),
]
