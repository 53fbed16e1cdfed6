"""The least that is valid of a person."""

from typing import ClassVar

import factory
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.utils import timezone
from factory.django import DjangoModelFactory

from accounts.models import User

PASSWORD = "a quiet harbour at dawn"


class UserFactory(DjangoModelFactory):
    class Meta:
        model = User
        skip_postgeneration_save = True

    email: ClassVar = factory.Sequence(lambda number: f"person{number}@example.com")
    email_verified_at: ClassVar = factory.LazyFunction(timezone.now)
    password: ClassVar = factory.django.Password(PASSWORD)


def new_key() -> str:
    public = Ed25519PrivateKey.generate().public_key()
    return public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
