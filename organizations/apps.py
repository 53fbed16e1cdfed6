from django.apps import AppConfig
from django.db.models.signals import post_migrate


class OrganizationsConfig(AppConfig):
    name = "organizations"

    def ready(self) -> None:
        from organizations import triggers  # noqa: PLC0415  (apps are not ready before)

        post_migrate.connect(triggers.install, sender=self)
