"""The examples that register trainees do it, in every language, and the typed one has the types that it says."""

import asyncio
import os
import subprocess
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest
import pytest_asyncio

from tests.api.front_door import API, HOST
from tests.api.test_class_changes import at, confirmed
from tests.api.test_classes import planned
from tests.go_programs import not_here

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
GENERATOR = Path(sys.prefix) / "client" / "bin"


@pytest.fixture(scope="session")
def client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The typed client, generated from the committed description as `make client` does it."""
    if not (GENERATOR / "openapi-python-client").exists():
        not_here("the generator of clients is not installed (make client)")
    place = tmp_path_factory.mktemp("client") / "client"
    config = ROOT / "clients" / "python" / "generator.yaml"
    made = subprocess.run(
        [
            GENERATOR / "openapi-python-client",
            "generate",
            *("--path", ROOT / "docs" / "openapi.json", "--config", config),
            *("--meta", "pdm", "--output-path", place, "--fail-on-warning"),
        ],
        env={**os.environ, "PATH": f"{GENERATOR}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    return place


@pytest_asyncio.fixture
async def arrived(stack: API) -> tuple[str, list[str]]:
    """A class on its first day, and three trainees of it who have said that they come."""
    number = await planned(stack, capacity=5)
    trainees = [await confirmed(stack, counter, number) for counter in (1, 2, 3)]
    await stack.go_to(at(10, 10))
    return number, trainees


async def run(api: API, address: str, argv: list[str], lines: list[str], **environment: str) -> tuple[int, str, str]:
    """Run an example as somebody of the host would: exit code, standard output, standard error."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        env={"PATH": os.environ["PATH"], "XUNJI": address, "XUNJI_KEY": api.keys[HOST], **environment},
    )
    out, err = await process.communicate("".join(f"{line}\n" for line in lines).encode())
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def registers(
    api: API, address: str, argv: list[str], arrived: tuple[str, list[str]], **environment: str
) -> None:
    """Two rows go through, again without effect; then a wrong and a right one, of which the wrong one is explained."""
    training_class, (first, second, third) = arrived
    command = [*argv, training_class]
    for _ in range(2):
        code, out, err = await run(api, address, command, [first, second], **environment)
        assert (code, out.splitlines()) == (0, [f"{each} in-training" for each in (first, second)]), err
    events = (await api.get(HOST, f"/v1/trainees/{first}/events")).json()["items"]
    assert [each["type"] for each in events].count("trainee.registered") == 1
    code, out, err = await run(api, address, command, [first, third], **environment)
    assert (code, out.splitlines()) == (1, [f"{third} in-training"])
    assert "not_allowed_in_phase" in err
    code, out, err = await run(api, address, [*argv, "zz22-c-h999-01"], [third], **environment)
    assert (code, out) == (1, "")
    assert "404" in err and "zz22-c-h999-01" in err


async def test_with_curl(stack: API, address: str, arrived: tuple[str, list[str]], tmp_path: Path) -> None:
    key_file = tmp_path / "key.header"
    key_file.write_text(f"Authorization: Bearer {stack.keys[HOST]}\n")
    await registers(stack, address, [str(EXAMPLES / "register.sh")], arrived, XUNJI_KEY_FILE=str(key_file))


async def test_with_python_alone(stack: API, address: str, arrived: tuple[str, list[str]]) -> None:
    await registers(stack, address, [sys.executable, "-I", str(EXAMPLES / "register.py")], arrived)


async def test_python_repeats_while_the_service_is_away(stack: API, arrived: tuple[str, list[str]]) -> None:
    """What answers 503 first is asked again under the same key, after the time that it names."""
    asked: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        asked.append(next(line for line in head.splitlines() if line.lower().startswith("idempotency-key")))
        body = b'{"items": [], "failed": 0}'
        status = b"503 Away\r\nRetry-After: 0" if len(asked) == 1 else b"207 Done"
        writer.write(b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        argv = [sys.executable, "-I", str(EXAMPLES / "register.py"), arrived[0]]
        code, _, err = await run(stack, address, argv, arrived[1])
    assert (code, len(asked), len(set(asked))) == (0, 2, 1), err


async def test_with_the_typed_client(stack: API, address: str, arrived: tuple[str, list[str]], client: Path) -> None:
    argv = [str(GENERATOR / "python"), str(EXAMPLES / "register_typed.py")]
    await registers(stack, address, argv, arrived, PYTHONPATH=str(client))


def test_a_type_checker_knows_what_the_client_answers(client: Path, tmp_path: Path) -> None:
    example = EXAMPLES / "register_typed.py"
    text = example.read_text(encoding="utf-8")
    assert "row.receipt.phase" in text
    misspelt = tmp_path / "misspelt.py"
    misspelt.write_text(text.replace("row.receipt.phase", "row.receipt.faze"), encoding="utf-8")
    argv = [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={tmp_path / 'cache'}"]
    argv += ["--python-executable", str(GENERATOR / "python"), str(example), str(misspelt)]
    environment = {**os.environ, "MYPYPATH": str(client)}
    checked = subprocess.run(argv, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    *errors, _ = checked.stdout.splitlines()
    assert len(errors) == 1, checked.stdout
    assert errors[0].startswith("misspelt.py:") and '"CommandReceipt" has no attribute "faze"' in errors[0]
