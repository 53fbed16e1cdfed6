"""The command-line client as the wire contract describes it: its calls, its headers, what it prints.

Written from the contract alone; the real client is run against the portal elsewhere.
"""

import base64
import http.client
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


class FatalError(Exception):
    """What the client prints in red before it exits with 1."""


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


@dataclass
class Cli:
    """One computer with the client on it. ``otp`` is asked for the code, ``printed`` is what the user sees."""

    url: str
    email: str = ""
    password: str = ""
    version: str = "4.4.1"
    otp: Callable[[], str] = lambda: ""
    key: RSAPrivateKey | None = None
    token: str = ""
    user_id: str = ""
    pods: list[str] = field(default_factory=list)
    printed: list[str] = field(default_factory=list)
    mfa_type: str = ""

    @property
    def is_old(self) -> bool:
        return self.version.startswith("3.")

    def call(
        self, method: str, path: str, body: object = None, *, pod: str = "", headers: dict[str, str] | None = None
    ) -> Answer:
        """Make one call with the client's headers."""
        host = urlsplit(self.url)
        connection = http.client.HTTPConnection(host.hostname or "", host.port, timeout=30)
        sent = {
            "Accept": "application/json",
            "Content-Type": "application/json",
            "Authorization": f"Bearer {self.token}".rstrip(),
            "X-CLI-Version": self.version,
            "X-Pod-ID": pod,
            "X-Request-Nonce": base64.b64encode(secrets.token_bytes(32)).decode(),
            "X-Request-Timestamp": str(int(time.time())),
            "User-Agent": f"datica-cli-{self.version} linux amd64 {self.user_id}".rstrip(),
            "Accept-Encoding": "gzip",
            **(headers or {}),
        }
        payload = None if body is None else json.dumps(body).encode()
        try:
            connection.request(method, f"{host.path}{path}", payload, sent)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read().decode())
        finally:
            connection.close()

    def must(self, method: str, path: str, body: object = None, *, pod: str = "", **options: Any) -> Answer:
        """Make a call whose refusal ends the command."""
        answer = self.call(method, path, body, pod=pod, **options)
        if not 200 <= answer.status < 300:
            raise FatalError(as_printed(answer))
        return answer

    # --- the start of every command

    def reads_pods(self) -> None:
        answer = self.call("GET", "/pods")
        self.pods = [pod["name"] for pod in answer.json["pods"]] if answer.status == 200 else []

    def is_signed_in(self) -> bool:
        answer = self.call("GET", "/auth/verify")
        if answer.status != 200:
            return False
        self.user_id = answer.json["id"]
        return True

    def signs_in(self) -> None:
        """Do what a command does that needs a session."""
        if self.is_signed_in():
            return
        answer = (self._with_key() if self.key else self._with_credentials()).json
        if answer.get("mfaID"):
            self.mfa_type = answer.get("mfaPreferredType", "")
            self.printed.append("This account has two-factor authentication enabled.")
            typed = self.otp().split(" ")[0]  # the client cuts at the first blank
            answer = self.must("POST", f"/auth/signin/mfa/{answer['mfaID']}", {"otp": typed}).json
        self.token, self.user_id = answer["sessionToken"], answer["id"]

    def _with_credentials(self) -> Answer:
        return self.must("POST", "/auth/signin", {"identifier": self.email, "password": self.password})

    def _with_key(self) -> Answer:
        assert self.key
        nonce, timestamp = base64.b64encode(secrets.token_bytes(32)).decode(), str(int(time.time()))
        body, headers = signed_by(self.key, nonce, timestamp)
        return self.must("POST", "/auth/signin/key", body, headers=headers)

    # --- commands

    def environments_list(self) -> None:
        self.reads_pods()
        self.signs_in()
        for pod in self.pods:
            answer = self.call("GET", "/environments", pod=pod)
            if answer.status == 200:
                self.printed += [f"{row['name']}: {row['id']}" for row in answer.json]

    def organization_of(self, name: str) -> str:
        """Do what ``-E name`` does: look the environment up on every pod."""
        self.reads_pods()
        self.signs_in()
        rows = [row for pod in self.pods for row in self.must("GET", "/environments", pod=pod).json]
        return str(next(row["organizationId"] for row in rows if row["name"] == name))

    def whoami(self) -> None:
        self.signs_in()
        self.printed.append(f"user ID = {self.user_id}")

    def logout(self) -> None:
        self.call("DELETE", "/auth/signout")
        self.token = self.user_id = ""
        self.printed.append("You have been logged out")

    def keys_add(self, name: str, text: str) -> None:
        self.signs_in()
        without_comment = " ".join(text.split()[:2]) + "\n"
        self.must("POST", "/keys", {"name": name, "key": without_comment})
        self.printed.append(f"Key '{name}' added to your account.")

    def keys_rm(self, name: str) -> None:
        self.signs_in()
        self.must("DELETE", f"/keys/{quote(name)}")
        self.printed.append(f"Key '{name}' has been removed from your account.")

    def invites_send(self, organization: str, email: str) -> None:
        self.signs_in()
        path = "/accept-invite" if self.is_old else "/account/accept-invite"
        template = f"{self.url}{path}?code={{inviteCode}}"
        self.must("POST", f"/orgs/{organization}/invites", {"email": email, "role": 5, "linkTemplate": template})
        self.printed.append(f"{email} has been invited!")

    def invites_accept(self, code: str) -> None:
        self.signs_in()
        email = self.must("GET", "/auth/verify").json["email"]
        answer = self.must("POST", f"/orgs/accept-invite/{code}").json
        assert all(isinstance(value, str) for value in answer.values())
        self.printed.append(f"Successfully joined organization ({answer['orgID']}) as {email}")

    def users_list(self, organization: str) -> None:
        self.signs_in()
        users = self.must("GET", f"/orgs/{organization}/users").json
        groups = self.must("GET", f"/acls/{organization}/groups").json["groups"]
        for user in users:
            names = [
                group["name"] for group in groups if user["email"] in [member["email"] for member in group["members"]]
            ]
            self.printed.append(f"{user['email']} {','.join(names) or 'none'}")

    def users_rm(self, organization: str, email: str) -> None:
        self.signs_in()
        users = self.must("GET", f"/orgs/{organization}/users").json
        (user_id,) = [user["id"] for user in users if user["email"] == email]
        self.must("DELETE", f"/orgs/{organization}/users/{user_id}")
        self.printed.append(f"Removed {email} from your environment's organization.")


def as_printed(answer: Answer) -> str:
    """Give an error as the client prints it."""
    try:
        body = json.loads(answer.text)
    except ValueError:
        body = None
    if isinstance(body, dict) and body.get("title") and body.get("description"):
        code = body.get("code", 0)
        if isinstance(code, int):
            return f"[fatal] ({code}) {body['title']}: {body['description']}"
    return f"[fatal] ({answer.status}) {answer.text}"


def public_text(key: RSAPrivateKey, comment: str = "dana@laptop") -> str:
    blob = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    return f"{blob} {comment}\n"


def signed_by(key: RSAPrivateKey, nonce: str, timestamp: str) -> tuple[dict[str, str], dict[str, str]]:
    """Give body and headers of a sign-in with a key."""
    signature = base64.b64encode(key.sign(f"{nonce}&{timestamp}".encode(), PKCS1v15(), SHA256())).decode()
    body = {"publicKey": public_text(key), "signature": signature}
    return body, {"X-Request-Nonce": nonce, "X-Request-Timestamp": timestamp}
