"""The command-line client's sign-in, sessions and keys. The sign-in is the same as the browser's."""

from uuid import UUID

from django.http import HttpRequest
from ninja import HeaderEx, P, Router, Schema, Status

from accounts import security_log, signin, ssh_keys, tokens
from accounts.api.authentication import bearer, named_user, token_of
from accounts.api.schemas import ERRORS, LongText, Nothing, Text
from accounts.models import Channel, User
from accounts.web.origin import origin_of
from mfa import challenges

router = Router(tags=["Sessions and keys"])


class Person(Schema):
    """The signed-in user."""

    id: str
    name: str
    email: str


class SignedIn(Person):
    """A finished sign-in. ``sessionToken`` is shown only here."""

    sessionToken: str


class MfaDue(Schema):
    """A sign-in that waits for a one-time password; for ``email`` it has just been mailed."""

    mfaID: str
    mfaPreferredType: str


class Credentials(Schema):
    """Username or email, and password, exactly as typed."""

    identifier: Text
    password: Text


class SignedKey(Schema):
    """A public key, and its signature over the headers ``X-Request-Nonce&X-Request-Timestamp``."""

    publicKey: LongText
    signature: LongText


class Otp(Schema):
    """The one-time password."""

    otp: Text


class Key(Schema):
    """An SSH key in OpenSSH form."""

    name: Text
    key: LongText


def _person(user: User) -> dict[str, str]:
    return {"id": str(user.pk), "name": user.name, "email": user.email}


def _begin(request: HttpRequest, user: User, *, by_key: bool) -> dict[str, str]:
    """Return the token if MFA is off, else begin the one-time password step. The first proof was right."""
    origin = origin_of(request)
    if not user.mfa_is_on:
        finished = signin.finish_without_code(user, origin, channel=Channel.CLI)
        return _token(request, finished, by_key=by_key)
    challenge = challenges.begin_sign_in(user, channel=Channel.CLI, origin=origin, by_key=by_key)
    if challenge.mail_refusal:
        raise challenge.mail_refusal
    return {"mfaID": str(challenge.pk), "mfaPreferredType": challenge.mode}


def _token(request: HttpRequest, finished: signin.Finished, *, by_key: bool) -> dict[str, str]:
    token = tokens.issue(finished.user, origin_of(request), mode=finished.proof.mode, by_key=by_key)
    return {**_person(finished.user), "sessionToken": token}


@router.get("/auth/verify", auth=bearer, response={200: Person, **ERRORS}, summary="Who is signed in")
def verify(request: HttpRequest) -> dict[str, str]:
    """Return the user of a valid token."""
    return _person(token_of(request).user)


@router.post("/auth/signin", response={200: MfaDue | SignedIn, **ERRORS}, summary="Sign in with credentials")
def sign_in(request: HttpRequest, credentials: Credentials) -> dict[str, str]:
    """Check credentials. Return a token, or the id of the one-time password step."""
    user = signin.check_credentials(
        credentials.identifier, credentials.password, origin_of(request), channel=Channel.CLI
    )
    return _begin(request, user, by_key=False)


@router.post("/auth/signin/key", response={200: MfaDue | SignedIn, **ERRORS}, summary="Sign in with an RSA key")
def sign_in_with_key(
    request: HttpRequest,
    signed: SignedKey,
    nonce: HeaderEx[Text, P(default="", alias="X-Request-Nonce")],
    timestamp: HeaderEx[Text, P(default="", alias="X-Request-Timestamp")],
) -> dict[str, str]:
    """Check a signature. Return a token, or the id of the one-time password step.

    If several accounts hold the key, the account is the one whose id ends the `User-Agent`,
    `datica-cli-<version> <os> <arch> <user id>`. Without an id, it is the one that has signed in with the key before.
    """
    user = ssh_keys.check_signature(
        signed.publicKey,
        signed.signature,
        nonce=nonce,
        timestamp=timestamp,
        named=named_user(request),
        origin=origin_of(request),
    )
    return _begin(request, user, by_key=True)


@router.post("/auth/signin/mfa/{uuid:mfa_id}", response={200: SignedIn, **ERRORS}, summary="Send the one-time password")
def answer_otp(request: HttpRequest, mfa_id: UUID, answer: Otp) -> dict[str, str]:
    """Check the one-time password of a command-line sign-in, and return its token."""
    otp = challenges.normalize_code(answer.otp)
    answered = challenges.answer_sign_in(str(mfa_id), otp, origin_of(request), channel=Channel.CLI)
    return _token(request, answered.finished, by_key=answered.challenge.by_key)


@router.delete("/auth/signout", response={204: None, **ERRORS}, summary="Sign out")
def sign_out(request: HttpRequest) -> Status[None]:
    """End the session of the token. Succeed without a token too."""
    token = bearer(request)
    if token is not None:
        security_log.record(token.user, security_log.Kind.SIGNED_OUT, origin_of(request))
        tokens.revoke(token)
    return Status(204, None)


@router.get("/keys", auth=bearer, response={200: list[Key], **ERRORS}, summary="List my keys")
def list_keys(request: HttpRequest) -> list[dict[str, str]]:
    """List the SSH keys of the account."""
    return [{"name": key.name, "key": f"{key.text}\n"} for key in ssh_keys.of_user(token_of(request).user)]


@router.post("/keys", auth=bearer, response={201: Nothing, **ERRORS}, summary="Add a key")
def add_key(request: HttpRequest, key: Key) -> Status[dict[str, str]]:
    """Add an SSH key to the account."""
    ssh_keys.add(token_of(request).user, key.name, key.key, origin_of(request))
    return Status(201, {})


@router.delete("/keys/{name}", auth=bearer, response={204: None, **ERRORS}, summary="Remove a key")
def remove_key(request: HttpRequest, name: str) -> Status[None]:
    """Remove an SSH key from the account."""
    ssh_keys.remove(token_of(request).user, name, origin_of(request))
    return Status(204, None)
