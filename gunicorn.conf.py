"""What gunicorn reads when it is started in this folder."""

import subprocess
import sys

control_socket_disable = True  # signals are enough, and the folder of the code is read-only


def on_starting(_server: object) -> None:
    """Refuse wrong settings once, before each worker does.

    In a process of its own: what this one imports, workers would keep through a reload.
    """
    check = [sys.executable, "-c", "import datica_account.settings"]
    if code := subprocess.run(check, check=False).returncode:
        sys.exit(code)
