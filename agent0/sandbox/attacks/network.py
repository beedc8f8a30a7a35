"""Attacks over the network: every family, every way to get a socket."""

from agent0.sandbox.attacks.model import Attack

ATTACKS = (
    Attack(
        "TCP connection to the owner",
        'attempt("connect", lambda: socket.create_connection(("127.0.0.1", TCP_PORT), 2))',
        works_bare=True,
    ),
    Attack(
        "TCP connection over IPv6",
        'attempt("connect", lambda: socket.socket(socket.AF_INET6).connect(("::1", TCP_PORT)))',
    ),
    Attack(
        "UDP datagram to the owner",
        """
        attempt("send", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", UDP_PORT)))
        """,
        works_bare=True,
    ),
    Attack(
        "TCP server for others to call",
        """
        attempt("listen", lambda: socket.create_server(("0.0.0.0", 0)))
        """,
        works_bare=True,
    ),
    Attack(
        "unix socket by path",
        'attempt("connect", lambda: socket.socket(socket.AF_UNIX).connect(UNIX_PATH))',
        works_bare=True,
    ),
    Attack(
        "abstract unix socket",
        'attempt("connect", lambda: socket.socket(socket.AF_UNIX).connect(ABSTRACT))',
        works_bare=True,
    ),
    Attack(
        "DNS lookup",
        """
        attempt("resolve", lambda: socket.gethostbyname("example.org"))
        attempt("ask a resolver", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(("9.9.9.9", 53)))
        """,
    ),
    Attack(
        "raw and packet sockets",
        """
        attempt("raw", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP))
        attempt("packet", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
        """,
    ),
    Attack(
        "netlink, vsock and kernel crypto sockets",
        """
        attempt("netlink", lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW))
        attempt("vsock", lambda: socket.socket(40, socket.SOCK_STREAM))
        attempt("alg", lambda: socket.socket(38, socket.SOCK_SEQPACKET))
        """,
    ),
    Attack(
        "datagram pair as a way to address other sockets",
        """
        attempt("pair", lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))
        a, b = socket.socketpair()
        attempt("address through a stream pair", lambda: a.sendto(b"x", ABSTRACT))
        attempt("send descriptors", lambda: socket.send_fds(a, [b"x"], [0]))
        a.send(b"own pair works"); print(b.recv(20).decode())
        """,
        prints="own pair works",
        works_bare=True,
    ),
    Attack(
        "web request",
        """
        import urllib.request
        attempt("get", lambda: urllib.request.urlopen(f"http://127.0.0.1:{TCP_PORT}/", timeout=1))
        """,
    ),
)
