"""The ports that processes listen on, and whether Ray's refuse strangers."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import httpx

LISTENS = "0A"  # state of a socket in /proc/net/tcp
# One call of each service that a port may have; the last four are of object managers, the dashboard's agent, Ray Client
# and Serve's replicas.
_CALLS = (
    "ray.rpc.CoreWorkerService/KillActor",
    "ray.rpc.NodeManagerService/GetNodeStats",
    "ray.rpc.NodeInfoGcsService/GetAllNodeInfo",
    "ray.rpc.ObjectManagerService/Push",
    "ray.rpc.ReporterService/GetTraceback",
    "ray.rpc.RayletDriver/ClusterInfo",
    "ray.serve.ASGIService/HandleRequest",
)
_PATHS = ("/api/job_agent/jobs/", "/api/v0/logs", "/get_or_create_runtime_env")  # of the node's two HTTP agents


def listening(pids: Iterable[int]) -> dict[tuple[str, int], int]:
    """Return the process of each address and port that one of these processes listens on."""
    owners = {}
    for pid in pids:
        for link in _links(pid):
            if link.startswith("socket:["):
                owners[link[8:-1]] = pid
    here = "".join(Path("/proc/net", name).read_text() for name in ("tcp", "tcp6"))
    return {at: owners[inode] for at, inode in sockets(here).items() if inode in owners}


def sockets(table: str) -> dict[tuple[str, int], str]:
    """Return the inode of each address and port that is listened on, by `/proc/net/tcp` and `/proc/net/tcp6`."""
    found = {}
    for columns in map(str.split, table.splitlines()):
        if columns[3] == LISTENS:
            address, port = columns[1].split(":")
            words = [bytes.fromhex(address[i : i + 8])[::-1] for i in range(0, len(address), 8)]
            family = socket.AF_INET if len(words) == 1 else socket.AF_INET6
            found[socket.inet_ntop(family, b"".join(words)), int(port, 16)] = columns[9]
    return found


def _links(pid: int) -> list[str]:
    links = []
    with suppress(OSError):  # it has ended
        for path in Path("/proc", str(pid), "fd").iterdir():
            with suppress(OSError):
                links.append(str(path.readlink()))
    return links


def refuses_strangers(address: str, port: int) -> bool:
    """Whether a port of Ray's refuses calls without a token, over HTTP or gRPC, and answers none of those tried."""
    host = "127.0.0.1" if address == "::" else address
    return refuses_http(host, port) or refuses_grpc(host, port)


def refuses_http(host: str, port: int) -> bool:
    """Whether what the two HTTP agents of a node do is answered with 401."""
    with httpx.Client(base_url=f"http://{host}:{port}", trust_env=False, timeout=5) as client:
        try:
            codes = [client.post(path).status_code for path in _PATHS]
        except httpx.TransportError:  # it speaks gRPC
            return False
    return set(codes) == {401}


def refuses_grpc(host: str, port: int) -> bool:
    """Whether one of Ray's calls is answered with `UNAUTHENTICATED`, and none otherwise."""
    import grpc

    codes = set()
    with grpc.insecure_channel(f"{host}:{port}") as channel:
        for call in _CALLS:
            try:
                channel.unary_unary(f"/{call}")(b"", timeout=5)
                return False
            except grpc.RpcError as error:
                codes.add(error.code())
    return grpc.StatusCode.UNAUTHENTICATED in codes and codes <= {
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.UNIMPLEMENTED,
    }
