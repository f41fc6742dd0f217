"""The scoring endpoint over HTTP: `Client` for ordinary code, `AsyncClient` for asyncio."""

from viral.client.answers import ComparedDraft, EndpointJob, EndpointModel, EndpointScore, JobResult
from viral.client.async_client import AsyncClient
from viral.client.calls import DraftContext, DraftFields
from viral.client.sync_client import Client

__all__ = [
    "AsyncClient",
    "Client",
    "ComparedDraft",
    "DraftContext",
    "DraftFields",
    "EndpointJob",
    "EndpointModel",
    "EndpointScore",
    "JobResult",
]
