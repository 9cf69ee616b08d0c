"""Opens listening sockets where a sandbox's programs find them, and hands them over to us. The standard library alone.

python3 -I -S door.py PID FD tcp:3128 udp:53            in the network of a process, over an inherited socket
python3 -I -S - here PATH tcp:3128 udp:53  <door.py     in the network it runs in, over a unix socket at a path

A socket belongs to the network it was made in, whoever holds it. So nothing of ours stays inside, nothing inside can end or
replace what listens, and the sandbox needs no program for it.
"""

import ctypes
import fcntl
import os
import socket
import sys

NS_GET_USERNS = 0xB701
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
WAITING = 128
"""Connections that the kernel holds until we take them."""


def enter_network_of(pid: str) -> None:
    """Into a process' network, by way of the user namespace that owns it: bwrap may have nested another one below."""
    network = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    owner = fcntl.ioctl(network, NS_GET_USERNS)
    libc = ctypes.CDLL(None, use_errno=True)
    for namespace, kind in ((owner, CLONE_NEWUSER), (network, CLONE_NEWNET)):
        if libc.setns(namespace, kind):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))


def opened(word: str) -> socket.socket:
    """A listening socket on loopback: ``tcp:PORT`` or ``udp:PORT``."""
    kind, port = word.split(":")
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
    made.bind(("127.0.0.1", int(port)))
    if kind == "tcp":
        made.listen(WAITING)
    return made


def main() -> None:
    """Hand over what the arguments ask for."""
    where, channel, *words = sys.argv[1:]
    if where == "here":
        to_us = socket.socket(socket.AF_UNIX)
        to_us.connect(channel)
    else:
        enter_network_of(where)
        to_us = socket.socket(fileno=int(channel))
    sockets = [opened(word) for word in words]
    socket.send_fds(to_us, [b"opened"], [one.fileno() for one in sockets])


if __name__ == "__main__":
    main()
