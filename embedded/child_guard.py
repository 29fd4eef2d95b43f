"""Starts one program so that it cannot outlive the process that asked for it. Run as a script, never
imported.

    python -I -S child_guard.py PARENT_PID SIGNAL USER CAPABILITY PROGRAM [ARGUMENT ...]

SIGNAL is the number that the program gets when PARENT_PID dies, whatever killed it (`kill -9` too). USER is
the name of the user to become, or `-`. CAPABILITY is the number of one Linux capability to keep across that
change, or `-`.

On Linux the kernel does the watching (`PR_SET_PDEATHSIG`), so this script replaces itself by the program
and costs nothing afterwards. Elsewhere it stays as a small supervisor that looks at its parent several
times a second. It is a script of its own because the calls must happen between fork and exec, where code of
a parent with many threads (the Temporal SDK has them) may not safely run. It imports only the standard
library, and before the user changes: the new user may not be allowed to read the interpreter's files.
"""

import ctypes
import os
import pwd
import signal
import subprocess
import sys
import time
from typing import NoReturn

EXIT_PARENT_GONE = 124
EXIT_CANNOT_BECOME_USER = 125
EXIT_CANNOT_EXECUTE = 126
SUPERVISION_INTERVAL_S = 0.2

PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAPABILITY_VERSION_3 = 0x20080522


class _CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _CapabilitySet(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def fail(code: int, message: str) -> NoReturn:
    sys.stderr.write(f"child_guard: {message}\n")
    sys.stderr.flush()
    os._exit(code)


def check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def become(user: str, capability: int | None) -> None:
    """Change to `user` with its groups; `capability` survives the change and every exec after it."""
    entry = pwd.getpwnam(user)
    libc = ctypes.CDLL(None, use_errno=True)
    if capability is not None:
        check(libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0), "PR_SET_KEEPCAPS")
    os.setgroups(os.getgrouplist(user, entry.pw_gid))
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
    if capability is not None:
        header = _CapabilityHeader(CAPABILITY_VERSION_3, 0)
        sets = (_CapabilitySet * 2)()
        bit = 1 << (capability % 32)
        sets[capability // 32] = _CapabilitySet(bit, bit, bit)
        check(libc.capset(ctypes.byref(header), sets), "capset")
        check(libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0), "PR_CAP_AMBIENT_RAISE")


def replace_by(argv: list[str], parent: int, death_signal: int) -> NoReturn:
    libc = ctypes.CDLL(None, use_errno=True)
    # After the change of user: that change clears the setting.
    check(libc.prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0), "PR_SET_PDEATHSIG")
    if os.getppid() != parent:
        fail(EXIT_PARENT_GONE, "the parent was gone before the program could start")
    try:
        os.execvp(argv[0], argv)
    except OSError as error:
        fail(EXIT_CANNOT_EXECUTE, f"cannot execute {argv[0]}: {error.strerror}")


def supervise(argv: list[str], parent: int, death_signal: int) -> NoReturn:
    try:
        program = subprocess.Popen(argv)
    except OSError as error:
        fail(EXIT_CANNOT_EXECUTE, f"cannot execute {argv[0]}: {error.strerror}")
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(number, lambda received, _frame: program.send_signal(received))
    told = False
    while program.poll() is None:
        if os.getppid() != parent and not told:
            program.send_signal(death_signal)
            told = True
        time.sleep(SUPERVISION_INTERVAL_S)
    code = program.returncode
    os._exit(code if code >= 0 else 128 - code)


def main() -> NoReturn:
    parent, death_signal = int(sys.argv[1]), int(sys.argv[2])
    user, capability = sys.argv[3], sys.argv[4]
    argv = sys.argv[5:]
    if user != "-":
        try:
            become(user, None if capability == "-" else int(capability))
        except (OSError, KeyError) as error:
            fail(EXIT_CANNOT_BECOME_USER, f"cannot become the user {user}: {error}")
    if sys.platform == "linux":
        replace_by(argv, parent, death_signal)
    supervise(argv, parent, death_signal)


if __name__ == "__main__":
    main()
