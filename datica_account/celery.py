"""The Celery application. Workers: ``celery -A datica_account worker -Q otp,celery,bulk``."""

import os

from celery import Celery
from celery.signals import setup_logging, worker_process_init
from django.db import connections

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "datica_account.settings")

app = Celery("datica_account")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.autodiscover_tasks(related_name="emails")


@setup_logging.connect
def keep_our_logging(**_kwargs: object) -> None:
    """Leave logging to Django's settings; Celery would replace it and could print task arguments."""


@worker_process_init.connect
def use_no_pool(**_kwargs: object) -> None:
    """Open single connections in a process of ``--pool prefork``, where Celery would close a pool after each task."""
    connections.settings["default"]["OPTIONS"].pop("pool", None)
