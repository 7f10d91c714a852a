"""What a process that decodes files of others may still do: no network, no look into others.

Linux has filters of system calls (seccomp) that any process may put on itself, for good, and that
its children inherit. Elsewhere there is nothing of the kind without more packages.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from collections.abc import Mapping

_REFUSED = {  # by name, so that the tables can be read beside each other
    "x86_64": {
        "socket": 41,
        "connect": 42,
        "bind": 49,
        "ptrace": 101,
        "process_vm_readv": 310,
        "process_vm_writev": 311,
        "io_uring_setup": 425,
        "pidfd_getfd": 438,
    },
    "aarch64": {
        "socket": 198,
        "connect": 203,
        "bind": 200,
        "ptrace": 117,
        "process_vm_readv": 270,
        "process_vm_writev": 271,
        "io_uring_setup": 425,
        "pidfd_getfd": 438,
    },
}
_ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_SECCOMP = {"x86_64": 317, "aarch64": 277}
"""The number of the system call that sets a filter."""
_X32 = 0x40000000
"""From here on the numbers are those of another set of calls, with the same power."""
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER_AT, _ARCHITECTURE_AT = 0, 4
_ALLOW, _FAIL = 0x7FFF0000, 0x00050000
_NO_NEW_PRIVILEGES, _SET_FILTER, _ALL_THREADS = 38, 1, 1


def cut_off() -> bool:
    """Take the network from this process, all its threads and what it starts, for good.

    It can no longer make or connect a socket of any kind, nor trace or read another process. What
    is open stays open.

    Returns:
        Whether that is so now; False where the system has no such filters.
    """
    machine = platform.machine()
    # A 32-bit Python on a 64-bit machine makes other calls.
    if not sys.platform.startswith("linux") or machine not in _REFUSED or sys.maxsize < 1 << 32:
        return False
    program = _program(machine)
    code = ctypes.create_string_buffer(program, len(program))
    told = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program) // 8, _at(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) != 0:
        return False
    libc.syscall.restype = ctypes.c_long
    set_by = libc.syscall(
        ctypes.c_long(_SECCOMP[machine]),
        ctypes.c_long(_SET_FILTER),
        ctypes.c_long(_ALL_THREADS),
        ctypes.c_void_p(_at(told)),
    )
    return bool(set_by == 0)


def _at(buffer: ctypes.Array[ctypes.c_char]) -> int:
    return ctypes.addressof(buffer)


def _program(machine: str) -> bytes:
    """Load architecture and number; a refused one jumps to the last line, which fails the call."""
    refused = list(_REFUSED[machine].values())
    lines = [(_LOAD, 0, 0, _ARCHITECTURE_AT)]
    lines.append((_EQUAL, 0, len(refused) + 3, _ARCHITECTURE[machine]))
    lines.append((_LOAD, 0, 0, _NUMBER_AT))
    lines.append((_AT_LEAST, len(refused) + 1, 0, _X32))
    for left, number in zip(range(len(refused), 0, -1), refused):
        lines.append((_EQUAL, left, 0, number))
    lines.append((_RETURN, 0, 0, _ALLOW))
    lines.append((_RETURN, 0, 0, _FAIL | errno.EACCES))
    return b"".join(struct.pack("HBBI", *line) for line in lines)


_HANDED_ON = {
    *("PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TEMP", "TMP"),
    *("VIRTUAL_ENV", "SYSTEMROOT", "NO_PROXY", "no_proxy"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    *("HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_ENDPOINT", "HUGGINGFACE_HUB_CACHE"),
    *("HF_HUB_ETAG_TIMEOUT", "HF_HUB_DOWNLOAD_TIMEOUT"),
    *("TRANSFORMERS_CACHE", "TRANSFORMERS_OFFLINE", "SENTENCE_TRANSFORMERS_HOME"),
}
_BEGINNINGS = (
    *("LC_", "XDG_", "LD_LIBRARY_", "DYLD_", "PYTHON", "CONDA_PREFIX"),
    *("OMP_", "MKL_", "OPENBLAS_", "KMP_", "GOMP_", "NUMEXPR_", "NUMBA_", "MPL"),
    *("TORCH_", "PYTORCH_", "CUDA_", "NVIDIA_", "EZAV_"),
)
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


def handed_on(environment: Mapping[str, str]) -> dict[str, str]:
    """What a worker gets of the environment: paths, languages, threads, caches; no secret.

    `EZAV_WORKER_ENV` names others, separated by commas, that an encoder of one's own needs.

    Example:
        >>> handed_on({"PATH": "/bin", "AWS_SECRET_ACCESS_KEY": "x", "HF_TOKEN": "y"})
        {'PATH': '/bin'}
        >>> sorted(handed_on({"EZAV_WORKER_ENV": "MY_MODELS", "MY_MODELS": "/m", "MINE": "x"}))
        ['EZAV_WORKER_ENV', 'MY_MODELS']
    """
    named = {name.strip() for name in environment.get("EZAV_WORKER_ENV", "").split(",")}
    return {
        name: value
        for name, value in environment.items()
        if name in named
        or name in _HANDED_ON
        or name.startswith(_BEGINNINGS)
        # A proxy with a password in its address is a secret.
        or (name.upper() in _PROXIES and "@" not in value)
    }


def data_in_use() -> int:
    """Bytes of this process that RLIMIT_DATA counts (Linux); 0 where the system does not tell."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[5]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0
