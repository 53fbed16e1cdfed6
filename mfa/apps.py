from django.apps import AppConfig
from django.db.models.signals import post_migrate


class MfaConfig(AppConfig):
    name = "mfa"

    def ready(self) -> None:
        from mfa import triggers

        post_migrate.connect(triggers.install, sender=self)
