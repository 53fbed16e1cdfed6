"""I download what the portal knows of me (SR-63)."""

import csv
import json
import re
from datetime import UTC, datetime, timedelta
from io import BytesIO, StringIO
from zipfile import ZipFile

import pytest
import time_machine
from django.utils import timezone

from accounts import data_export, housekeeping, security_log
from accounts.account_parts import AccountPart
from accounts.models import DataExport, PublicKey, SecurityEvent, User
from accounts.security_log import Kind, Origin
from accounts.tests.factories import new_key
from mfa import recovery
from mfa.models import Factor, RecoveryCodes
from mfa.tests.factories import add_mode, add_passkey
from organizations import invitations, membership
from organizations.models import Invitation, Role
from organizations.tests.factories import MembershipFactory
from tests.emails import read_mail
from tests.pages import text_of
from tests.signing_in import sign_in

pytestmark = pytest.mark.django_db

PAGE = "/account/data"
PROGRESS = f"{PAGE}/progress"


def link_of(client) -> str:
    export = client.get(PAGE).context["export"]
    return f"{PAGE}/{export.pk}.zip"


def archive_of(client) -> ZipFile:
    answer = client.get(link_of(client))
    assert answer.headers["Content-Type"] == "application/zip"
    assert "no-store" in answer.headers["Cache-Control"]
    return ZipFile(BytesIO(answer.content))


def table(archive, name) -> list[dict]:
    """Return the rows of a table; its CSV file has as many."""
    rows = json.loads(archive.read(f"json/{name}.json"))
    lines = list(csv.reader(StringIO(archive.read(f"csv/{name}.csv").decode())))
    assert len(lines) == len(rows) + 1
    assert not rows or lines[0] == list(rows[0])
    return rows


def make(client, user) -> ZipFile:
    sign_in(client, user)
    assert client.post(PAGE).url == PAGE
    assert data_export.build_waiting() == 1
    return archive_of(client)


def test_i_ask_a_worker_builds_it_i_am_told_and_download_it(client, dana):
    """SR-63: the page says how far it is, the log and a mail that it was made."""
    sign_in(client, dana)
    assert "Make a copy" in text_of(client.get(PAGE))

    page = client.post(PAGE, follow=True)
    assert "Your copy is waiting for its turn." in text_of(page)
    assert "Look again" in text_of(page)
    assert f'data-follow="{PROGRESS}"' in page.content.decode()
    data_export.build_waiting()

    assert "Your copy is ready" in text_of(client.get(PROGRESS))
    assert json.loads(archive_of(client).read("json/account.json"))[0]["email"] == "Dana@example.com"
    assert Kind.DATA_EXPORTED in SecurityEvent.objects.filter(user=dana).values_list("kind", flat=True)
    told = read_mail()[-1]
    assert (told.to, told.subject) == (["Dana@example.com"], "Datica: the copy of your data is ready")
    assert "http://testserver/account/data" in told.body


def test_the_line_that_follows_the_worker_ends_as_the_page_that_i_open_again(client, dana):
    """Whether the copy waits, is ready or has failed: with the same words and buttons, which work."""
    sign_in(client, dana)
    client.post(PAGE)
    for state, button in ((None, None), ("ready", "Make a new copy"), ("failed", "Make a copy")):
        if state == "ready":
            data_export.build_waiting()
        elif state == "failed":
            DataExport.objects.update(size=0, archive=None)  # given up
        line = text_of(client.get(PROGRESS))
        assert line in text_of(client.get(PAGE))
        assert "Back to the settings" in line
        assert [word for word in ("Make a new copy", "Make a copy") if word in line] == [button] * bool(button)

    client.handler.enforce_csrf_checks = True
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', client.get(PROGRESS).content.decode())[1]
    assert client.post(PAGE, {"csrfmiddlewaretoken": token}).status_code == 302


def test_each_app_contributes_what_it_knows(client, dana, sam):
    add_mode(dana, "email")
    add_passkey(dana, name="My laptop")
    recovery.confirm(dana, recovery.make(dana)[0], Origin())
    PublicKey.objects.create(user=dana, name="work", text=new_key(), fingerprint="abc")
    owner = MembershipFactory(user=sam, role=Role.OWNER, organization__name="Clinic")
    MembershipFactory(user=dana, organization=owner.organization)
    invitations.send(MembershipFactory(user=sam, role=Role.OWNER), dana.email, role=Role.MEMBER, origin=Origin())
    membership.record(owner.organization, dana, "left", Origin("192.0.2.1"), subject="sam@example.com")
    security_log.record(sam, Kind.KEY_ADDED, Origin())

    archive = make(client, dana)

    assert [row["mode"] for row in table(archive, "modes")] == ["email", "passkey"]
    assert [row["name"] for row in table(archive, "passkeys")] == ["My laptop"]
    assert [row["sha256_fingerprint"] for row in table(archive, "ssh_keys")] == ["abc"]
    assert [row["organization"] for row in table(archive, "memberships")] == ["Clinic"]
    assert [row["role"] for row in table(archive, "invitations_to_me")] == ["member"]
    assert [row["ip_address"] for row in table(archive, "acts_in_organizations")] == ["192.0.2.1"]
    assert table(archive, "sessions")[0]["ip_address"] == "127.0.0.1"
    assert table(archive, "emails_to_me")[0]["delivery"] == "accepted"
    log = [row["kind"] for row in table(archive, "security_log")]
    assert "signed_in" in log
    assert "key_added" not in log
    assert "This is what Datica knows of you, on " in archive.read("README.txt").decode()


def test_what_explains_it_is_in_my_language_and_time(client, dana):
    """The worker speaks another one, and the files are from today."""
    User.objects.filter(pk=dana.pk).update(language="de", last_time_zone="Asia/Tokyo")
    with time_machine.travel(datetime(2026, 7, 1, 20, 30, tzinfo=UTC), tick=False):
        archive = make(client, dana)

    explained = archive.read("README.txt").decode()
    assert "2. Juli 2026, 05:30 JST" in explained
    assert "UTC" in explained
    assert {file.date_time for file in archive.infolist()} == {(2026, 7, 2, 5, 30, 0)}
    assert table(archive, "security_log")[0]["at"] == "2026-07-01T20:30:00Z"


def test_no_secret_and_nothing_of_others_is_in_it(client, dana, sam):
    """SR-18, SR-63: neither the secrets nor what stands for them in the database, nor who an act was about."""
    add_mode(dana, "authenticator")
    recovery.make(dana)
    User.objects.filter(pk=dana.pk).update(withdrawn_password=dana.password.swapcase())
    owner = MembershipFactory(user=dana, role=Role.OWNER)
    invitations.send(owner, "other@example.com", role=Role.MEMBER, origin=Origin())

    archive = make(client, dana)

    everything = b"".join(archive.read(name) for name in archive.namelist()).decode()
    assert "other@example.com" not in everything
    dana.refresh_from_db()
    for secret in (
        dana.withdrawn_password,
        dana.password,
        client.session.session_key,
        Factor.objects.get().sealed_secret,
        RecoveryCodes.objects.get().sealed_secret,
        Invitation.objects.get().sealed_code,
        dana.get_session_auth_hash(),
    ):
        assert secret not in everything


def test_a_name_that_is_a_formula_is_none_in_a_spreadsheet(client, dana):
    dana.name = "=cmd|' /C calc'!A0"
    dana.save()

    archive = make(client, dana)

    assert "'=cmd" in archive.read("csv/account.csv").decode()
    assert table(archive, "account")[0]["name"] == dana.name


def test_it_is_mine_alone_needs_a_recent_proof_and_lasts_a_day(client, dana_with_app, sam, another_browser):
    """SR-22, SR-63."""
    make(client, dana_with_app)
    path, other = link_of(client), another_browser()
    sign_in(other, sam)

    assert other.get(path).status_code == 404
    assert another_browser().get(path).url.startswith("/account/login")
    session = client.session
    session["proven_at"] -= 3600
    session.save()
    assert client.get(path).url.startswith("/account/confirm")
    assert client.post(PAGE).url.startswith("/account/confirm")

    with time_machine.travel(timezone.now() + timedelta(hours=25)):
        assert data_export.read(dana_with_app, DataExport.objects.get().pk) is None
        housekeeping.forget_expired()
    assert not DataExport.objects.exists()


def test_the_database_holds_it_encrypted(client, dana):
    """SR-18: it is no archive for who copies the table."""
    make(client, dana)

    export = DataExport.objects.get()

    assert not bytes(export.archive).startswith(b"PK")
    assert data_export.read(dana, export.pk).startswith(b"PK")


def test_there_is_one_at_a_time(client, dana):
    """A new copy replaces the old one, and asking twice builds one."""
    make(client, dana)
    first = DataExport.objects.get().pk

    client.post(PAGE)
    client.post(PAGE)

    assert DataExport.objects.exclude(pk=first).count() == DataExport.objects.count() == 1


def test_after_five_in_a_day_i_have_to_wait(client, dana):
    sign_in(client, dana)
    for _number in range(5):
        client.post(PAGE)
        data_export.build_waiting()

    assert "Try again in" in text_of(client.post(PAGE, follow=True))


def test_a_long_log_is_cut_and_the_archive_says_so(client, dana, monkeypatch):
    """The newest stay."""
    monkeypatch.setattr(data_export, "MAX_ROWS", 4)
    monkeypatch.setattr(data_export, "PROGRESS_BATCH", 2)
    for _number in range(5):
        security_log.record(dana, Kind.CODE_REFUSED, Origin())

    archive = make(client, dana)

    assert [row["kind"] for row in table(archive, "security_log")] == ["signed_in"] + ["code_refused"] * 3
    assert "only the newest 4 rows: security_log." in archive.read("README.txt").decode()


class Dies(AccountPart):
    """A part at which the worker is killed."""

    def sections(self, user):
        raise KeyboardInterrupt


def test_a_worker_that_dies_is_followed_by_another_one_and_at_last_it_is_given_up(client, dana, monkeypatch):
    """SR-63: nothing half-made can be downloaded."""
    sign_in(client, dana)
    client.post(PAGE)
    monkeypatch.setattr(data_export.account_parts, "PARTS", [*data_export.account_parts.PARTS, Dies()])
    now = timezone.now()
    for number in range(3):
        with time_machine.travel(now + number * timedelta(minutes=6)), pytest.raises(KeyboardInterrupt):
            data_export.build_waiting()
    page = text_of(client.get(PROGRESS))
    assert "We are making your copy:" in page
    assert " rows so far" in page

    with time_machine.travel(now + timedelta(minutes=4)):
        assert data_export.build_waiting() == 0
    with time_machine.travel(now + timedelta(minutes=20)):
        assert data_export.build_waiting() == 0

    assert "Your copy could not be made." in text_of(client.get(PROGRESS))
    assert client.get(link_of(client)).status_code == 404
    assert "Make a copy" in text_of(client.get(PAGE))


def test_an_account_that_goes_while_its_copy_is_made_stops_it(client, dana, monkeypatch):
    class Goes(AccountPart):
        def sections(self, user):
            DataExport.objects.all().delete()
            return ()

    sign_in(client, dana)
    client.post(PAGE)
    monkeypatch.setattr(data_export.account_parts, "PARTS", [Goes(), *data_export.account_parts.PARTS])

    assert data_export.build_waiting() == 0

    assert not SecurityEvent.objects.filter(kind=Kind.DATA_EXPORTED).exists()
