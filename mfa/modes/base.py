"""The base class of modes: everything in which they differ."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from typing import TYPE_CHECKING, ClassVar

from django.conf import settings
from django.utils.functional import Promise

from accounts.security_log import Origin
from mfa.ceremonies import Created

if TYPE_CHECKING:  # the models ask the modes for their constraints
    from accounts.models import User
    from mfa.models import Challenge, Factor


@dataclass(frozen=True)
class Enrolled:
    """The values that a new factor stores."""

    secret: bytes | None = None
    last_step: int = 0  # RFC 6238 time step of the code that completed it
    passkey: Created | None = None  # a new one, beside the others of the factor


class Level(IntEnum):
    """How much a proof by a mode is worth. A mode of a higher level is accepted wherever a lower one is (SR-60)."""

    MAILED = 0  # who reads the mailbox can also reset the password: no independent factor
    OWN_DEVICE = 1  # only a device of the user shows the code, but the user can be tricked into passing it on
    PHISHING_RESISTANT = 2  # there is nothing that a user could pass on to another site


class Mode(ABC):
    """A way to prove an account.

    ``name`` is its identifier in URLs, JSON and the database, also the user's word for it.
    """

    name: ClassVar[str]
    label: ClassVar[str | Promise]
    hint: ClassVar[str | Promise]  # what it asks of its user, beside its label where modes are chosen
    icon: ClassVar[str]  # of templates/partials/_icon.html
    way_in_words: ClassVar[str | Promise]  # "you sign in with …"
    loss_in_words: ClassVar[str | Promise]  # "if you lose …"
    absence_in_words: ClassVar[str | Promise] = ""  # a question, before the other modes at the prompt

    is_typed: ClassVar[bool] = True  # its proof can be typed at the command line
    is_mailed: ClassVar[bool] = False  # its code comes by mail, so its first right code proves the mailbox
    keeps_secret: ClassVar[bool] = True  # its factor holds a secret of its own
    has_several: ClassVar[bool] = False  # enrolling it again adds to its factor; otherwise it replaces the old one
    level: ClassVar[Level] = Level.OWN_DEVICE

    @property
    def can_be_replaced(self) -> bool:
        """Whether enrolling it again replaces what its factor holds."""
        return self.keeps_secret and not self.has_several

    def enrolment_lifetime(self) -> timedelta:
        """Return how long an enrolment waits for its first code."""
        return settings.ENROLMENT_LIFETIME

    def target_of(self, user: "User") -> str:
        """Return where its codes go, masked for the settings page; blank if nowhere."""
        del user
        return ""

    def activation_context(self, enrolment: "Challenge") -> dict[str, object]:
        """Return what its activation template shows besides the form."""
        del enrolment
        return {}

    def where_to_look(self, challenge: "Challenge") -> str:
        """Return where the user reads the code of a challenge, for below its field; blank if nothing is typed."""
        del challenge
        return ""

    def prompt_context(self, challenge: "Challenge") -> dict[str, object]:
        """Return what its prompt template shows besides the form."""
        del challenge
        return {}

    @property
    def templates(self) -> str:
        """The folder of its templates: ``prompt.html`` (sign-in and step-up) and ``activation.html``."""
        return f"mfa/modes/{self.name}"

    @abstractmethod
    def enrol(self, enrolment: "Challenge", proof: str, *, now: datetime) -> Enrolled:
        """Check the first proof of an enrolment: six digits, or what a browser signed with a passkey.

        Raise ``RefusedCode`` if it is wrong. Call under the user's lock.
        """

    @abstractmethod
    def spend(self, factor: "Factor", challenge: "Challenge", proof: str, *, origin: Origin, now: datetime) -> str:
        """Check a proof and use it up, writing into ``factor`` what must not work twice; the caller saves it.

        Return the name of what was used, if the factor has several; else blank. Raise ``RefusedCode`` if the proof is
        wrong. Call under the user's lock (SR-11, SR-12).
        """
