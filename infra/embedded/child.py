"""How does a server become what it must be before it runs: not root, and mortal with its parent?

A program of its own (`python -I -S child.py …`), because namespaces, accounts and the parent-death signal can only be
set from inside the new process, and Python code between fork and exec is unsafe beside threads. It changes itself as
asked, then becomes the server. Standard library only; it must not import the project.

    child.py PARENT SIGNAL ACCOUNT FOLDER PROGRAM [ARGUMENT…]

SIGNAL is sent to the server when PARENT, the process id of whoever starts it, ends, however it ends. ACCOUNT is `same`
(stay who we are), `namespace:UID` (be UID in a user namespace of our own, where UID stands for root outside, without
any of root's powers), or `UID:GID`. FOLDER must be readable and writable for that account. Exits with 120 where the
system or the folder does not permit it.

Source: prctl(2), user_namespaces(7), capabilities(7), checked 2026-11-21.
"""

import ctypes
import os
import sys

NOT_PERMITTED_EXIT_CODE = 120

_CLONE_NEWUSER = 0x10000000
_PR_SET_PDEATHSIG = 1
_PR_SET_KEEPCAPS = 8
_PR_SET_SECUREBITS = 28
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAPABILITY_VERSION_3 = 0x20080522
_CAP_DAC_OVERRIDE = 1
_CAP_SETPCAP = 8
_SECBIT_NO_SETUID_FIXUP = 1 << 2

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _enter_namespace(uid: int) -> None:
    outer_uid, outer_gid = os.geteuid(), os.getegid()
    _checked(_libc.unshare(_CLONE_NEWUSER))
    for name, line in (
        ("setgroups", "deny"),
        ("uid_map", f"{uid} {outer_uid} 1"),
        ("gid_map", f"{uid} {outer_gid} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:  # noqa: PTH123 - pathlib doubles the start time of this program
            file.write(line)


def _become(uid: int, gid: int) -> None:
    _checked(_libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0))
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def _keep_passing_closed_folders() -> None:
    """Keeps, of root's powers, the one to pass folders such as /root that are closed to the account.

    Without it a project under a closed folder could not run its own programs, short of opening that folder to all.
    """
    pass_folders, set_securebits = 1 << _CAP_DAC_OVERRIDE, 1 << _CAP_SETPCAP
    _set_capabilities(pass_folders | set_securebits, inheritable=pass_folders)
    # Otherwise access(2), by which PostgreSQL looks for its own programs, would not count what we keep.
    _checked(_libc.prctl(_PR_SET_SECUREBITS, _SECBIT_NO_SETUID_FIXUP, 0, 0, 0))
    _checked(_libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_OVERRIDE, 0, 0))
    _set_capabilities(pass_folders, inheritable=pass_folders)


def _set_capabilities(bits: int, *, inheritable: int) -> None:
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)(bits, bits, inheritable, 0, 0, 0)  # effective, permitted, inheritable; high halves
    _checked(_libc.capset(header, sets))


def _reaches(folder: str, program: str) -> bool:
    return os.access(program, os.X_OK) and os.access(folder, os.R_OK | os.W_OK | os.X_OK)


def main(parent: int, signal: int, account: str, folder: str, command: list[str]) -> None:
    """Becomes `command`; returns only by raising OSError."""
    kind, _, number = account.partition(":")
    if kind == "namespace":
        _enter_namespace(int(number))
    elif kind != "same":
        _become(int(kind), int(number))
        if not _reaches(folder, command[0]):
            _keep_passing_closed_folders()
    if kind != "same" and not os.access(command[0], os.X_OK, effective_ids=True):
        raise PermissionError(command[0])
    if kind != "same" and not os.access(folder, os.R_OK | os.W_OK | os.X_OK, effective_ids=True):
        raise PermissionError(folder)
    # Last, since every change of account clears it; and the parent may have ended before it was set.
    _checked(_libc.prctl(_PR_SET_PDEATHSIG, signal, 0, 0, 0))
    if os.getppid() != parent:
        raise SystemExit(1)
    os.execv(command[0], command)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4], sys.argv[5:])
    except OSError as error:
        print(f"not permitted: {error.strerror}", file=sys.stderr)  # noqa: T201 - the server's log file
        sys.exit(NOT_PERMITTED_EXIT_CODE)
