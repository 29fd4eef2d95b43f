"""The guard of tests/conftest.py itself: a test may reach this machine and nothing else."""

import asyncio
import socket

import pytest


@pytest.mark.parametrize("address", [("192.0.2.1", 80), ("8.8.8.8", 53)])
async def test_leaving_the_machine_is_refused(address: tuple[str, int]) -> None:
    with socket.socket() as client, pytest.raises(RuntimeError, match="tried to connect"):
        client.connect(address)
    with socket.socket() as client, pytest.raises(RuntimeError, match="tried to connect"):
        client.connect_ex(address)
    with pytest.raises(RuntimeError, match="tried to connect"):
        await asyncio.open_connection(*address)


async def test_looking_up_a_foreign_name_is_refused() -> None:
    with pytest.raises(RuntimeError, match="tried to look up"):
        await asyncio.open_connection("example.org", 80)


async def test_this_machine_is_reachable() -> None:
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection("localhost", server.sockets[0].getsockname()[1])
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
