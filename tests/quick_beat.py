"""Celery's scheduler, which sweeps the outbox every second in place of every half minute."""

import sys

from celery.__main__ import main

from datica_account.celery import app

if __name__ == "__main__":
    app.conf.beat_schedule["sweep-outbox"]["schedule"] = 1.0
    sys.argv = ["celery", "-A", "tests.quick_beat", "beat"]
    main()
