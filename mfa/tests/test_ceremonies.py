"""What is accepted of a browser's answer, and that nothing altered is (SR-58)."""

import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from mfa import ceremonies
from mfa.ceremonies import Ceremony, InvalidCredential
from tests.passkeys import SoftwareAuthenticator, base64url, tampered, unbase64url

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
HANDLE = uuid4().bytes
OTHER = "http://other.example"
CEREMONY = Ceremony(b"a secret of the server", "sign_in 1")
# What each ceremony signs, and what an attacker could want it to say.
ALTERED_CLIENT_DATA = [
    {"challenge": b"d" * 56},
    {"challenge": b""},
    {"origin": OTHER},
    {"origin": "https://localhost:8000"},
    {"origin": "http://sub.localhost:8000"},
    {"origin": "http://localhost:8001"},
    {"crossOrigin": True},
    {"topOrigin": OTHER},
    {"rp_id_hash": b"\0" * 32},
    {"up": False},
]


@pytest.fixture(autouse=True)
def site(settings):
    settings.RP_ID, settings.RP_NAME, settings.RP_ORIGINS = "localhost", "Datica", ["http://localhost:8000"]


@pytest.fixture(name="key")
def new_key():
    return SoftwareAuthenticator("http://localhost:8000", "localhost", counter_step=1)


def creation(ceremony=CEREMONY, now=NOW, exclude=()):
    challenge = ceremony.new_challenge(now)
    return ceremonies.creation_options(
        challenge, user_handle=HANDLE, name="dana@example.com", display_name="Dana", exclude=exclude
    )


def made(key, ceremony=CEREMONY, now=NOW, **altered):
    """Make a passkey, and return what the server says of it."""
    return ceremonies.check_creation(CEREMONY, json.dumps(key.register(creation(ceremony, now), **altered)), NOW)


def request(ceremony=CEREMONY, now=NOW, nameless=False, allow=()):
    return ceremonies.request_options(ceremony.new_challenge(now), allow=allow, nameless=nameless)


def check(answer, created, *, nameless=False, handle=HANDLE, now=NOW, ceremony=CEREMONY):
    text = answer if isinstance(answer, str) else json.dumps(answer)
    return ceremonies.check_signature(
        ceremony, text, public_key=created.public_key, user_handle=handle, nameless=nameless, now=now
    )


def test_a_passkey_is_made_and_signs(key):
    created = made(key)
    assert created.user_verified
    assert created.can_sync
    signed = check(key.sign(request()), created)
    assert signed.sign_count == 1


def test_the_options_name_no_one_before_the_password():
    options = request(nameless=True)
    assert options["allowCredentials"] == []
    assert options["userVerification"] == "required"
    assert set(options) <= {"challenge", "timeout", "rpId", "allowCredentials", "userVerification"}


def test_the_user_handle_is_no_name():
    assert unbase64url(creation()["user"]["id"]) == HANDLE


def test_a_challenge_has_more_than_128_bits_and_none_comes_twice():
    first, second = CEREMONY.new_challenge(NOW), CEREMONY.new_challenge(NOW)
    assert len(first) == 56
    assert first != second
    assert ceremonies.nonce_of(first) != ceremonies.nonce_of(second)


@pytest.mark.parametrize(
    ("age", "accepted"),
    [(timedelta(0), True), (timedelta(minutes=4, seconds=59), True), (timedelta(minutes=5, seconds=1), False),
     (timedelta(seconds=-2), False)],
)  # fmt: skip
def test_a_challenge_works_for_five_minutes(key, age, accepted):
    created = made(key)
    answer = key.sign(request(now=NOW))
    if accepted:
        check(answer, created, now=NOW + age)
    else:
        with pytest.raises(InvalidCredential):
            check(answer, created, now=NOW + age)


@pytest.mark.parametrize(
    "other", [Ceremony(b"a secret of the server", "step_up 1"), Ceremony(b"a secret of the server", "sign_in 2"),
              Ceremony(b"another secret", "sign_in 1")],
)  # fmt: skip
def test_an_answer_fits_its_own_purpose_and_attempt_alone(key, other):
    created = made(key)
    with pytest.raises(InvalidCredential, match="challenge"):
        check(key.sign(request(other)), created)
    with pytest.raises(InvalidCredential, match="challenge"):
        made(key, ceremony=other)


@pytest.mark.parametrize("altered", [*ALTERED_CLIENT_DATA, {"type": "webauthn.create"}], ids=str)
def test_a_signature_over_something_else_is_refused(key, altered):
    created = made(key)
    with pytest.raises(InvalidCredential):
        check(key.sign(request(), **altered), created)


@pytest.mark.parametrize("altered", [*ALTERED_CLIENT_DATA, {"type": "webauthn.get"}, {"credential_id": b""}], ids=str)
def test_a_passkey_made_for_something_else_is_refused(key, altered):
    with pytest.raises(InvalidCredential):
        made(key, **altered)


@pytest.mark.parametrize("field", ["id", "rawId", "clientDataJSON", "authenticatorData", "signature", "userHandle"])
@pytest.mark.parametrize("position", [-1, 0, 20])
def test_one_changed_byte_is_refused(key, field, position):
    created = made(key)
    answer = key.sign(request())
    length = len(unbase64url(answer.get(field) or answer["response"][field]))
    with pytest.raises(InvalidCredential):
        check(tampered(answer, field, position if position < length else -1), created)


def test_the_id_of_a_new_passkey_is_the_signed_one(key):
    answer = key.register(creation())
    both = tampered(tampered(answer, "id"), "rawId")
    with pytest.raises(InvalidCredential, match="credential id"):
        ceremonies.check_creation(CEREMONY, json.dumps(both), NOW)


def test_the_signature_of_another_passkey_is_refused(key):
    created = made(key)
    made(other := SoftwareAuthenticator("http://localhost:8000", "localhost"))
    with pytest.raises(InvalidCredential):
        check(other.sign(request()), created)


def test_without_a_password_the_user_must_be_verified_and_named(key):
    """SR-58: user verification stands for the password."""
    created = made(key)
    options = request(nameless=True)
    assert check(key.sign(options), created, nameless=True).user_verified
    for altered in ({"uv": False}, {"user_handle": None}, {"user_handle": b"another account"}):
        with pytest.raises(InvalidCredential):
            check(key.sign(options, **altered), created, nameless=True)


def test_after_the_password_presence_is_enough(key):
    created = made(key)
    assert not check(key.sign(request(), uv=False), created).user_verified
    with pytest.raises(InvalidCredential):
        check(key.sign(request(), user_handle=b"another account"), created)


def test_a_key_that_cannot_verify_signatures_is_no_passkey(key):
    answer = key.register(creation())
    raw = unbase64url(answer["response"]["attestationObject"])
    point = key.keys[-1].cose_key()[-32:]
    assert point in raw
    answer["response"]["attestationObject"] = base64url(raw.replace(point, bytes(31) + b"\x01"))  # off the curve
    with pytest.raises(InvalidCredential):
        ceremonies.check_creation(CEREMONY, json.dumps(answer), NOW)


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", "null", '"x"', "{", "[" * 100_000, '{"rawId": 1}', '{"id": "YQ", "rawId": "YQ"}',
     '{"id": "YQ", "rawId": "YQ", "type": "public-key", "response": []}',
     '{"id": "YQ", "rawId": "YQ", "type": "public-key", "response": {"clientDataJSON": "e30"}}',
     '{"id": "\\ud800", "rawId": "\\ud800"}', "x" * 20_000],
    ids=lambda text: text[:30],
)  # fmt: skip
def test_malformed_answers_are_refused_in_words(key, text):
    created = made(key)
    for question in (
        lambda: check(text, created),
        lambda: ceremonies.check_creation(CEREMONY, text, NOW),
    ):
        with pytest.raises(InvalidCredential):
            question()


def test_every_field_is_needed(key):
    created = made(key)
    answer = key.sign(request())
    for field in ("id", "rawId", "type", "response"):
        with pytest.raises(InvalidCredential):
            check({name: value for name, value in answer.items() if name != field}, created)
    for field in ("clientDataJSON", "authenticatorData", "signature"):
        response = {name: value for name, value in answer["response"].items() if name != field}
        with pytest.raises(InvalidCredential):
            check({**answer, "response": response}, created)
