"""Label definitions by name."""

from __future__ import annotations

from viral.errors import ConfigError
from viral.labels.correlation_weighted import CORRELATION_WEIGHTED, CORRELATION_WEIGHTED_SCALED
from viral.labels.daily_views import DAILY_VIEWS
from viral.labels.definition import Definition
from viral.labels.engagement_rate import ENGAGEMENT_RATES
from viral.labels.engagement_weighted import ENGAGEMENT_WEIGHTED, ENGAGEMENT_WEIGHTED_RAW
from viral.labels.log_uses import LOG_USES
from viral.labels.log_views import LOG_VIEWS
from viral.labels.over_author import OVER_AUTHOR
from viral.labels.views_per_follower import VIEWS_PER_FOLLOWER

_ALL = (
    *(CORRELATION_WEIGHTED, CORRELATION_WEIGHTED_SCALED, ENGAGEMENT_WEIGHTED, ENGAGEMENT_WEIGHTED_RAW),
    *(LOG_VIEWS, DAILY_VIEWS, VIEWS_PER_FOLLOWER, OVER_AUTHOR, *ENGAGEMENT_RATES, LOG_USES),
)
# Names are stored with labels: without its definition here, an old label cannot be applied any more.
_BY_NAME = {definition.name: definition for definition in _ALL}

DEFINITIONS: tuple[str, ...] = tuple(_BY_NAME)
"""Names of all label definitions."""


def definition(name: str) -> Definition:
    """Look up a definition by name. Raises ConfigError for an unknown name."""
    if name not in _BY_NAME:
        raise ConfigError(f"there is no label {name!r}; there are: {', '.join(DEFINITIONS)}")
    return _BY_NAME[name]
