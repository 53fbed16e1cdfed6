from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class PortalAdminConfig(AdminConfig):
    default_site = "datica_account.admin.PortalAdmin"

    def ready(self) -> None:
        from datica_account import checks  # noqa: F401  (registers them; apps are not ready before)
        from datica_account.task_metrics import count_tasks

        count_tasks()
        super().ready()


class PortalConfig(AppConfig):
    """The project as an app, for the commands that are about all of it."""

    name = "datica_account"
