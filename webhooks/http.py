"""One POST request that ends in time, whatever the receiver does."""

import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection, IncompleteRead
from threading import Timer
from typing import NamedTuple
from urllib.parse import urlsplit

TIMEOUT_SECONDS = 10.0
MIN_TIMEOUT_SECONDS = 0.1  # 0 would make a socket non-blocking
EXCERPT_BYTES = 1_000
PORTS = {"http": 80, "https": 443}


class WebhookAnswer(NamedTuple):
    """The answer of a receiver: the status code, and the beginning of the body."""

    status: int
    excerpt: str


class NoWebhookAnswer(Exception):
    """There was no answer: the connection failed, or the receiver took too long. The message says why."""


def post(url: str, headers: Mapping[str, str], body: bytes) -> WebhookAnswer:
    """Send a request and return the answer. Redirects are not followed, and proxies of the environment are not used.

    Raises:
        NoWebhookAnswer: the status of an answer did not arrive in time.
    """
    parts, deadline = urlsplit(url), time.monotonic() + TIMEOUT_SECONDS
    host, port = str(parts.hostname), parts.port or PORTS[parts.scheme]
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    tls = _tls_context() if parts.scheme == "https" else None
    connection = HTTPSConnection(host, port, context=tls) if tls else HTTPConnection(host, port)
    try:
        with _connect(host, port, deadline) as tcp, _hang_up_at(deadline, tcp):
            connection.sock = tls.wrap_socket(tcp, server_hostname=host) if tls else tcp
            connection.request("POST", target, body, dict(headers))
            response = connection.getresponse()
            return WebhookAnswer(response.status, _read_excerpt(response))
    except ssl.SSLCertVerificationError as error:
        raise NoWebhookAnswer(f"the certificate of {host} is not valid: {error.verify_message}") from error
    except (OSError, HTTPException, UnicodeError) as error:  # the last for a host name that cannot exist
        if time.monotonic() >= deadline:
            raise NoWebhookAnswer(f"no answer within {TIMEOUT_SECONDS:g} seconds") from error
        raise NoWebhookAnswer(f"{type(error).__name__}: {error}") from error
    finally:
        connection.close()


def _read_excerpt(response: HTTPResponse) -> str:
    """Return the beginning of the body. Once the status is known, a body that ends early or never is no failure."""
    try:
        excerpt = response.read(EXCERPT_BYTES)
    except IncompleteRead as error:
        excerpt = error.partial
    except (OSError, HTTPException):
        return ""
    return excerpt.decode(errors="replace").replace("\0", "\N{REPLACEMENT CHARACTER}")  # PostgreSQL stores no NUL


def _connect(host: str, port: int, deadline: float) -> socket.socket:
    """Connect to the first address that accepts. The addresses share the time that is left.

    `socket.create_connection` waits for each of them as long as for one.
    """
    addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    failure: OSError | None = None
    for position, (family, kind, protocol, _, address) in enumerate(addresses):
        tcp = socket.socket(family, kind, protocol)
        try:
            tcp.settimeout(max(deadline - time.monotonic(), MIN_TIMEOUT_SECONDS) / (len(addresses) - position))
            tcp.connect(address)
            tcp.settimeout(TIMEOUT_SECONDS)
            return tcp
        except OSError as error:
            tcp.close()
            failure = error
    raise failure or OSError(f"{host} has no address")


@contextmanager
def _hang_up_at(deadline: float, tcp: socket.socket) -> Iterator[None]:
    """Shut a connection down at the deadline.

    The timeout of a socket is for each read and write: a receiver that sends a byte now and then never exceeds it.
    """
    handle = tcp.dup()  # wrapping it in TLS detaches the socket itself

    def hang_up() -> None:
        with suppress(OSError):
            handle.shutdown(socket.SHUT_RDWR)

    timer = Timer(max(deadline - time.monotonic(), 0), hang_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        handle.close()


@lru_cache(maxsize=1)
def _tls_context() -> ssl.SSLContext:
    """Return a context that verifies certificates by the authorities of the system, or those of SSL_CERT_FILE."""
    return ssl.create_default_context()
