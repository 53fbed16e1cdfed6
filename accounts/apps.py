from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    name = "accounts"
    verbose_name = _("Accounts")

    def ready(self) -> None:
        """Leave the time of the last sign-in to ``signin.finish``, which writes it under the lock on the user's row.

        Let each app register what it holds of an account. Take what Anymail reads from the reports of mail providers.
        """
        from anymail.signals import tracking
        from django.contrib.auth.signals import user_logged_in

        from accounts import mail_reports

        autodiscover_modules("account_part")
        tracking.connect(mail_reports.take, dispatch_uid="accounts.mail_reports")
        user_logged_in.disconnect(dispatch_uid="update_last_login")
