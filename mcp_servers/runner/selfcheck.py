"""Proves each limit of a sandbox by trying to break it, and says what was observed."""

import asyncio
import os
import shlex
import socket
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from contracts.sandbox import SandboxLimits
from contracts.word import Word
from mcp_servers.runner.output import Output
from mcp_servers.runner.sandbox import TIMED_OUT, Ended, Opening, Sandbox, SandboxKeeper, said

LIMITS = SandboxLimits(memory_mib=256, processes=64, disk_mib=64, file_mib=16, output_kib=64)
"""Small, so that running into them is quick."""
# fmt: off
ALLOWED_NAMES = {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TERM", "TMPDIR", "CI",
                 "NO_COLOR", "PWD", "OLDPWD", "_", "SHLVL", "HOSTNAME",
                 "PYTHONUNBUFFERED", "PIP_BREAK_SYSTEM_PACKAGES", "PIP_DISABLE_PIP_VERSION_CHECK",
                 "NPM_CONFIG_UPDATE_NOTIFIER", "NPM_CONFIG_FUND", "NPM_CONFIG_AUDIT"}
# fmt: on


class Finding(Word):
    """One limit, tried out."""

    name: str
    holds: bool
    observed: str
    """What happened, in a few words."""

    @property
    def line(self) -> str:
        """For people."""
        return f"{'holds ' if self.holds else 'FAILS '} {self.name}: {self.observed}"


@dataclass(frozen=True)
class _Tried:
    ended: Ended
    text: str


async def selfcheck(keeper: SandboxKeeper) -> list[Finding]:
    """Open a sandbox with small limits and try to break out of each. Raises ``SandboxUnavailable`` when there is none."""
    sandbox = await keeper.open(Opening(LIMITS))
    try:
        findings: list[Finding] = []
        for name, prove in PROOFS.items():
            try:
                holds, observed = await prove(sandbox)
            except Exception as error:
                holds, observed = False, f"the try itself failed: {error}"
            findings.append(Finding(name=name, holds=holds, observed=" ".join(observed.split())[:200]))
        return findings
    finally:
        await sandbox.close()


async def _tried(sandbox: Sandbox, command: str, time_limit: float = 20) -> _Tried:
    output = Output(LIMITS.output_kib << 10)
    ended = await sandbox.run(command, time_limit, output.add)
    return _Tried(ended, output.text().strip())


def _python(code: str) -> str:
    return f"python3 -c {shlex.quote(code)}"


async def _network(sandbox: Sandbox) -> tuple[bool, str]:
    listener = socket.create_server(("127.0.0.1", 0))
    try:
        port = listener.getsockname()[1]
        tried = await _tried(
            sandbox,
            _python(
                "import socket\n"
                f"for where in (('127.0.0.1', {port}), ('192.0.2.1', 80), ('169.254.169.254', 80), ('172.17.0.1', {port})):\n"
                "    s = socket.socket(); s.settimeout(1)\n"
                "    try: s.connect(where); print('REACHED', where)\n"
                "    except OSError as e: print(where[0], e)\n"
                "print(open('/proc/net/dev').read().count(':'), 'interfaces')"
            ),
        )
        return "REACHED" not in tried.text and "interfaces" in tried.text, tried.text
    finally:
        listener.close()


async def _host_files(sandbox: Sandbox) -> tuple[bool, str]:
    handle, name = tempfile.mkstemp(prefix="patchwright-selfcheck-")
    os.close(handle)
    try:
        tried = await _tried(
            sandbox, f"cat {name} && echo SEEN; ls -A /root /home /var/run /run/docker.sock 2>/dev/null; echo end"
        )
        return "SEEN" not in tried.text and tried.text.endswith("end") and "docker.sock" not in tried.text, tried.text
    finally:
        await asyncio.to_thread(Path(name).unlink)


async def _read_only(sandbox: Sandbox) -> tuple[bool, str]:
    tried = await _tried(
        sandbox,
        "for d in / /usr /etc /bin /dev /proc/sys/kernel /opt; do touch $d/x 2>/dev/null && echo WROTE $d; done; echo end",
    )
    return tried.text == "end", tried.text.replace("end", "nothing could be written")


async def _user(sandbox: Sandbox) -> tuple[bool, str]:
    tried = await _tried(sandbox, "id -u; id -G")
    return tried.text.split() == ["1000", "1000"], f"uid and groups {tried.text}"


async def _capabilities(sandbox: Sandbox) -> tuple[bool, str]:
    tried = await _tried(sandbox, "grep -E '^Cap(Inh|Prm|Eff|Bnd|Amb)' /proc/self/status")
    return set(tried.text.split()[1::2]) == {"0" * 16}, tried.text


async def _new_privileges(sandbox: Sandbox) -> tuple[bool, str]:
    tried = await _tried(
        sandbox, "grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status; su -c true root </dev/null >/dev/null 2>&1 && echo ROOT"
    )
    return "NoNewPrivs: 1" in tried.text.replace("\t", " ") and "ROOT" not in tried.text, tried.text


async def _system_calls(sandbox: Sandbox) -> tuple[bool, str]:
    code = (
        "import ctypes, platform\n"
        "c = ctypes.CDLL(None, use_errno=True)\n"
        "n = {'x86_64': (425, 101, 250, 321, 272), 'aarch64': (425, 117, 219, 280, 97)}[platform.machine()]\n"
        "for number, name in zip(n, ('io_uring', 'ptrace', 'keyctl', 'bpf', 'unshare')):\n"
        "    arguments = (0x10000000,) if name == 'unshare' else (0, 0, 0, 0, 0)\n"
        "    print(name, 'ALLOWED' if c.syscall(number, *arguments) == 0 else ctypes.get_errno())"
    )
    tried = await _tried(sandbox, _python(code))
    return tried.text.count(" 1") + tried.text.count(" 38") == 5, tried.text


async def _memory(sandbox: Sandbox) -> tuple[bool, str]:
    one = await _tried(sandbox, _python("x = bytearray(1 << 30); print('HAD IT')"))
    many = await _tried(
        sandbox,
        "for i in 1 2 3 4 5 6; do "
        + _python("import time; x = bytearray(100 << 20); time.sleep(3); print('HAD IT')")
        + " & done; wait",
        15,
    )
    survivors = many.text.count("HAD IT")
    return (
        "HAD IT" not in one.text and survivors < 6,
        f"1 GiB at once refused; {survivors} of 6 processes of 100 MiB each survived under {LIMITS.memory_mib} MiB",
    )


async def _processes(sandbox: Sandbox) -> tuple[bool, str]:
    tried = await _tried(
        sandbox,
        _python(
            "import os, time\nn = 0\ntry:\n  while n < 2000:\n    if os.fork() == 0: time.sleep(30); os._exit(0)\n    n += 1\n"
            "except OSError as e: print(n, 'forks, then', e)\nelse: print('ALL 2000')"
        ),
    )
    after = await _tried(sandbox, "echo alive")
    return "forks" in tried.text and after.text == "alive", f"{tried.text}; the next command: {after.text}"


async def _file_size(sandbox: Sandbox) -> tuple[bool, str]:
    tried = await _tried(sandbox, "head -c 30000000 /dev/zero > /work/large; stat -c %s /work/large; rm -f /work/large")
    return tried.text.split()[-1:] == [str(LIMITS.file_mib << 20)], tried.text


async def _disk(sandbox: Sandbox) -> tuple[bool, str]:
    tried = await _tried(
        sandbox,
        "for i in $(seq 20); do head -c 8000000 /dev/zero > /work/f$i || break; done 2>&1; "
        "du -sm /work | cut -f1; rm -f /work/f*",
    )
    size = tried.text.split()[-1]
    return size.isdigit() and LIMITS.disk_mib // 2 < int(size) <= LIMITS.disk_mib + 1, f"{size} MiB could be written of 160"


async def _time(sandbox: Sandbox) -> tuple[bool, str]:
    tried = await _tried(sandbox, "trap '' TERM INT HUP; while :; do sleep 1; done", 1)
    return (
        tried.ended.exit_code == TIMED_OUT and tried.ended.seconds < 8,
        f"exit code {tried.ended.exit_code} after {tried.ended.seconds:.1f} s",
    )


async def _leftovers(sandbox: Sandbox) -> tuple[bool, str]:
    first = await _tried(sandbox, "(setsid sleep 4242 >/dev/null 2>&1 &); sleep 4242 & echo started")
    tried = await _tried(sandbox, "for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline; echo; done | grep '^sleep 4242' | wc -l")
    return first.ended.seconds < 8 and tried.text == "0", f"{tried.text} processes of the command before are alive"


async def _supervisor(sandbox: Sandbox) -> tuple[bool, str]:
    await _tried(sandbox, "kill -9 -1; for p in /proc/[0-9]*; do kill -9 ${p#/proc/} 2>/dev/null; done")
    after = await _tried(sandbox, "echo alive")
    return after.text == "alive", f"after kill -9 of everything it could see the next command says: {after.text}"


async def _git_folder(sandbox: Sandbox) -> tuple[bool, str]:
    await _tried(
        sandbox, "mkdir -p .git/hooks a/.git; echo x > .git/hooks/post-checkout; echo x > a/.git/config; echo x > a/seen; true"
    )
    listed = (
        await said(sandbox.steward(["find", ".", "-mindepth", "1", "-name", ".git", "-prune", "-o", "-type", "f", "-print"]))
    ).decode()
    await _tried(sandbox, "rm -rf .git a")
    return listed.split() == ["./a/seen"], f"copied out: {listed}"


async def _environment(sandbox: Sandbox) -> tuple[bool, str]:
    tried = await _tried(sandbox, "env; tr '\\0' '\\n' < /proc/1/environ")
    names = {line.split("=", 1)[0] for line in tried.text.splitlines() if "=" in line}
    foreign = names - ALLOWED_NAMES
    return not foreign, f"foreign variables: {', '.join(sorted(foreign)) or 'none'}"


async def _output(sandbox: Sandbox) -> tuple[bool, str]:
    output = Output(LIMITS.output_kib << 10)
    await sandbox.run("head -c 50000000 /dev/zero | tr '\\0' a", 30, output.add)
    kept = len(output.text())
    return output.total == 50_000_000 and kept < (
        LIMITS.output_kib << 10
    ) + 200, f"{output.total} bytes printed, {kept} characters kept"


PROOFS: dict[str, Callable[[Sandbox], Awaitable[tuple[bool, str]]]] = {
    "no network": _network,
    "no host files": _host_files,
    "read-only root file system": _read_only,
    "ordinary user": _user,
    "no capabilities": _capabilities,
    "no new privileges": _new_privileges,
    "system call filter": _system_calls,
    "memory limit": _memory,
    "process limit": _processes,
    "file size limit": _file_size,
    "disk limit": _disk,
    "time limit": _time,
    "nothing left running": _leftovers,
    "supervisor out of reach": _supervisor,
    "git folders left out": _git_folder,
    "clean environment": _environment,
    "bounded output": _output,
}
"""Name of the limit → how it is proven."""
