"""Every exchange of the wire contract over real HTTP, by a client of either generation."""

import base64
import http.client
import json
import secrets
import time
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
import time_machine
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.test import Client
from django.utils import timezone

from accounts import passwords, sessions, ssh_keys
from accounts.encryption import seal
from accounts.identifiers import digest_of
from accounts.models import PublicKey, SecurityEvent, Token, User
from accounts.security_log import Origin
from accounts.tests.factories import PASSWORD, UserFactory
from mfa import factors, modes
from mfa.models import Challenge
from mfa.tests.factories import add_mode
from organizations import invitations
from organizations.models import Environment, Invitation, Membership, Pod, Role
from organizations.tests.factories import MembershipFactory, OrganizationFactory
from tests.cli import Cli, FatalError, public_text, signed_by
from tests.codes import app_code, mailed_code
from tests.emails import read_mail
from tests.signing_in import pending_sign_in_of, put_sign_in, sign_in

pytestmark = pytest.mark.django_db(transaction=True)

NOBODY = "11111111-2222-4333-8444-555555555555"


KEYS = {}


def rsa_key(number: int = 0, bits: int = 2048):
    if number not in KEYS:
        KEYS[number] = rsa.generate_private_key(65537, bits)
    return KEYS[number]


@pytest.fixture
def cli(live_server, dana):
    return Cli(live_server.url, "Dana@example.com", PASSWORD)


@pytest.fixture(params=["4.4.1", "3.6.0"])
def each_cli(request, live_server, dana):
    return Cli(live_server.url, "Dana@example.com", PASSWORD, request.param)


@pytest.fixture
def new_cli(live_server):
    """Make further computers."""

    def make(user, **options):
        return Cli(live_server.url, user.email, PASSWORD, **options)

    return make


@pytest.fixture
def clinic(dana):
    clinic = OrganizationFactory(name="Clinic")
    MembershipFactory(organization=clinic, user=dana, role=Role.OWNER)
    return clinic


@pytest.fixture
def staging(clinic):
    pods = [Pod.objects.create(name=name) for name in ("pod01", "pod02")]
    return Environment.objects.create(organization=clinic, name="clinic-staging", pod=pods[0])


def refusal(answer, status, code):
    """Check the form of an error, which every refusal has (contract, section 3)."""
    assert answer.status == status, answer.text
    assert answer.headers["Content-Type"] == "application/json"
    body = answer.json
    assert set(body) == {"title", "description", "code"}
    assert body["title"]
    assert body["description"]
    assert body["code"] == code
    return body["description"]


# --- section 10: what the user sees ---------------------------------------------------------------


def test_signing_in_without_mfa(each_cli, staging):
    each_cli.environments_list()

    assert each_cli.printed == [f"clinic-staging: {staging.pk}"]


def test_signing_in_with_email(each_cli, dana_with_email, staging):
    """The mail goes out with the sign-in call."""
    each_cli.otp = mailed_code

    each_cli.environments_list()

    assert each_cli.printed == [
        "This account has two-factor authentication enabled.",
        f"clinic-staging: {staging.pk}",
    ]
    assert each_cli.mfa_type == "email"


def test_signing_in_with_the_app(each_cli, dana_with_app, staging):
    each_cli.otp = lambda: app_code(dana_with_app)

    each_cli.environments_list()

    assert each_cli.mfa_type == "authenticator"
    assert each_cli.printed[-1] == f"clinic-staging: {staging.pk}"


def test_the_preferred_mode_is_asked_for(cli, dana_with_both):
    factors.prefer(dana_with_both, "email", origin=Origin())
    cli.otp = mailed_code

    cli.whoami()

    assert cli.mfa_type == "email"


def test_a_mode_that_cannot_be_typed_gives_way_to_the_next(cli, dana_with_both, monkeypatch):
    """A passkey one day."""
    monkeypatch.setattr(modes.get("authenticator"), "is_typed", False)
    cli.otp = mailed_code

    cli.whoami()

    assert dana_with_both.preferred_mode == "authenticator"
    assert cli.mfa_type == "email"


def test_a_wrong_password(each_cli):
    each_cli.password = "wrong"

    with pytest.raises(FatalError, match=r"^\[fatal\] \(4011\) Sign In Failed: Incorrect username, email or password"):
        each_cli.environments_list()

    assert each_cli.token == ""


def test_a_wrong_code(each_cli, dana_with_email):
    each_cli.otp = lambda: "000000" if mailed_code() != "000000" else "111111"

    with pytest.raises(FatalError, match=r"^\[fatal\] \(4012\) Wrong One-Time Password: That code is wrong"):
        each_cli.environments_list()

    assert each_cli.token == ""
    assert "left" not in each_cli.call("POST", f"/auth/signin/mfa/{NOBODY}", {"otp": "000000"}).text


@pytest.mark.parametrize("typed", ["492 013", "", "49201", "٤٩٢٠١٣", "4920133"])
def test_what_is_no_code_is_not_counted(cli, dana_with_email, typed):
    """The client cuts at the first blank. SR-16."""
    cli.otp = lambda: typed

    with pytest.raises(FatalError, match=r"\(4012\) Wrong One-Time Password: A one-time password has six digits"):
        cli.whoami()

    assert Challenge.objects.get().failures == 0


def test_an_ended_session_brings_the_prompts_back(each_cli, dana):
    each_cli.whoami()
    sessions.end_others(dana, keep=None)

    each_cli.whoami()

    assert each_cli.printed == [f"user ID = {dana.pk}"] * 2


def test_a_session_that_ends_within_a_command(cli):
    cli.whoami()
    Token.objects.all().delete()

    answer = cli.call("GET", "/keys")

    assert refusal(answer, 401, 4013) == "Your session has ended. Please sign in again."


# --- section 5: sessions --------------------------------------------------------------------------


def test_verify_names_the_user(cli, dana):
    cli.whoami()

    answer = cli.call("GET", "/auth/verify")

    assert answer.json == {"id": str(dana.pk), "name": "Dana Reyes", "email": "Dana@example.com"}


@pytest.mark.parametrize(
    "value", ["Bearer", "Bearer ", "Bearer datica_nonsense", "Basic ZGFuYTpkYW5h", "", "Bearer é", "datica_x"]
)
def test_verify_refuses_what_is_no_session(cli, value):
    """SR-30."""
    answer = cli.call("GET", "/auth/verify", headers={"Authorization": value.encode().decode("latin-1")})

    refusal(answer, 401, 4013)
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("token", ["", "an-ended-token", "datica_" + "x" * 43])
def test_a_stale_token_never_breaks_what_needs_none(cli, dana_with_email, token):
    cli.token = token

    assert cli.call("GET", "/pods").status == 200
    begun = cli.call("POST", "/auth/signin", {"identifier": "dana", "password": PASSWORD})
    assert set(begun.json) == {"mfaID", "mfaPreferredType"}
    done = cli.call("POST", f"/auth/signin/mfa/{begun.json['mfaID']}", {"otp": mailed_code()})
    assert done.status == 200
    assert cli.call("DELETE", "/auth/signout").status == 204


@pytest.mark.parametrize("identifier", ["dana", "DANA", "dana@EXAMPLE.com", " dana "])
def test_user_name_or_email_in_any_spelling(cli, identifier):
    """SR-4."""
    answer = cli.call("POST", "/auth/signin", {"identifier": identifier, "password": PASSWORD})

    assert {name: type(value) for name, value in answer.json.items()} == dict.fromkeys(
        ("id", "name", "email", "sessionToken"), str
    )
    assert len(answer.json["sessionToken"]) > 43  # 256 bits


def test_signing_out_really_ends_the_session(cli):
    """SR-35."""
    cli.whoami()
    token = cli.token

    cli.logout()

    assert cli.printed[-1] == "You have been logged out"
    cli.token = token
    refusal(cli.call("GET", "/auth/verify"), 401, 4013)


def test_signing_out_without_a_session_is_fine(cli):
    cli.logout()

    assert cli.call("DELETE", "/auth/signout").text == ""


def test_an_mfa_id_is_spent_by_its_success(cli, dana_with_email):
    """SR-11, SR-31."""
    begun = cli.call("POST", "/auth/signin", {"identifier": "dana", "password": PASSWORD}).json
    code = mailed_code()
    path = f"/auth/signin/mfa/{begun['mfaID']}"
    assert cli.call("POST", path, {"otp": code}).status == 200

    refusal(cli.call("POST", path, {"otp": code}), 401, 4014)


def test_an_mfa_id_expires(cli, dana_with_email):
    """SR-31."""
    begun = cli.call("POST", "/auth/signin", {"identifier": "dana", "password": PASSWORD}).json
    code = mailed_code()

    with time_machine.travel(timezone.now() + timedelta(minutes=11)):
        answer = cli.call("POST", f"/auth/signin/mfa/{begun['mfaID']}", {"otp": code})

    refusal(answer, 401, 4014)


def test_an_mfa_id_belongs_to_its_user(cli, dana_with_email, sam, new_cli):
    add_mode(sam, "email")
    begun = cli.call("POST", "/auth/signin", {"identifier": "dana", "password": PASSWORD}).json
    mailed_code()
    new_cli(sam).call("POST", "/auth/signin", {"identifier": "sam", "password": PASSWORD})
    sams_code = mailed_code()

    answer = cli.call("POST", f"/auth/signin/mfa/{begun['mfaID']}", {"otp": sams_code})

    refusal(answer, 401, 4012)


@pytest.mark.parametrize("mfa_id", [NOBODY, "0", "c0ffee", "%00", "..%2f..", "x" * 500])
def test_a_made_up_mfa_id_opens_nothing(cli, mfa_id):
    answer = cli.call("POST", f"/auth/signin/mfa/{mfa_id}", {"otp": "123456"})

    assert answer.status in {400, 401, 404}
    assert set(answer.json) == {"title", "description", "code"}


def test_five_wrong_codes_end_the_sign_in(cli, dana_with_email):
    """SR-15."""
    begun = cli.call("POST", "/auth/signin", {"identifier": "dana", "password": PASSWORD}).json
    code = mailed_code()
    wrong = "000000" if code != "000000" else "111111"
    path = f"/auth/signin/mfa/{begun['mfaID']}"
    for _try in range(5):
        refusal(cli.call("POST", path, {"otp": wrong}), 401, 4012)

    refusal(cli.call("POST", path, {"otp": code}), 401, 4014)


def test_the_count_of_wrong_codes_is_the_browsers_too(cli, dana_with_email):
    """SR-15: counted across attempts and doors; the refusal says when to try again."""
    for _attempt in range(2):
        begun = cli.call("POST", "/auth/signin", {"identifier": "dana", "password": PASSWORD}).json
        code = mailed_code()
        for number in range(5):
            wrong = f"{(int(code) + 1 + number) % 1_000_000:06}"
            cli.call("POST", f"/auth/signin/mfa/{begun['mfaID']}", {"otp": wrong})

    begun = cli.call("POST", "/auth/signin", {"identifier": "dana", "password": PASSWORD}).json
    answer = cli.call("POST", f"/auth/signin/mfa/{begun['mfaID']}", {"otp": mailed_code()})

    said = refusal(answer, 429, 4290)
    assert "Try again in" in said
    assert "A recovery code still works." in said
    assert 0 < int(answer.headers["Retry-After"]) <= 900


def test_what_begins_in_one_door_cannot_end_in_the_other(cli, client, dana_with_email):
    """SR-31."""
    begun = cli.call("POST", "/auth/signin", {"identifier": "dana", "password": PASSWORD}).json
    client.post("/account/login", {"identifier": "dana", "password": PASSWORD})
    in_browser = pending_sign_in_of(client).pk

    refusal(cli.call("POST", f"/auth/signin/mfa/{in_browser}", {"otp": mailed_code()}), 401, 4014)
    put_sign_in(client, begun["mfaID"])
    page = client.post("/account/login/otp", {"otp": mailed_code()})

    assert page.url == "/account/login"
    assert not Token.objects.exists()


def test_a_pending_sign_in_authorises_nothing(cli, dana_with_email):
    """SR-30."""
    begun = cli.call("POST", "/auth/signin", {"identifier": "dana", "password": PASSWORD}).json

    for token in (begun["mfaID"], f"datica_{begun['mfaID']}"):
        cli.token = token
        refusal(cli.call("GET", "/auth/verify"), 401, 4013)


def test_the_security_log_knows_the_client(cli, dana_with_email):
    cli.otp = mailed_code
    cli.whoami()

    event = SecurityEvent.objects.get(kind="signed_in")

    assert event.mode == "email"
    assert event.agent.startswith(f"datica-cli-{cli.version} linux")
    assert event.ip_address == "127.0.0.1"


# --- tokens ---------------------------------------------------------------------------------------


def test_a_token_is_stored_hashed(cli):
    """SR-35."""
    cli.whoami()

    row = Token.objects.get()

    assert cli.token not in repr(vars(row))
    assert len(row.digest) == 64


@pytest.mark.parametrize(("used_every", "times", "works"), [(23, 3, True), (25, 1, False), (20, 37, False)])
def test_a_token_slides_and_ends(cli, used_every, times, works):
    """SR-35: 24 hours without use, 30 days at most."""
    cli.whoami()

    with time_machine.travel(timezone.now(), tick=False) as clock:
        for _use in range(times):
            clock.shift(timedelta(hours=used_every))
            answer = cli.call("GET", "/auth/verify")

    assert (answer.status == 200) is works


def test_a_changed_password_ends_all_tokens(cli, dana):
    cli.whoami()

    passwords.change(dana, "a brand new password", Origin(), current=PASSWORD, session_key=None)

    refusal(cli.call("GET", "/auth/verify"), 401, 4013)


def test_turning_mfa_on_or_off_ends_all_tokens(cli, client, dana):
    """SR-25, SR-33: whatever the order of events, not only by deleting the rows."""
    cli.whoami()
    add_mode(dana, "email")
    refusal(cli.call("GET", "/auth/verify"), 401, 4013)
    cli.otp = mailed_code
    cli.whoami()
    assert cli.call("GET", "/auth/verify").status == 200

    factors.disable(dana, "email", may_keep=lambda _modes: True, origin=Origin(), session_key=None)

    refusal(cli.call("GET", "/auth/verify"), 401, 4013)


def test_a_disabled_account_loses_its_token_at_once(cli, dana):
    cli.whoami()
    type(dana).objects.filter(pk=dana.pk).update(is_active=False)

    refusal(cli.call("GET", "/auth/verify"), 401, 4013)


def test_a_cookie_opens_nothing(cli, client, dana):
    """SR-45."""
    sign_in(client, dana)
    cookie = f"session={client.cookies['session'].value}"

    answer = cli.call("GET", "/auth/verify", headers={"Cookie": cookie})

    refusal(answer, 401, 4013)
    assert "Set-Cookie" not in answer.headers


# --- signing in with a key --------------------------------------------------------------------------


def with_key(cli, user, number=0):
    cli.whoami()
    cli.keys_add("laptop", public_text(rsa_key(number)))
    cli.token, cli.key = "", rsa_key(number)


def test_a_key_signs_in(each_cli, dana):
    with_key(each_cli, dana)

    each_cli.whoami()

    assert each_cli.printed[-1] == f"user ID = {dana.pk}"
    assert PublicKey.objects.get().last_used_at


def test_a_key_replaces_the_password_only(cli, dana_with_app):
    """The answer is a challenge where MFA is on."""
    cli.otp = lambda: app_code(dana_with_app)
    cli.whoami()
    cli.keys_add("laptop", public_text(rsa_key()))
    cli.token, cli.key = "", rsa_key()
    cli.otp = lambda: app_code(dana_with_app, step=1)

    cli.whoami()

    assert cli.printed[-3:] == [
        "Key 'laptop' added to your account.",
        "This account has two-factor authentication enabled.",
        f"user ID = {dana_with_app.pk}",
    ]


def test_a_key_that_nobody_added(cli):
    cli.key = rsa_key(1)

    with pytest.raises(FatalError, match=r"\(4011\) Sign In Failed: Unknown key or invalid signature"):
        cli.whoami()


def nonce():
    return base64.b64encode(secrets.token_bytes(32)).decode()


def test_a_signature_works_once(cli, dana):
    """SR-38."""
    with_key(cli, dana)
    body, headers = signed_by(rsa_key(), nonce(), str(int(time.time())))
    assert cli.call("POST", "/auth/signin/key", body, headers=headers).status == 200

    answer = cli.call("POST", "/auth/signin/key", body, headers=headers)

    assert "already used" in refusal(answer, 401, 4011)


@pytest.mark.parametrize("seconds", [-301, 301, -86400])
def test_a_signature_of_another_time_is_refused(cli, dana, seconds):
    """SR-38."""
    with_key(cli, dana)
    with time_machine.travel(timezone.now(), tick=False):
        body, headers = signed_by(rsa_key(), nonce(), str(int(time.time()) + seconds))

        answer = cli.call("POST", "/auth/signin/key", body, headers=headers)

    assert "clock" in refusal(answer, 401, 4011)


@pytest.mark.parametrize("seconds", [-295, 295])
def test_clocks_may_differ_a_little(cli, dana, seconds):
    """SR-38."""
    with_key(cli, dana)
    body, headers = signed_by(rsa_key(), nonce(), str(int(time.time()) + seconds))

    assert cli.call("POST", "/auth/signin/key", body, headers=headers).status == 200


@pytest.mark.parametrize(
    "change",
    [
        {"signature": "AAAA"},
        {"signature": "not base64!"},
        {"signature": ""},
        {"publicKey": ""},
        {"publicKey": "ssh-rsa AAAA"},
        {"publicKey": "-----BEGIN RSA PRIVATE KEY-----"},
    ],
)
def test_a_forged_signature(cli, dana, change):
    with_key(cli, dana)
    body, headers = signed_by(rsa_key(), nonce(), str(int(time.time())))

    refusal(cli.call("POST", "/auth/signin/key", {**body, **change}, headers=headers), 401, 4011)


@pytest.mark.parametrize(
    "change",
    [
        {"X-Request-Nonce": "another"},
        {"X-Request-Nonce": ""},
        {"X-Request-Timestamp": "1700000000"},
        {"X-Request-Timestamp": "soon"},
        {"X-Request-Timestamp": "9" * 400},
    ],
)
def test_headers_of_another_request(cli, dana, change):
    """The signature is over the headers of the same request."""
    with_key(cli, dana)
    body, headers = signed_by(rsa_key(), nonce(), str(int(time.time())))

    answer = cli.call("POST", "/auth/signin/key", body, headers={**headers, **change})

    assert answer.status in {400, 401}
    assert set(answer.json) == {"title", "description", "code"}


def test_another_key_cannot_sign_for_mine(cli, dana):
    with_key(cli, dana)
    body, headers = signed_by(rsa_key(1), nonce(), str(int(time.time())))
    body["publicKey"] = public_text(rsa_key())

    refusal(cli.call("POST", "/auth/signin/key", body, headers=headers), 401, 4011)


def stores(user, number=0):
    """Let an account hold a key, as anybody can who has seen its public half."""
    return ssh_keys.add(user, "not mine", public_text(rsa_key(number)), Origin())


@pytest.mark.parametrize("thief_is_first", [True, False])
def test_a_key_signs_in_to_the_account_that_the_client_names(cli, dana, sam, thief_is_first):
    """SR-38: whoever else stores the public key, and whenever."""
    if thief_is_first:
        stores(sam)
    with_key(cli, dana)
    if not thief_is_first:
        stores(sam)
    assert cli.user_id == str(dana.pk)

    cli.whoami()

    assert cli.printed[-1] == f"user ID = {dana.pk}"
    assert PublicKey.objects.get(user=sam).last_used_at is None


def test_without_a_name_a_key_signs_in_to_the_account_that_has_used_it(cli, dana, sam):
    """SR-38: a sign-out forgets the name, and keeps the key."""
    stores(sam)
    with_key(cli, dana)
    cli.whoami()
    cli.logout()

    cli.whoami()

    assert cli.printed[-1] == f"user ID = {dana.pk}"


@pytest.mark.parametrize("holders", [1, 2])
def test_without_a_name_a_key_that_was_never_used_signs_in_nowhere(cli, dana, sam, holders):
    """SR-38: it may be that only somebody else has added it. Named once, it works."""
    stores(sam)
    if holders == 2:
        stores(dana)
    cli.key = rsa_key()

    with pytest.raises(FatalError, match=r"\(4011\) Sign In Failed: This key does not identify your account"):
        cli.whoami()

    assert not PublicKey.objects.filter(last_used_at__isnull=False).exists()
    assert not Token.objects.exists()


def test_a_name_that_does_not_hold_the_key_is_answered_like_an_unknown_key(cli, dana, sam):
    """SR-3, SR-38."""
    stores(sam)
    sam_disabled = UserFactory()
    stores(sam_disabled)
    User.objects.filter(pk=sam_disabled.pk).update(is_active=False)
    answers = set()
    for number, name in ((1, str(dana.pk)), (0, str(dana.pk)), (0, str(sam_disabled.pk)), (0, NOBODY), (0, "no id")):
        body, headers = signed_by(rsa_key(number), nonce(), str(int(time.time())))
        cli.user_id = name
        answer = cli.call("POST", "/auth/signin/key", body, headers=headers)
        refusal(answer, 401, 4011)
        answers.add(answer.text)

    assert len(answers) == 1


def test_a_user_agent_that_is_not_the_clients_names_nobody(cli, dana, sam):
    """A browser's User-Agent has a fourth word too."""
    with_key(cli, dana)
    cli.whoami()
    body, headers = signed_by(rsa_key(), nonce(), str(int(time.time())))
    headers["User-Agent"] = f"Mozilla/5.0 (X11; Linux {sam.pk}"

    assert cli.call("POST", "/auth/signin/key", body, headers=headers).json["id"] == str(dana.pk)


# --- section 6: pods and environments ---------------------------------------------------------------


def test_pods_are_open_to_everybody(cli, db):
    Pod.objects.create(name="pod01", phi_safe=True)

    answer = cli.call("GET", "/pods")

    assert answer.json == {"pods": [{"name": "pod01", "phiSafe": True, "importRequiresLength": False}]}


def test_no_pods_is_an_empty_list(cli, db):
    assert cli.call("GET", "/pods").json == {"pods": []}


def test_environments_are_those_of_the_pod(cli, staging, clinic):
    other = Environment.objects.create(organization=clinic, name="clinic-live", pod=Pod.objects.get(name="pod02"))
    cli.whoami()

    answers = {pod: cli.call("GET", "/environments", pod=pod).json for pod in ("pod01", "pod02", "pod03", "")}

    assert answers["pod01"] == [
        {"id": str(staging.pk), "name": "clinic-staging", "namespace": "", "organizationId": str(clinic.pk)}
    ]
    assert [row["id"] for row in answers["pod02"]] == [str(other.pk)]
    assert answers["pod03"] == []
    assert len(answers[""]) == 2


def test_an_environment_is_retrieved(cli, staging, clinic):
    cli.whoami()

    answer = cli.call("GET", f"/environments/{staging.pk}", pod="pod01")

    assert answer.json["name"] == "clinic-staging"
    assert answer.json["organizationId"] == str(clinic.pk)


def test_environments_of_others_do_not_exist(cli, staging, sam, new_cli):
    """SR-39."""
    stranger = new_cli(sam)
    stranger.whoami()

    assert stranger.call("GET", "/environments").json == []
    refusal(stranger.call("GET", f"/environments/{staging.pk}"), 404, 4040)


INSIDE = ["services", "metrics", "images", "services/1/metrics", "images/web/tags"]


@pytest.mark.parametrize("inside", INSIDE)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_what_would_run_in_an_environment_is_refused_in_words(cli, staging, sam, new_cli, method, inside):
    """`associate` and `init` end there: an empty list would crash `logs`. SR-39 for strangers."""
    stranger = new_cli(sam)
    stranger.whoami()
    cli.whoami()
    path = f"/environments/{staging.pk}/{inside}"
    if (method, inside) in {("POST", "services"), ("DELETE", "services")}:
        refusal(cli.call(method, path), 405, 4050)
        return

    answer = cli.call(method, path)

    assert "does not serve the services" in refusal(answer, 404, 4041)
    assert answer.json["title"] == "No Services Here"
    refusal(stranger.call(method, path), 404, 4040)
    cli.token = ""
    refusal(cli.call(method, path), 401, 4013)


def test_an_environment_is_not_renamed_at_the_command_line(cli, staging, sam, new_cli):
    stranger = new_cli(sam)
    stranger.whoami()
    cli.whoami()

    answer = cli.call("PUT", f"/environments/{staging.pk}", {"name": "renamed"})

    assert "in the browser" in refusal(answer, 403, 4032)
    refusal(stranger.call("PUT", f"/environments/{staging.pk}", {"name": "renamed"}), 404, 4040)
    assert Environment.objects.get().name == "clinic-staging"


def test_the_client_that_imports_a_database_finds_the_portal_well(each_cli):
    """Without it `db import` panics. It tells nothing of the portal. SR-62."""
    answer = each_cli.call("GET", "/healthcheck")

    assert (answer.status, answer.json) == (200, {"status": "ok"})


# --- section 7: keys ----------------------------------------------------------------------------------


def test_keys_are_listed_added_and_removed(each_cli):
    each_cli.whoami()
    assert each_cli.call("GET", "/keys").json == []

    each_cli.keys_add("my laptop", public_text(rsa_key()))
    without_comment = " ".join(public_text(rsa_key()).split()[:2])
    assert each_cli.call("GET", "/keys").json == [{"name": "my laptop", "key": f"{without_comment}\n"}]
    each_cli.keys_rm("my laptop")

    assert each_cli.call("GET", "/keys").json == []
    assert {event.kind for event in SecurityEvent.objects.all()} >= {"key_added", "key_removed"}


def openssh(key) -> str:
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def test_ed25519_is_stored_too(cli):
    cli.whoami()

    cli.keys_add("laptop", openssh(Ed25519PrivateKey.generate()))

    assert PublicKey.objects.get().text.startswith("ssh-ed25519 ")


def a_small_key():
    return openssh(rsa_key(2, 1024))


@pytest.mark.parametrize(
    "make",
    [
        a_small_key,
        lambda: openssh(ec.generate_private_key(ec.SECP256R1())),
        lambda: "",
        lambda: "ssh-rsa",
        lambda: "ssh-rsa AAAA",
        lambda: "ssh-rsa not base64",
        lambda: f"ssh-ed25519 {public_text(rsa_key()).split()[1]}",
        lambda: "ssh-rsa " + "A" * 20_000,
        lambda: "nul\0",
        lambda: "ümlaut",
    ],
)
def test_what_is_no_good_key_is_refused(cli, make):
    cli.whoami()

    refusal(cli.call("POST", "/keys", {"name": "laptop", "key": make()}), 400, 4000)


def test_refusing_a_key_recommends_one_that_the_client_takes(cli):
    """It signs in with RSA alone."""
    cli.whoami()
    key = openssh(ec.generate_private_key(ec.SECP256R1()))

    words = refusal(cli.call("POST", "/keys", {"name": "laptop", "key": key}), 400, 4000)

    assert "RSA" in words
    assert "Ed25519" not in words


@pytest.mark.parametrize(
    "name", ["", " ", "a/b", "a?b", "a%b", "a#b", "a\\b", "x" * 65, "a\nb", ".", "..", "a\0", " a", "-a"]
)
def test_names_that_would_not_survive_a_path_are_refused(cli, name):
    cli.whoami()

    refusal(cli.call("POST", "/keys", {"name": name, "key": public_text(rsa_key())}), 400, 4000)


def test_names_and_keys_are_unique_in_an_account(cli, sam, new_cli):
    cli.whoami()
    cli.keys_add("laptop", public_text(rsa_key()))

    for name, number in (("laptop", 1), ("another name", 0)):
        answer = cli.call("POST", "/keys", {"name": name, "key": public_text(rsa_key(number))})
        refusal(answer, 409, 4090)
    sams = new_cli(sam)
    sams.whoami()
    sams.keys_add("laptop", public_text(rsa_key(1)))


def test_a_key_of_somebody_else_cannot_be_removed(cli, sam, new_cli):
    cli.whoami()
    cli.keys_add("laptop", public_text(rsa_key()))
    sams = new_cli(sam)
    sams.whoami()

    refusal(sams.call("DELETE", "/keys/laptop"), 404, 4040)

    assert PublicKey.objects.count() == 1


def test_the_owner_is_told_of_a_new_key(cli):
    cli.whoami()
    cli.keys_add("laptop", public_text(rsa_key()))

    assert "SSH key added" in read_mail()[-1].body


# --- section 8: organizations -------------------------------------------------------------------------


def link_in_mail() -> str:
    (link,) = [line for line in read_mail()[-1].body.splitlines() if "code=" in line]
    return link


@pytest.fixture
def own_site(settings, live_server):
    settings.SITE_URL = live_server.url


def test_an_invitation_is_sent_listed_and_accepted(each_cli, own_site, clinic, sam, new_cli):
    each_cli.whoami()
    each_cli.invites_send(clinic.pk, "Sam@Example.com")
    link = link_in_mail()
    sams = new_cli(sam, version=each_cli.version)

    listed = each_cli.call("GET", f"/orgs/{clinic.pk}/invites").json
    sams.invites_accept(link.split("code=")[1])

    path = "/accept-invite" if each_cli.is_old else "/account/accept-invite"
    assert link.startswith(f"{each_cli.url}{path}?code=")
    assert listed == [
        {
            "id": str(Invitation.objects.get().pk),
            "orgID": str(clinic.pk),
            "senderID": each_cli.user_id,
            "roleID": 5,
            "email": "Sam@Example.com",
            "consumed": False,
            "revoked": False,
        }
    ]
    assert sams.printed == [f"Successfully joined organization ({clinic.pk}) as sam@example.com"]
    assert each_cli.call("GET", f"/orgs/{clinic.pk}/invites").json == []
    assert Membership.objects.get(user=sam).role == Role.MEMBER


def test_no_code_of_an_invitation_looks_like_an_option(cli, clinic, monkeypatch):
    """The client takes what begins with a dash for an option: all that a code is made of is letters and digits."""
    for byte in (0x00, 0xF8, 0xFB, 0xFF):
        monkeypatch.setattr(secrets, "token_bytes", lambda size, byte=byte: bytes([byte]) * size)
        invitations.send(Membership.objects.get(), f"a{byte}@example.com", role=Role.MEMBER, origin=Origin())

    codes = [invitations.link_of(row).split("code=")[1] for row in Invitation.objects.all()]

    assert len(set(codes)) == 4
    assert all(code.isascii() and code.isalnum() for code in codes)


def test_an_invitation_of_before_works_although_its_code_begins_with_a_dash(cli, clinic, sam, new_cli):
    cli.whoami()
    cli.invites_send(clinic.pk, sam.email)
    code = "-AbCdEfGhIjKlMnOpQrStUvWxYz_0123"
    Invitation.objects.update(digest=digest_of(code), sealed_code=seal(code.encode()))
    sams = new_cli(sam)

    sams.invites_accept(code)

    assert Membership.objects.filter(user=sam).exists()


@pytest.mark.parametrize(
    "template",
    [
        "https://evil.example/account/accept-invite?code={inviteCode}",
        "{site}@evil.example/account/accept-invite?code={inviteCode}",
        "{site}.evil.example/account/accept-invite?code={inviteCode}",
        "{site}/account/login?next={inviteCode}",
        "javascript:alert('{inviteCode}')",
        "",
    ],
)
def test_a_link_template_that_leads_elsewhere_is_not_followed(cli, own_site, clinic, template):
    cli.whoami()
    template = template.replace("{site}", cli.url)
    body = {"email": "new@example.com", "role": 5, "linkTemplate": template}

    cli.must("POST", f"/orgs/{clinic.pk}/invites", body)

    assert link_in_mail().startswith(f"{cli.url}/account/accept-invite?code=")


def test_a_withdrawn_invitation_is_gone(cli, clinic, sam, new_cli):
    """SR-43."""
    cli.whoami()
    cli.invites_send(clinic.pk, sam.email)
    code = link_in_mail().split("code=")[1]
    invitation = Invitation.objects.get()

    assert cli.call("DELETE", f"/orgs/{clinic.pk}/invites/{invitation.pk}").status == 204

    assert cli.call("GET", f"/orgs/{clinic.pk}/invites").json == []
    sams = new_cli(sam)
    sams.whoami()
    refusal(sams.call("POST", f"/orgs/accept-invite/{code}"), 404, 4040)
    refusal(cli.call("DELETE", f"/orgs/{clinic.pk}/invites/{invitation.pk}"), 404, 4040)


def test_withdrawing_by_address_says_that_an_id_is_meant(cli, clinic, sam, new_cli):
    """SR-39: a stranger is told no more than of any other address."""
    MembershipFactory(organization=clinic, user=sam)
    stranger, member = new_cli(UserFactory()), new_cli(sam)
    for one in (cli, stranger, member):
        one.whoami()
    cli.invites_send(clinic.pk, "new@example.com")

    path = f"/orgs/{clinic.pk}/invites/new@example.com"

    assert "the id of the invitation" in refusal(cli.call("DELETE", path), 404, 4040)
    assert "the id of the invitation" not in refusal(stranger.call("DELETE", path), 404, 4040)
    refusal(member.call("DELETE", path), 403, 4030)
    assert Invitation.objects.get().revoked_at is None


def test_an_invitation_works_once_for_its_address_and_not_for_ever(cli, clinic, sam, new_cli):
    """SR-43."""
    cli.whoami()
    cli.invites_send(clinic.pk, sam.email)
    code = link_in_mail().split("code=")[1]
    eve = UserFactory(email="eve@example.com")
    eves, sams = new_cli(eve), new_cli(sam)
    eves.whoami()
    sams.whoami()

    refusal(eves.call("POST", f"/orgs/accept-invite/{code}"), 403, 4030)
    with time_machine.travel(timezone.now() + timedelta(days=7, minutes=1)):
        sams.token = ""
        sams.signs_in()
        refusal(sams.call("POST", f"/orgs/accept-invite/{code}"), 404, 4040)
    sams.token = ""
    sams.invites_accept(code)
    refusal(sams.call("POST", f"/orgs/accept-invite/{code}"), 404, 4040)


def test_a_second_invitation_replaces_the_first(cli, clinic, sam, new_cli):
    cli.whoami()
    cli.invites_send(clinic.pk, sam.email)
    first = link_in_mail().split("code=")[1]
    with time_machine.travel(timezone.now() + timedelta(minutes=2)):
        cli.invites_send(clinic.pk, sam.email.upper())
    sams = new_cli(sam)
    sams.whoami()

    assert len(cli.call("GET", f"/orgs/{clinic.pk}/invites").json) == 1
    refusal(sams.call("POST", f"/orgs/accept-invite/{first}"), 404, 4040)
    sams.invites_accept(link_in_mail().split("code=")[1])


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"email": "dana@EXAMPLE.com", "role": 5}, 409),
        ({"email": "no address", "role": 5}, 400),
        ({"email": "a@example.com\nBcc: eve@example.com", "role": 5}, 400),
        ({"email": "a@example.com", "role": 4}, 400),
        ({"email": "a@example.com", "role": "five"}, 400),
        ({"role": 5}, 400),
        ({"email": f"{'x' * 250}@example.com", "role": 5}, 400),
    ],
)
def test_an_invitation_that_makes_no_sense(cli, clinic, body, status):
    cli.whoami()

    answer = cli.call("POST", f"/orgs/{clinic.pk}/invites", body)

    refusal(answer, status, status * 10)
    assert not Invitation.objects.exists()


def test_users_are_listed_with_their_groups(each_cli, clinic, sam):
    MembershipFactory(organization=clinic, user=sam)

    each_cli.users_list(clinic.pk)

    assert each_cli.printed == ["Dana@example.com owners", "sam@example.com members"]


def test_groups_and_their_members_are_always_lists(cli, clinic):
    cli.whoami()

    answer = cli.call("GET", f"/acls/{clinic.pk}/groups").json

    assert [group["name"] for group in answer["groups"]] == ["owners", "admins", "members"]
    assert answer["groups"][0] == {
        "name": "owners",
        "acls": ["*"],
        "protected": True,
        "members": [{"id": cli.user_id, "email": "Dana@example.com"}],
    }
    assert answer["groups"][1]["members"] == []


def test_a_user_is_removed(each_cli, clinic, sam):
    MembershipFactory(organization=clinic, user=sam)

    each_cli.users_rm(clinic.pk, "sam@example.com")

    assert each_cli.printed[-1] == "Removed sam@example.com from your environment's organization."
    assert not Membership.objects.filter(user=sam).exists()


def test_the_last_owner_cannot_be_removed(cli, clinic, dana):
    """SR-40."""
    cli.whoami()

    answer = cli.call("DELETE", f"/orgs/{clinic.pk}/users/{dana.pk}")

    refusal(answer, 403, 4030)
    assert Membership.objects.filter(user=dana).exists()


# --- organizations that require MFA -------------------------------------------------------------------


@pytest.fixture
def strict_clinic(clinic):
    clinic.mfa_required_at = timezone.now()
    clinic.save()
    return clinic


def test_without_mfa_a_strict_organization_shows_the_names_of_its_environments(each_cli, staging, strict_clinic):
    """SR-41: else the client says that there are none, or offers one of another organization in their place."""
    each_cli.environments_list()

    assert each_cli.printed == [f"clinic-staging: {staging.pk}"]
    assert each_cli.call("GET", "/environments", pod="pod01").json == [
        {"id": str(staging.pk), "name": "clinic-staging", "organizationId": str(strict_clinic.pk)}
    ]
    assert each_cli.call("GET", "/environments", pod="pod02").json == []


def test_a_command_about_a_closed_environment_is_told_why_and_leads_to_no_other(each_cli, dana, staging, strict_clinic):
    """SR-41: `-E clinic-staging users list`."""
    other = OrganizationFactory(name="Lab")
    MembershipFactory(organization=other, user=dana)
    Environment.objects.create(organization=other, name="lab-live", pod=Pod.objects.get(name="pod01"))

    organization = each_cli.organization_of("clinic-staging")
    with pytest.raises(FatalError, match=r"\(4031\) .*: Clinic requires multi-factor authentication"):
        each_cli.users_list(organization)

    assert organization == str(strict_clinic.pk)
    open_one = each_cli.must("GET", f"/orgs/{other.pk}/users").json
    assert [user["email"] for user in open_one] == ["Dana@example.com"]


def test_every_refusal_of_a_strict_organization_says_what_to_do_and_where(cli, staging, strict_clinic):
    """SR-41."""
    cli.whoami()
    org = strict_clinic.pk

    for method, path, body in (
        ("GET", f"/environments/{staging.pk}", None),
        ("PUT", f"/environments/{staging.pk}", {"name": "renamed"}),
        ("GET", f"/environments/{staging.pk}/services", None),
        ("GET", f"/environments/{staging.pk}/metrics", None),
        ("GET", f"/orgs/{org}/invites", None),
        ("POST", f"/orgs/{org}/invites", {"email": "a@example.com", "role": 5}),
        ("DELETE", f"/orgs/{org}/invites/{NOBODY}", None),
        ("DELETE", f"/orgs/{org}/invites/sam@example.com", None),
        ("GET", f"/orgs/{org}/users", None),
        ("DELETE", f"/orgs/{org}/users/{NOBODY}", None),
        ("GET", f"/acls/{org}/groups", None),
    ):
        description = refusal(cli.call(method, path, body), 403, 4031)
        assert "Activate it at http://testserver/account/mfa/activate and sign in again." in description


def test_a_token_of_before_the_requirement_is_stopped_too(cli, clinic, staging):
    """SR-41."""
    cli.whoami()
    assert cli.call("GET", f"/environments/{staging.pk}").status == 200

    clinic.mfa_required_at = timezone.now()
    clinic.save()

    refusal(cli.call("GET", f"/environments/{staging.pk}"), 403, 4031)
    assert [set(row) for row in cli.call("GET", "/environments").json] == [{"id", "name", "organizationId"}]


def test_with_mfa_a_strict_organization_is_open(cli, dana_with_email, staging, strict_clinic):
    cli.otp = mailed_code

    cli.environments_list()

    assert cli.printed[-1] == f"clinic-staging: {staging.pk}"


def test_an_invitation_of_a_strict_organization_waits_for_mfa(cli, strict_clinic, dana_with_app, sam, new_cli):
    """SR-43."""
    cli.otp = lambda: app_code(dana_with_app)
    cli.whoami()
    cli.invites_send(strict_clinic.pk, sam.email)
    code = link_in_mail().split("code=")[1]
    sams = new_cli(sam)
    sams.whoami()

    refusal(sams.call("POST", f"/orgs/accept-invite/{code}"), 403, 4031)

    assert not Membership.objects.filter(user=sam).exists()
    add_mode(sam, "email")
    sams.otp = mailed_code
    sams.invites_accept(code)
    assert Membership.objects.filter(user=sam).exists()


# --- sections 1 to 3: addresses, headers, errors --------------------------------------------------------


PATHS = [
    ("GET", "/pods"),
    ("GET", "/environments"),
    ("GET", f"/environments/{NOBODY}"),
    ("PUT", f"/environments/{NOBODY}"),
    ("GET", f"/environments/{NOBODY}/services"),
    ("GET", f"/environments/{NOBODY}/metrics"),
    ("GET", "/healthcheck"),
    ("GET", "/auth/verify"),
    ("POST", "/auth/signin"),
    ("POST", "/auth/signin/key"),
    ("POST", f"/auth/signin/mfa/{NOBODY}"),
    ("DELETE", "/auth/signout"),
    ("GET", "/keys"),
    ("POST", "/keys"),
    ("DELETE", "/keys/laptop"),
    ("GET", f"/orgs/{NOBODY}/invites"),
    ("POST", f"/orgs/{NOBODY}/invites"),
    ("DELETE", f"/orgs/{NOBODY}/invites/{NOBODY}"),
    ("POST", "/orgs/accept-invite/code"),
    ("GET", f"/orgs/{NOBODY}/users"),
    ("DELETE", f"/orgs/{NOBODY}/users/{NOBODY}"),
    ("GET", f"/acls/{NOBODY}/groups"),
]


@pytest.mark.parametrize("prefix", ["/v2", "/", "/v2/", ""])
def test_every_path_answers_directly_also_behind_a_prefix(cli, settings, prefix):
    """A host with a slash at its end makes a double one."""
    settings.API_PREFIXES = ["/v2"]

    for method, path in PATHS:
        answer = cli.call(method, prefix + path, {} if method == "POST" else None)

        assert answer.status in {200, 204, 400, 401}, path
        assert answer.status == 204 or answer.headers["Content-Type"].startswith("application/json")
        assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("signed_in", [True, False])
def test_a_body_that_is_no_json_gets_json(cli, signed_in):
    if signed_in:
        cli.whoami()
    host = urlsplit(cli.url)
    headers = {"Authorization": f"Bearer {cli.token}", "Content-Type": "application/json"}
    bodies = [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b"<html>", b"[" * 30_000, b"a=b"]
    for path, body in [(path, body) for method, path in PATHS if method == "POST" for body in bodies]:
        connection = http.client.HTTPConnection(host.hostname, host.port)
        connection.request("POST", path, body, headers)

        response = connection.getresponse()

        assert response.status in {400, 401, 404}, (path, body)
        assert set(json.loads(response.read())) == {"title", "description", "code"}
        connection.close()


ODD = ["nul\0", "\ud800", "x" * 20_000, 77, None, True, [], {}, ["x"]]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/auth/signin", {"identifier": "dana", "password": PASSWORD}),
        ("/auth/signin/key", {"publicKey": "x", "signature": "x"}),
        (f"/auth/signin/mfa/{NOBODY}", {"otp": "123456"}),
        ("/keys", {"name": "x", "key": "x"}),
        ("/orgs/{org}/invites", {"email": "x@example.com", "role": 5, "linkTemplate": "x"}),
    ],
)
def test_every_odd_field_is_refused_in_words(cli, clinic, path, body):
    """SR-32, SR-49."""
    cli.whoami()
    for name, value in [(name, value) for name in body for value in ODD]:
        answer = cli.call("POST", path.format(org=clinic.pk), {**body, name: value})

        assert answer.status in {400, 401}, (name, value, answer.text)
        assert set(answer.json) == {"title", "description", "code"}


def test_what_was_sent_is_not_sent_back(cli):
    """SR-19."""
    answer = cli.call("POST", "/auth/signin", {"identifier": ["x"], "password": {"secret": "hunter2hunter2"}})

    assert "hunter2" not in answer.text


def test_a_body_over_the_limit(cli):
    """SR-49."""
    answer = cli.call("POST", "/auth/signin", {"identifier": "x" * 70_000, "password": "x"})

    refusal(answer, 413, 4130)


@pytest.mark.parametrize("path", ["/auth/nothing", "/orgs", "/keys/a/b", "/pods/", "/acls/x/groups", "/environments/x"])
def test_no_html_for_what_is_not_there(cli, path):
    refusal(cli.call("GET", path), 404, 4040)


@pytest.mark.parametrize("header", ["User-Agent", "X-CLI-Version"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("path", ["/v9/auth/signin", "/", "/account", "/account/login", "/admin/", "/v9//pods"])
def test_the_client_gets_json_at_every_address(cli, method, path, header):
    """An unknown prefix would show a page of HTML in the terminal, or lead on to one."""
    without = {"User-Agent": "curl/8"} if header == "X-CLI-Version" else {"X-CLI-Version": ""}
    answer = cli.call(method, path, {}, headers=without)

    assert "AUTH_HOST_VERSION" in refusal(answer, 404, 4040)
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Location" not in answer.headers


def test_a_browser_gets_pages_where_the_client_gets_json(client):
    assert client.get("/account/login").headers["Content-Type"].startswith("text/html")
    assert client.get("/v9/auth/signin").headers["Content-Type"].startswith("text/html")
    assert client.get("/account").status_code == 302


@pytest.mark.parametrize(("method", "path"), [("PUT", "/keys"), ("POST", "/pods"), ("GET", "/auth/signin")])
def test_no_html_for_a_wrong_method(cli, method, path):
    answer = cli.call(method, path, {})

    refusal(answer, 405, 4050)
    assert answer.headers["Allow"]


def test_no_html_for_a_forged_host(cli):
    refusal(cli.call("GET", "/pods", headers={"Host": "evil.example"}), 400, 4000)


def test_no_html_for_a_fault_of_ours(cli, monkeypatch):
    from organizations import environments

    def fault():
        raise RuntimeError("a fault with a secret")

    monkeypatch.setattr(environments, "pods", fault)

    answer = cli.call("GET", "/pods")

    assert "secret" not in refusal(answer, 500, 5000)


def test_an_address_with_a_nul_or_broken_utf8(cli):
    for path in ("/keys/%00", "/keys/%ff"):
        refusal(cli.call("DELETE", path), 400, 4000)


def test_the_document_is_served_without_any_outside_asset(live_server):
    page = Client().get("/api/docs").content.decode()

    assert "http://" not in page.replace("http://testserver", "")
    assert "https://" not in page
    schema = Client().get("/api/openapi.json").json()
    assert {path.split("/")[1] for path in schema["paths"]} == {
        "auth",
        "keys",
        "pods",
        "environments",
        "healthcheck",
        "orgs",
        "acls",
        "api",
    }


def test_the_document_explains_every_code(live_server):
    from datica_account import api

    description = Client().get("/api/openapi.json").json()["info"]["description"]

    for status, code, title in api.ALL:
        assert f"| {code} | {status} | {title} |" in description
