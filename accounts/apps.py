from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        """Leave the time of the last sign-in to ``signin.finish``, which writes it under the lock on the user's row.

        Take what Anymail reads from the reports of mail providers.
        """
        from anymail.signals import tracking
        from django.contrib.auth.signals import user_logged_in

        from accounts import mail_reports

        tracking.connect(mail_reports.take, dispatch_uid="accounts.mail_reports")
        user_logged_in.disconnect(dispatch_uid="update_last_login")
