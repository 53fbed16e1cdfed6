"""The Celery application. Workers: ``celery -A datica_account worker -Q otp,celery,bulk``."""

import os

from celery import Celery
from celery.signals import import_modules, setup_logging, worker_process_init
from django.db import connections

from datica_account import extras, metrics_folder

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "datica_account.settings")


@import_modules.connect
def watch_the_worker(**_kwargs: object) -> None:
    """Choose where a worker counts, and send its traces.

    Connected before the application exists: a receiver of its own imports the apps.
    """
    metrics_folder.choose()
    extras.start_tracing()


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
