"""Round trips of one byte over TCP: `echo.py` answers, `echo.py HOST SECONDS` counts them."""

import socket
import sys
import time

PORT = 7007


def answer() -> None:
    """Answers clients, one after the other, for ever."""
    with socket.create_server(("", PORT)) as server:
        while True:
            client, _ = server.accept()
            with client:
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                while data := client.recv(64):
                    client.sendall(data)


def count(host: str, seconds: float) -> float:
    """Returns round trips a second."""
    with socket.create_connection((host, PORT)) as server:
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        begin, done = time.monotonic(), 0
        while (passed := time.monotonic() - begin) < seconds:
            server.sendall(b"x")
            if not server.recv(64):
                raise ConnectionError("the other side has gone")
            done += 1
        return done / passed


if len(sys.argv) == 1:
    answer()
else:
    print(round(count(sys.argv[1], float(sys.argv[2])), 1))
