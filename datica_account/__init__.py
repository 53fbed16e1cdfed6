"""Configuration of the portal: settings, URLs, Celery. Product logic lives in the apps."""

from datica_account.celery import app as celery_app

__all__ = ["celery_app"]
