from __future__ import annotations

import datetime
import io
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpcore
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from runtime.errors import InputRejected, InputUnreachable
from runtime.fetch.access import WebAccess
from runtime.fetch.network import guarded_pool, timeouts
from runtime.fetch.sink import Sink
from runtime.fetch.web import download

PUBLIC = "93.184.216.34"
NAME = "pictures.example"


class Rerouted(httpcore.NetworkBackend):
    """Takes every connection to one loopback port and remembers the addresses that were asked for."""

    def __init__(self, port: int, unreachable: tuple[str, ...] = ()) -> None:
        self.port = port
        self.asked: list[str] = []
        self._unreachable = unreachable

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        self.asked.append(host)
        if host in self._unreachable:
            raise httpcore.ConnectError("unreachable")
        return httpcore.SyncBackend().connect_tcp("127.0.0.1", self.port, timeout, local_address, socket_options)


def port_of(base: str) -> int:
    return int(base.rpartition(":")[2])


@pytest.fixture
def network(answering: Callable[..., str]) -> Rerouted:
    return Rerouted(port_of(answering(b"picture")))


def test_the_connection_goes_to_the_address_that_was_checked(
    network: Rerouted, sink: Sink, received: io.BytesIO
) -> None:
    download(f"http://{NAME}/a.png", sink, WebAccess(resolve=lambda _: [PUBLIC], network=network))
    assert network.asked == [PUBLIC]
    assert received.getvalue() == b"picture"


@pytest.mark.parametrize(
    "addresses",
    [
        pytest.param(["127.0.0.1"], id="loopback"),
        pytest.param([PUBLIC, "10.0.0.1"], id="one_of_several"),
        pytest.param(["169.254.169.254"], id="metadata"),
        pytest.param(["::ffff:192.168.0.1"], id="mapped"),
        pytest.param(["64:ff9b::7f00:1"], id="nat64"),
    ],
)
def test_a_host_with_any_address_that_is_not_public_is_never_connected_to(
    network: Rerouted, sink: Sink, addresses: list[str]
) -> None:
    with pytest.raises(InputRejected, match="not on the public internet") as caught:
        download(f"http://{NAME}/", sink, WebAccess(resolve=lambda _: addresses, network=network))
    assert network.asked == []
    assert not any(address in caught.value.message for address in addresses)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "0177.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "0"]
)
def test_every_spelling_of_loopback_is_refused(sink: Sink, host: str) -> None:
    with pytest.raises(InputRejected, match="not on the public internet"):
        download(f"http://{host}:8080/", sink, WebAccess())


def test_a_name_that_changes_its_address_is_resolved_once_a_connection(network: Rerouted, sink: Sink) -> None:
    answers = iter([[PUBLIC], ["127.0.0.1"]])
    download(f"http://{NAME}/", sink, WebAccess(resolve=lambda _: next(answers), network=network))
    assert network.asked == [PUBLIC]
    assert next(answers) == ["127.0.0.1"]


def test_a_redirect_to_a_name_that_has_turned_private_is_refused(answering: Callable[..., str], sink: Sink) -> None:
    network = Rerouted(port_of(answering(b"", 302, {"Location": f"http://{NAME}/again"})))
    answers = iter([[PUBLIC], ["127.0.0.1"]])
    with pytest.raises(InputRejected, match="not on the public internet"):
        download(f"http://{NAME}/", sink, WebAccess(resolve=lambda _: next(answers), network=network))
    assert network.asked == [PUBLIC]


@pytest.mark.parametrize("port", [1, 22, 25, 81, 1023])
def test_a_port_of_another_service_is_refused(network: Rerouted, sink: Sink, port: int) -> None:
    with pytest.raises(InputRejected, match=f"port {port} of host 'pictures.example' is not allowed"):
        download(f"http://{NAME}:{port}/", sink, WebAccess(resolve=lambda _: [PUBLIC], network=network))


def test_the_next_address_is_tried_where_one_does_not_answer(network: Rerouted, sink: Sink) -> None:
    second = Rerouted(network.port, unreachable=("2606:4700::1111",))
    download(f"http://{NAME}/", sink, WebAccess(resolve=lambda _: ["2606:4700::1111", PUBLIC], network=second))
    assert second.asked == ["2606:4700::1111", PUBLIC]


def test_a_unix_socket_is_refused() -> None:
    pool = guarded_pool(WebAccess())
    with pytest.raises(InputRejected, match="unix socket"):
        pool._network_backend.connect_unix_socket("/run/docker.sock")


def test_a_pool_sends_other_methods_too(serve: Callable[..., str]) -> None:
    def route(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    access = WebAccess(allow_private=True)
    with guarded_pool(access) as pool:
        answer = pool.request("POST", serve(route), content=b"{}", extensions={"timeout": timeouts(access)})
    assert answer.status == 501  # what http.server says to a method that it has not


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for NAME and its key, signed by itself, in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(
        now + datetime.timedelta(days=1)
    )
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(private + builder.sign(key, hashes.SHA256()).public_bytes(pem))
    return path


@pytest.fixture
def tls_server(certificate: Path) -> Iterator[tuple[int, list[str]]]:
    """A TLS server's port, and the names (of TLS, of HTTP) that it is called by."""
    names: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            names.append(str(self.headers["Host"]))
            self.send_response(302 if self.path == "/moved" else 200)
            self.send_header("Location", f"http://{NAME}/a.png")
            self.end_headers()
            if self.path == "/slow":
                threading.Event().wait(0.4)  # longer than one slice of a patient read
            self.wfile.write(b"picture")

        def log_message(self, *_: object) -> None: ...

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.sni_callback = lambda _socket, name, _context: names.append(str(name))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a refused handshake is no test failure
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.server_port, names
    server.shutdown()
    thread.join()
    server.server_close()


def test_tls_and_the_host_header_keep_the_name(
    tls_server: tuple[int, list[str]], certificate: Path, sink: Sink, received: io.BytesIO
) -> None:
    port, names = tls_server
    trusting = ssl.create_default_context(cafile=str(certificate))
    access = WebAccess(resolve=lambda _: [PUBLIC], network=Rerouted(port), ssl_context=trusting)
    download(f"https://{NAME}/a.png", sink, access)
    assert received.getvalue() == b"picture"
    assert names == [NAME, NAME]


def test_a_pause_over_tls_is_waited_out(
    tls_server: tuple[int, list[str]], certificate: Path, sink: Sink, received: io.BytesIO
) -> None:
    trusting = ssl.create_default_context(cafile=str(certificate))
    access = WebAccess(resolve=lambda _: [PUBLIC], network=Rerouted(tls_server[0]), ssl_context=trusting)
    download(f"https://{NAME}/slow", sink, access)
    assert received.getvalue() == b"picture"


@pytest.mark.parametrize("host", ["other.example", PUBLIC])
def test_a_certificate_for_another_name_is_not_accepted(
    tls_server: tuple[int, list[str]], certificate: Path, sink: Sink, host: str
) -> None:
    trusting = ssl.create_default_context(cafile=str(certificate))
    access = WebAccess(resolve=lambda _: [PUBLIC], network=Rerouted(tls_server[0]), ssl_context=trusting)
    with pytest.raises(InputUnreachable, match="its certificate or TLS was not accepted"):
        download(f"https://{host}/a.png", sink, access)


def test_an_authority_that_nobody_knows_is_not_accepted(tls_server: tuple[int, list[str]], sink: Sink) -> None:
    access = WebAccess(resolve=lambda _: [PUBLIC], network=Rerouted(tls_server[0]))
    with pytest.raises(InputUnreachable, match="its certificate or TLS was not accepted"):
        download(f"https://{NAME}/a.png", sink, access)


def test_a_redirect_from_https_to_http_is_refused(
    tls_server: tuple[int, list[str]], certificate: Path, sink: Sink
) -> None:
    trusting = ssl.create_default_context(cafile=str(certificate))
    access = WebAccess(resolve=lambda _: [PUBLIC], network=Rerouted(tls_server[0]), ssl_context=trusting)
    with pytest.raises(InputRejected, match="redirects from https to http"):
        download(f"https://{NAME}/moved", sink, access)
