from django.apps import AppConfig
from django.db.models.signals import post_migrate


class OrganizationsConfig(AppConfig):
    name = "organizations"

    def ready(self) -> None:
        from organizations import triggers  # noqa: PLC0415  (models cannot be imported before the apps are ready)

        post_migrate.connect(triggers.install, sender=self)
