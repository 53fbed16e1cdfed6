"""How passwords are hashed (SR-1)."""

from django.conf import settings
from django.contrib.auth import hashers


class Argon2PasswordHasher(hashers.Argon2PasswordHasher):
    """Argon2id with Django's memory and passes, on as many cores for each hash as the operator chooses.

    Django divides a hash among eight threads. That makes one sign-in faster while the machine is idle, and all of them
    slower while each core has a web process of its own. What a hash costs an attacker is the same.
    """

    parallelism = settings.PASSWORD_HASH_THREADS
