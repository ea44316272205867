"""May we connect there, and how: the guard between a host that a user named and our own network.

A name is resolved once, its addresses are checked, and the connection goes to an address that was checked: a second
look-up could give another answer. Sources: RFC 6890 (special-purpose addresses), RFC 6052 and 3056 (IPv4 within IPv6).
"""

import asyncio
import ipaddress
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Self, TypeAlias

import idna

from domain import clock
from domain.errors import ErrorCode, ProviderError, Retry

IPAddress: TypeAlias = IPv4Address | IPv6Address
IPNetwork: TypeAlias = IPv4Network | IPv6Network

RESOLVE_TIMEOUT_S = 8.0
CONNECT_TIMEOUT_S = 15.0
_KEEPALIVE_IDLE_S = 120

# Addresses that count as public but answer for the machine or cloud we run in.
_REFUSED_NETWORKS: tuple[IPNetwork, ...] = (
    IPv4Network("168.63.129.16/32"),  # Azure's host
    IPv4Network("192.0.0.0/24"),  # protocol assignments, Oracle's metadata among them
    IPv6Network("64:ff9b:1::/48"),  # local-use translation
    IPv6Network("fec0::/10"),  # site-local (RFC 3879), deprecated and still routed here and there
)
_NAT64 = IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class NetworkGuard:
    """Which internal hosts are allowed, and everything public beside them.

    Attributes:
        networks: internal networks that mail servers may be in.
        names: host names, in lower case, that may resolve to any address.
    """

    networks: tuple[IPNetwork, ...] = ()
    names: frozenset[str] = frozenset()

    @classmethod
    def allowing(cls, entries: Iterable[str]) -> Self:
        """A guard from the operator's list of addresses, CIDR networks and host names."""
        networks: list[IPNetwork] = []
        names: set[str] = set()
        for entry in entries:
            try:
                networks.append(ipaddress.ip_network(entry.strip(), strict=False))
            except ValueError:
                names.add(ascii_host(entry))
        return cls(tuple(networks), frozenset(names))

    async def resolve(self, host: str) -> list[IPAddress]:
        """The addresses of the host that may be connected to, in the resolver's order.

        Raises:
            ProviderError: HOST_NOT_FOUND, HOST_NOT_ALLOWED or TIMED_OUT.
        """
        name = ascii_host(host)
        addresses = await _look_up(name)
        allowed = [address for address in addresses if name in self.names or self._allows(address)]
        if not allowed:
            raise ProviderError(
                ErrorCode.HOST_NOT_ALLOWED,
                "This host lies in an internal network, where mail servers are not allowed.",
                hint="The operator can allow it in POSTROOM_ALLOWED_PRIVATE_HOSTS.",
                retry=Retry.NEVER,
            )
        return allowed

    async def connect(
        self, host: str, port: int, *, in_the_clear: bool = False, timeout_s: float = CONNECT_TIMEOUT_S
    ) -> socket.socket:
        """A connected, non-blocking socket; each address has its share of the time.

        With `in_the_clear` a password is to go over it unprotected: only to hosts that the operator named.

        Raises:
            ProviderError: as `resolve`, or CONNECTION_REFUSED or TIMED_OUT.
        """
        deadline = clock.monotonic() + timeout_s
        addresses = await self.resolve(host)
        if in_the_clear:
            addresses = self._trusted(host, addresses)
        failure: OSError = TimeoutError()
        for index, address in enumerate(addresses):
            share_s = max((deadline - clock.monotonic()) / (len(addresses) - index), 0.1)
            try:
                async with asyncio.timeout(share_s):
                    return await _connect_to(address, port)
            except OSError as error:  # TimeoutError is one
                failure = error
        if isinstance(failure, TimeoutError):
            raise ProviderError(ErrorCode.TIMED_OUT, "The host does not answer on this port.") from failure
        raise ProviderError(
            ErrorCode.CONNECTION_REFUSED, "Nothing accepts connections on this host and port."
        ) from failure

    def _trusted(self, host: str, addresses: Sequence[IPAddress]) -> list[IPAddress]:
        trusted = [each for each in addresses if ascii_host(host) in self.names or self._is_named(each)]
        if not trusted:
            raise ProviderError(
                ErrorCode.HOST_NOT_ALLOWED,
                "This server may only be used with TLS or STARTTLS.",
                hint="The operator can allow unprotected connections to it in POSTROOM_ALLOWED_PRIVATE_HOSTS.",
                retry=Retry.NEVER,
            )
        return trusted

    def _is_named(self, address: IPAddress) -> bool:
        return any(address in network for network in self.networks)

    def _allows(self, address: IPAddress) -> bool:
        if self._is_named(address):
            return True
        inner = _embedded(address)
        if inner is not None:
            return self._allows(inner)
        if any(address in network for network in _REFUSED_NETWORKS):
            return False
        return address.is_global and not address.is_multicast and not address.is_reserved


def ascii_host(host: str) -> str:
    """The host as DNS and TLS know it: lower case, IDNA encoded, without a final dot.

    Raises:
        ProviderError: HOST_NOT_FOUND where that can be no host name.
    """
    bare = host.strip().rstrip(".").removeprefix("[").removesuffix("]").lower()
    try:
        if bare.isascii():
            bare.encode("idna")  # the system's resolver does the same and would raise then
            if bare and not any(character.isspace() or character in "/@\0%" for character in bare):
                return bare
        else:
            return idna.encode(bare, uts46=True).decode("ascii")
    except UnicodeError:  # idna's errors are
        pass
    raise ProviderError(ErrorCode.HOST_NOT_FOUND, "This is not a valid host name.", retry=Retry.NEVER)


async def _look_up(name: str) -> list[IPAddress]:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(RESOLVE_TIMEOUT_S):
            found = await loop.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except TimeoutError as error:
        raise ProviderError(ErrorCode.TIMED_OUT, "The name of the host could not be looked up in time.") from error
    except OSError as error:  # gaierror is one
        raise ProviderError(ErrorCode.HOST_NOT_FOUND, "There is no host of this name.") from error
    return _unique(str(entry[4][0]) for entry in found)


def _unique(texts: Iterable[str]) -> list[IPAddress]:
    return [ipaddress.ip_address(text.partition("%")[0]) for text in dict.fromkeys(texts)]


def _embedded(address: IPAddress) -> IPv4Address | None:
    """The IPv4 address that an IPv6 address leads to; None for any other."""
    if isinstance(address, IPv4Address):
        return None
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


async def _connect_to(address: IPAddress, port: int) -> socket.socket:
    family = socket.AF_INET if isinstance(address, IPv4Address) else socket.AF_INET6
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)  # noqa: FBT003 - the standard library's signature
        _watch_over(connection)
        await asyncio.get_running_loop().sock_connect(connection, (str(address), port))
    except BaseException:
        connection.close()
        raise
    return connection


def _watch_over(connection: socket.socket) -> None:
    """Lets the system notice a peer that vanished while nothing was being said."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    options: Sequence[tuple[str, int]] = (
        ("TCP_KEEPIDLE", _KEEPALIVE_IDLE_S),
        ("TCP_KEEPINTVL", 30),
        ("TCP_KEEPCNT", 4),
    )
    for name, value in options:
        if hasattr(socket, name):  # not every system has them
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
