"""Which hosts may be connected to, and that the address that was checked is the one that is used."""

import asyncio
import contextlib
import socket

import pytest

from domain.errors import ErrorCode, ProviderError, Retry
from providers.network import NetworkGuard, ascii_host

STRICT = NetworkGuard()


async def code_of(guard: NetworkGuard, host: str, port: int = 1, *, in_the_clear: bool = False) -> ErrorCode:
    with pytest.raises(ProviderError) as caught:
        (await guard.connect(host, port, in_the_clear=in_the_clear, timeout_s=2)).close()
    return caught.value.code


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "localhost", "127.1", "0x7f000001", "2130706433", "0.0.0.0", "10.1.2.3", "172.16.0.1",  # noqa: S104 - refused
        "192.168.1.1", "169.254.169.254", "100.64.0.1", "192.0.0.192", "168.63.129.16", "224.0.0.1", "255.255.255.255",
        "240.0.0.1", "198.18.0.1", "::1", "[::1]", "::", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "fe80::1",
        "fd00:ec2::254", "fc00::1", "fec0::1", "ff02::1", "64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::", "2001:db8::1",
    ],
)  # fmt: skip
async def test_internal_addresses_are_refused_however_they_are_written(host: str) -> None:
    assert await code_of(STRICT, host) is ErrorCode.HOST_NOT_ALLOWED


@pytest.mark.parametrize("host", ["8.8.8.8", "2001:4860:4860::8888", "64:ff9b::808:808"])
async def test_public_addresses_are_allowed(host: str) -> None:
    assert len(await STRICT.resolve(host)) == 1


@pytest.mark.parametrize(
    "host", ["", " ", "a b", "x" * 64 + ".example", "a..b", "http://mail.example", "mail@example", "a%b", "\0"]
)
async def test_what_is_no_host_name_is_not_looked_up(host: str) -> None:
    assert await code_of(STRICT, host) is ErrorCode.HOST_NOT_FOUND


async def test_a_name_nobody_has_is_not_found_and_may_be_tried_again() -> None:
    with pytest.raises(ProviderError) as caught:
        await STRICT.resolve("nobody-has-this.invalid")
    assert (caught.value.code, caught.value.retry) == (ErrorCode.HOST_NOT_FOUND, Retry.LATER)


async def test_the_operator_allows_networks_and_names() -> None:
    assert await code_of(NetworkGuard.allowing(["127.0.0.0/8"]), "127.0.0.1") is ErrorCode.CONNECTION_REFUSED
    assert await code_of(NetworkGuard.allowing(["127.0.0.0/8"]), "::ffff:127.0.0.1") is ErrorCode.CONNECTION_REFUSED
    assert await code_of(NetworkGuard.allowing(["LocalHost."]), "localhost") is ErrorCode.CONNECTION_REFUSED
    assert await code_of(NetworkGuard.allowing(["localhost"]), "127.0.0.1") is ErrorCode.HOST_NOT_ALLOWED
    assert await code_of(NetworkGuard.allowing(["127.0.0.1"]), "10.0.0.1") is ErrorCode.HOST_NOT_ALLOWED


async def test_a_password_goes_in_the_clear_only_to_hosts_the_operator_named() -> None:
    assert await code_of(STRICT, "8.8.8.8", in_the_clear=True) is ErrorCode.HOST_NOT_ALLOWED
    assert (
        await code_of(NetworkGuard.allowing(["127.0.0.1"]), "127.0.0.1", in_the_clear=True)
        is ErrorCode.CONNECTION_REFUSED
    )


async def test_a_name_with_several_addresses_is_tried_at_each() -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    # `localhost` is ::1 as well on most machines, where nothing listens on this port.
    with contextlib.closing(await NetworkGuard.allowing(["localhost"]).connect("localhost", port)) as connection:
        assert connection.getpeername() == ("127.0.0.1", port)
    server.close()


async def test_a_host_that_does_not_answer_times_out() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = []
        for _ in range(4):  # the queue of connections nobody accepts is full soon; the next ones are left unanswered
            each = socket.socket()
            each.setblocking(False)  # noqa: FBT003 - the standard library's signature
            each.connect_ex(("127.0.0.1", port))
            waiting.append(each)
        with pytest.raises(ProviderError) as caught:
            (await NetworkGuard.allowing(["127.0.0.1"]).connect("127.0.0.1", port, timeout_s=0.3)).close()
        for each in waiting:
            each.close()
    assert (caught.value.code, caught.value.retry) == (ErrorCode.TIMED_OUT, Retry.LATER)


def test_host_names_of_any_script_become_ascii() -> None:
    assert ascii_host(" Mail.BÜCHER.example. ") == "mail.xn--bcher-kva.example"
