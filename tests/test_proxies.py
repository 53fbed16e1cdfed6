"""The examples of deploy/ for nginx and Caddy, in front of a portal with production settings."""

import http.client
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests import servers
from tests.check import PRODUCTION
from tests.stack import ROOT

HOST = "portal.example.com"
DEPLOY = ROOT / "deploy"
FORGED = {
    "X-Forwarded-For": "203.0.113.9",
    "X-Forwarded-Proto": "http",
    "X-Forwarded-Host": "evil.example.com",
    "Forwarded": "for=203.0.113.9;proto=http;host=evil.example.com",
    "X-Real-IP": "203.0.113.9",
}
WRONG_PASSWORDS = 3


def program(name):
    if not (found := shutil.which(name)):
        raise servers.MissingServerError(f"{name} is not installed (Debian: apt-get install {name})")
    return found


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__(HOST)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self.path))


def trusting():
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


class TlsConnection(http.client.HTTPSConnection):
    """Calls 127.0.0.1 by the name of the portal. The certificate is made for this test."""

    def __init__(self, port, name=HOST):
        super().__init__(name, port, timeout=30, context=trusting())

    def connect(self):
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        self.sock = self._context.wrap_socket(plain, server_hostname=self.host)


@contextmanager
def gunicorn(folder):
    """Run the web process as the systemd units do, at a Unix socket."""
    environment = {
        **{name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}},
        **PRODUCTION,
        "DATABASE_URL": f"sqlite:///{folder}/portal.sqlite3",
        "CELERY_BROKER_URL": "filesystem://localhost",
        "DATA_DIR": str(folder),
        "TRUST_PROXY": "1",
        "TRUSTED_PROXIES": "unix",
        "IP_LOGIN_FAILURES": str(WRONG_PASSWORDS),
    }
    subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], cwd=ROOT, env=environment, check=True)
    command = [sys.executable, "-W", "ignore", "-m", "gunicorn", "datica_account.wsgi", "--threads", "4",
               "--limit-request-line", "8190", "--bind", f"unix:{folder}/portal.sock"]  # fmt: skip
    with (folder / "portal.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        try:
            wait_until((folder / "portal.sock").exists, process)
            yield
        finally:
            servers.end(process)


def shakes_hands(port):
    """Return whether Caddy has made the certificate: it listens before."""
    try:
        plain = socket.create_connection(("127.0.0.1", port))
        trusting().wrap_socket(plain, server_hostname=HOST).close()
    except ssl.SSLError:
        return False
    return True


def wait_until(true, process):
    deadline = time.monotonic() + servers.PATIENCE_SECONDS
    while not true():
        assert process.poll() is None, f"{process.args} ended"
        assert time.monotonic() < deadline
        time.sleep(0.05)


def nginx_configuration(folder, http_port, https_port):
    """Return deploy/nginx.conf with the ports and files of this test, inside what Debian's nginx.conf has around it."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={HOST}",
                    "-keyout", key, "-out", certificate], check=True, stderr=subprocess.DEVNULL)  # fmt: skip
    ours = (DEPLOY / "nginx.conf").read_text()
    for shipped, here in {
        "unix:/run/portal-web.sock": f"unix:{folder}/portal.sock",
        f"/etc/letsencrypt/live/{HOST}/fullchain.pem": str(certificate),
        f"/etc/letsencrypt/live/{HOST}/privkey.pem": str(key),
        "/var/log/nginx/": f"{folder}/",
        "    listen [::]:80 default_server;\n": "",
        "    listen [::]:443 ssl default_server;\n": "",
        "    listen [::]:443 ssl http2;\n": "",
        "listen 80 ": f"listen 127.0.0.1:{http_port} ",
        "listen 443 ": f"listen 127.0.0.1:{https_port} ",
    }.items():
        assert shipped in ours, shipped
        ours = ours.replace(shipped, here)
    (folder / "portal.conf").write_text(ours)
    paths = "".join(
        f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    path = folder / "nginx.conf"
    around = f"daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx-error.log; events {{}}\n"
    user = "user root;\n" if os.geteuid() == 0 else ""
    path.write_text(f"{user}{around}http {{ gzip on; access_log {folder}/access.log;\n{paths}include portal.conf; }}\n")
    return path


@contextmanager
def nginx(folder, http_port, https_port):
    configuration = nginx_configuration(folder, http_port, https_port)
    command = [program("nginx"), "-p", folder, "-c", configuration, "-e", folder / "start.log"]
    subprocess.run([*command, "-t", "-q"], check=True)
    process = subprocess.Popen(command)
    try:
        servers.wait_for_port(https_port, process)
        yield [folder / name for name in ("portal.log", "portal-error.log", "access.log", "nginx-error.log")]
    finally:
        servers.end(process)


@contextmanager
def caddy(folder, http_port, https_port):
    """Run deploy/Caddyfile with the ports of this test and certificates that it makes itself."""
    ours = (DEPLOY / "Caddyfile").read_text()
    options = f"admin off\nhttp_port {http_port}\nhttps_port {https_port}\nlocal_certs\nskip_install_trust\n"
    path = folder / "Caddyfile"
    path.write_text(ours.replace("\n{\n", f"\n{{\n{options}", 1))
    variables = {"XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "HOME": str(folder),
                 "PORTAL_HOST": HOST, "PORTAL_UPSTREAM": f"unix/{folder}/portal.sock"}  # fmt: skip
    log = folder / "caddy.log"
    with log.open("wb") as output:
        command = [program("caddy"), "run", "--config", path, "--adapter", "caddyfile"]
        process = subprocess.Popen(command, env={**os.environ, **variables}, stdout=output, stderr=output)
        try:
            servers.wait_for_port(https_port, process)
            servers.wait_for_port(http_port, process)
            wait_until(lambda: shakes_hands(https_port), process)
            yield [log]
        finally:
            servers.end(process)


class Proxied:
    """A portal behind a proxy."""

    def __init__(self, folder, http_port, https_port, logs):
        self.folder, self.http_port, self.https_port, self.logs = folder, http_port, https_port, logs

    def send(self, connection, method, path, *, body=None, **headers):
        connection.request(method, path, body=body, headers=headers.get("headers", {}))
        answer = connection.getresponse()
        answer.text = answer.read().decode(errors="replace")
        connection.close()
        return answer

    def ask(self, method, path, **options):
        return self.send(TlsConnection(self.https_port), method, path, **options)

    def sign_in(self, name, password, **headers):
        """Submit the form as a browser does, with its cookie and token."""
        page = self.ask("GET", "/account/login")
        token = page.text.split('name="csrfmiddlewaretoken" value="')[1].split('"')[0]
        cookie = page.headers["Set-Cookie"].split(";")[0]
        form = f"csrfmiddlewaretoken={token}&identifier={name}&password={password}"
        sent = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": cookie, "Origin": f"https://{HOST}"}
        return self.ask("POST", "/account/login", body=form, headers={**sent, **headers})

    def logged_ips(self, path):
        """Return what the portal took for the clients of a path: what its limits count by."""
        lines = (self.folder / "portal.log").read_text().splitlines()
        events = [json.loads(line) for line in lines if line.startswith("{")]
        return [event["ip"] for event in events if path in str(event.get("request", "")) and "code" in event]

    def log_of_proxy(self):
        return "".join(log.read_text() for log in self.logs if log.exists())


@pytest.fixture(scope="module", params=[nginx, caddy], ids=["nginx", "caddy"])
def proxied(request):
    servers.or_skip(lambda: program(request.param.__name__))
    with ExitStack() as stack:
        # Short: the path of a Unix socket has at most 107 characters. What proxies log lies beside the portal's log.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="portal-proxy-")))
        (folder / "proxy").mkdir()
        stack.enter_context(gunicorn(folder))
        ports = servers.free_port(), servers.free_port()
        (folder / "proxy" / "portal.sock").symlink_to(folder / "portal.sock")
        logs = stack.enter_context(request.param(folder / "proxy", *ports))
        yield Proxied(folder, *ports, logs)


def test_a_client_cannot_choose_its_ip_address(proxied):
    """SR-6: what the client says about itself reaches neither the log nor the limits."""
    proxied.ask("GET", "/help/mfa", headers=FORGED)

    assert proxied.logged_ips("/help/mfa") == ["127.0.0.1"]
    # The portal would have believed it, had it come from the proxy.
    proxied.send(UnixConnection(proxied.folder / "portal.sock"), "GET", "/help/mfa", headers=FORGED)
    assert proxied.logged_ips("/help/mfa")[-1] == "203.0.113.9"


def test_wrong_passwords_from_one_client_are_limited_whatever_it_claims(proxied):
    """SR-6."""
    for number in range(WRONG_PASSWORDS):
        headers = {"X-Forwarded-For": f"203.0.113.{number}"}
        assert "Incorrect" in proxied.sign_in(f"person{number}", "wrong", **headers).text

    refused = proxied.sign_in("another", "wrong", **{"X-Forwarded-For": "203.0.113.99"})

    assert refused.status == 429


def test_the_portal_knows_that_the_client_came_by_https(proxied):
    """Only over HTTPS does Django send Strict-Transport-Security. The client cannot deny it."""
    page = proxied.ask("GET", "/account/login", headers=FORGED)

    assert page.headers["Strict-Transport-Security"].startswith("max-age=31536000")
    assert page.headers["Set-Cookie"].startswith("__Host-csrf=")
    assert "Secure" in page.headers["Set-Cookie"]
    assert "evil.example.com" not in page.text


def test_pages_are_neither_compressed_nor_cached(proxied):
    page = proxied.ask("GET", "/account/login", headers={"Accept-Encoding": "gzip, br, zstd"})

    assert "Content-Encoding" not in page.headers
    assert "no-store" in page.headers["Cache-Control"] or "private" in page.headers["Cache-Control"]


def test_http_leads_to_https_at_the_right_host(proxied):
    connection = http.client.HTTPConnection("127.0.0.1", proxied.http_port)

    answer = proxied.send(connection, "GET", "/account/login?next=/x", headers={"Host": HOST})

    assert answer.status in {301, 308}
    assert answer.headers["Location"].startswith(f"https://{HOST}")


@pytest.mark.parametrize(
    ("path", "size", "status"),
    [("/account/login", 300_000, 413), ("/account/login", 1_200_000, 413), ("/hooks/mail/postmark/", 1_200_000, 413),
     ("/hooks/mail/postmark/", 900_000, 404)],
)  # fmt: skip
def test_a_body_is_limited(proxied, path, size, status):
    """SR-49: a report may have 1 MB. No provider reports to this portal, so one that gets through is a 404.

    Asked several times: what is refused before it is read breaks a proxy's connection only now and then.
    """
    body, headers = b"x" * size, {"Content-Type": "application/json"}

    answers = {proxied.ask("POST", path, body=body, headers=headers).status for _ in range(20)}

    assert answers == {status}


def test_a_request_line_is_limited(proxied):
    answer = proxied.ask("GET", "/help/mfa?" + "x" * 20_000)

    assert answer.status in {400, 414, 431}


def test_another_host_gets_no_page(proxied):
    with pytest.raises(ssl.SSLError):
        proxied.send(TlsConnection(proxied.https_port, "evil.example.com"), "GET", "/account/login")
    answer = proxied.ask("GET", "/account/login", headers={"Host": "evil.example.com"})

    assert "csrf" not in answer.text


SECRET_PATHS = [
    "/help/mfa?code=s3cret",
    "/account/not-me/s3cret",
    "/accept-invite/s3cret",
    "/account/email/undo/s3cret",
]


def test_the_log_holds_nothing_secret(proxied):
    """SR-19: neither of a request that is answered, nor of one that could not be."""
    headers = {"Authorization": "Bearer s3cret", "Referer": f"https://{HOST}/x?code=s3cret", "Cookie": "a=s3cret"}
    answered = [proxied.ask("GET", path, headers=headers).status for path in SECRET_PATHS]
    socket_file = proxied.folder / "portal.sock"
    socket_file.rename(socket_file.with_suffix(".away"))
    try:
        refused = [proxied.ask("GET", path, headers=headers).status for path in SECRET_PATHS]
    finally:
        socket_file.with_suffix(".away").rename(socket_file)

    assert 200 in answered
    assert refused == [502] * len(SECRET_PATHS)
    log = proxied.log_of_proxy()
    assert "/account/not-me/" in log
    assert "s3cret" not in log
