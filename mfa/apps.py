from django.apps import AppConfig
from django.db.models.signals import post_migrate, pre_migrate
from django.utils.translation import gettext_lazy as _


class MfaConfig(AppConfig):
    name = "mfa"
    verbose_name = _("Multi-factor authentication")

    def ready(self) -> None:
        from mfa import triggers

        pre_migrate.connect(triggers.remove_before_rebuild, sender=self)
        post_migrate.connect(triggers.install, sender=self)
