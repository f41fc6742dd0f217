"""Learns from short videos what makes them spread, and scores new ones. The library: imports no Ray.

The names below are loaded when they are first used, so that `import viral` stays cheap.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from viral.client.async_client import AsyncClient
    from viral.client.sync_client import Client
    from viral.errors import EndpointError
    from viral.extractors.feature_set import FeatureSet
    from viral.features.feature_table import load_features
    from viral.queries.queries import query
    from viral.registry.registry import Registry
    from viral.scoring.scorer import Scorer
    from viral.search.searcher import Searcher
    from viral.storage.store import Store
    from viral.tables.places import load_labels, load_posts

__version__ = "0.1.0"
__all__ = [
    "AsyncClient",
    "Client",
    "EndpointError",
    "FeatureSet",
    "Registry",
    "Scorer",
    "Searcher",
    "Store",
    "__version__",
    "load_features",
    "load_labels",
    "load_posts",
    "query",
]

_MODULES = {
    "AsyncClient": "client.async_client",
    "Client": "client.sync_client",
    "EndpointError": "errors",
    "FeatureSet": "extractors.feature_set",
    "Registry": "registry.registry",
    "Scorer": "scoring.scorer",
    "Searcher": "search.searcher",
    "Store": "storage.store",
    "load_features": "features.feature_table",
    "load_labels": "tables.places",
    "load_posts": "tables.places",
    "query": "queries.queries",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
