"""Posting to an address that staff typed in: on the public internet alone, and for some seconds in all.

The host is looked up once. What is connected to is the very address that was checked, so that a name which leads
elsewhere a moment later changes nothing.
"""

import http.client
import io
import re
import socket
import ssl
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address, ip_network
from queue import Empty, SimpleQueue
from threading import Thread
from urllib.parse import quote, urlsplit

from django.conf import settings

from messaging.channels.outcomes import RefusedForGood, TryAgainLater, words

SECONDS = 10  # for all of it, unless it is to be less
MOST_READ = 2_000  # bytes of what is answered to a message that was not taken
AT_ONCE = 16_384  # bytes handed over before the clock is looked at again
UNSPEAKABLE = re.compile(r"[\x00-\x20\x7f\\]")
SPOKEN = "/?%:@!$&'()*+,;=~[]"  # what a path and a query hold beside letters and digits
LOCAL = ("localhost", ".localhost", ".local", ".internal")

# All of IPv6 that is anybody's; beside it lie addresses that hold one of IPv4, those of NAT64 among them, and local
# ones of all kinds.
UNICAST = ip_network("2000::/3")
NOT_ANYBODYS = [ip_network("2002::/16"), ip_network("3fff::/20")]  # 6to4, which holds one too, and that of examples


def is_public(address: str) -> bool:
    """Whether this is the address of one machine on the public internet."""
    ip = ip_address(address)
    if not ip.is_global or ip.is_multicast or ip.is_reserved:
        return False
    return ip.version == 4 or ip in UNICAST and not any(ip in network for network in NOT_ANYBODYS)


@dataclass(frozen=True)
class Target:
    """Where a URL leads."""

    is_secure: bool
    host: str
    port: int
    path: str

    @classmethod
    def read(cls, url: str) -> "Target":
        """Raises ValueError with what is wrong, for whoever wrote it."""
        if UNSPEAKABLE.search(url):
            raise ValueError("Write the address without spaces, control characters and backslashes.")
        try:
            parts = urlsplit(url)
            host, port = (parts.hostname or "").encode("idna").decode(), parts.port
        except ValueError as error:
            raise ValueError(f"This address cannot be read: {error}") from error
        if parts.scheme not in ("http", "https"):
            raise ValueError("Write an address that begins with https:// or http://.")
        if not host or port == 0:
            raise ValueError("This address names no host, or none of its ports.")
        if parts.username is not None or parts.password is not None:
            raise ValueError("Leave user and password out of the address: the signature tells who posts.")
        is_secure = parts.scheme == "https"
        path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        return cls(is_secure, host, port or (443 if is_secure else 80), quote(path, safe=SPOKEN))


def fault_in_url(url: str) -> str | None:
    """Return what is wrong with an address as it is written, or None. Where a name leads is looked up when it is
    posted to."""
    try:
        target = Target.read(url)
    except ValueError as error:
        return str(error)
    if not settings.WEBHOOK_ALLOW_PRIVATE and _is_local(target):
        return _not_public(target)
    return None


def _is_local(target: Target) -> bool:
    if target.host.rstrip(".").lower().endswith(LOCAL):
        return True
    with suppress(OSError):
        # An address may be written as one number, too, or in hexadecimal ones.
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        return not all(is_public(where[0]) for *_, where in found)
    return False


def _not_public(target: Target) -> str:
    # Not where it leads: that would tell about the network that this stands in.
    return f"{target.host} is not on the public internet, and messages are posted to nowhere else."


@dataclass(frozen=True)
class Answer:
    status: int
    said: str
    retry_after: str

    def __str__(self):
        later = f" (Retry-After: {self.retry_after})" if self.retry_after else ""
        return self.said + later


@dataclass(frozen=True)
class Deadline:
    """By when all of it must be done, by the monotonic clock, and how many seconds that were at the beginning."""

    at: float
    seconds: float

    @classmethod
    def of(cls, seconds: float) -> "Deadline":
        return cls(time.monotonic() + seconds, seconds)

    def left(self) -> float:
        """Seconds. Raises TimeoutError when none are."""
        left = self.at - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"not done after {self.seconds} seconds")
        return left


def post(url: str, body: bytes, headers: dict[str, str], *, seconds: float | None = None) -> Answer:
    """Post `body`, and return what is answered within SECONDS, or so many. Raises RefusedForGood for where it may not
    go, and TryAgainLater for where there is no answer."""
    try:
        target = Target.read(url)
    except ValueError as error:
        raise RefusedForGood(str(error)) from error
    ends = Deadline.of(seconds or SECONDS)
    try:
        with closing(_connected(target, ends)) as line:
            request = _Request(target, line, ends)
            request.request("POST", target.path, body, headers)
            return _read(http.client.HTTPResponse(_Incoming(line, ends), method="POST"))
    except (OSError, http.client.HTTPException) as error:
        raise TryAgainLater(words(f"{type(error).__name__}: {error}")) from error


def _checked(target: Target, ends: Deadline) -> list:
    """Look the host up; all that it leads to must be public, since any of it may be taken."""
    found = _looked_up(target, ends)
    if not settings.WEBHOOK_ALLOW_PRIVATE and not all(is_public(where[0]) for *_, where in found):
        raise RefusedForGood(_not_public(target))
    return found


def _looked_up(target: Target, ends: Deadline) -> list:
    """Where the host leads. Resolvers know no time limit, so this one is waited for from outside."""
    answers: SimpleQueue = SimpleQueue()

    def ask():
        try:
            answers.put(socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            answers.put(error)

    Thread(target=ask, name="resolver", daemon=True).start()
    try:
        found = answers.get(timeout=ends.left())
    except Empty:
        raise TimeoutError(f"{target.host} was not found in {ends.seconds} seconds") from None
    if isinstance(found, Exception):
        raise TryAgainLater(f"{target.host} was not found: {found}") from found
    return found


def _connected(target: Target, ends: Deadline) -> socket.socket:
    failure: OSError = OSError("no address")
    for family, kind, protocol, _, where in _checked(target, ends):
        line = socket.socket(family, kind, protocol)
        try:
            # An address that is silent leaves time for the next.
            line.settimeout(min(ends.left(), ends.seconds / 2))
            line.connect(where)
            line.settimeout(ends.left())
            return _tls().wrap_socket(line, server_hostname=target.host.rstrip(".")) if target.is_secure else line
        except OSError as error:
            line.close()
            failure = error
    raise failure


@cache
def _tls() -> ssl.SSLContext:
    """Whoever the certificate names must be the host of the URL; reading the known authorities takes a while."""
    return ssl.create_default_context()


class _Request(http.client.HTTPConnection):
    """Writes to a line that stands already, and knows no other."""

    auto_open = 0

    def __init__(self, target: Target, line: socket.socket, ends: Deadline):
        super().__init__(target.host, target.port)
        self.default_port = 443 if target.is_secure else 80
        self.sock, self.ends = line, ends

    def send(self, data):
        for begin in range(0, len(data), AT_ONCE):
            self.sock.settimeout(self.ends.left())
            self.sock.sendall(data[begin : begin + AT_ONCE])


class _Incoming(io.RawIOBase):
    """What comes in on a line until a deadline: its own time-out sees only the silence between two drops."""

    def __init__(self, line: socket.socket, ends: Deadline):
        self.line, self.ends = line, ends

    def makefile(self, mode):
        return io.BufferedReader(self)

    def readable(self):
        return True

    def readinto(self, buffer):
        self.line.settimeout(self.ends.left())
        return self.line.recv_into(buffer)


def _read(response: http.client.HTTPResponse) -> Answer:
    response.begin()
    said = f"{response.status} {response.reason}".strip()
    if not 200 <= response.status < 300:
        with suppress(OSError, http.client.HTTPException):
            # One piece will do: a server that drips is not waited for.
            said = f"{said}: {response.read1(MOST_READ).decode(errors='replace')}".rstrip(": ")
    return Answer(response.status, words(said), words(response.headers.get("Retry-After", ""), 100))
