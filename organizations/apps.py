from django.apps import AppConfig
from django.db.models.signals import post_migrate, pre_migrate
from django.utils.translation import gettext_lazy as _


class OrganizationsConfig(AppConfig):
    name = "organizations"
    verbose_name = _("Organizations")

    def ready(self) -> None:
        from organizations import triggers

        pre_migrate.connect(triggers.remove_before_rebuild, sender=self)
        pre_migrate.connect(triggers.remove_before_reversal, sender=self)
        post_migrate.connect(triggers.install, sender=self)
