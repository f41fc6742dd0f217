"""`python -m tests.cluster.scan HOST:PORT …`: print those that do not refuse a caller without a key, as JSON."""

from __future__ import annotations

import json
import socket
import sys

from tests.serve.ports import refuses_strangers


def refuses(at: str) -> bool:
    host, _, port = at.rpartition(":")
    return is_locked_redis(host, int(port)) or refuses_strangers(host, int(port))


def is_locked_redis(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=5) as connection:
            connection.settimeout(2)
            connection.sendall(b"PING\r\n")
            return connection.recv(100).startswith(b"-NOAUTH")
    except OSError:
        return False


if __name__ == "__main__":
    print(json.dumps([at for at in sys.argv[1:] if not refuses(at)]))
