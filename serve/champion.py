"""Which version an endpoint serves: one that is pinned, or whichever is the champion now."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from viral.errors import StorageError, ViralError
from viral.registry.promotions import CHAMPION, Promotion, newest_first
from viral.registry.registry import Registry, Saved
from viral.storage.store import Store, one_line

Use = Callable[[Saved], None]

_log = logging.getLogger("ray.serve")


def followed(model: str) -> str | None:
    """The name whose champion `model` asks for; None where it names a version."""
    name, at, alias = model.partition("@")
    return name if at and alias == CHAMPION else None


class Follower:
    """Gives each new champion to `use`, which loads it and serves it from then on.

    One that fails is passed over and said in the log: what was served before is served on. Only a storage that fails
    is asked again for the same promotion.

    Args:
        store: the root.
        model: what is served: `name/version`, which stays, or `name@champion`.
        use: takes a model, or raises what keeps it from being served.
    """

    def __init__(self, store: Store, model: str, use: Use) -> None:
        self.store, self.model, self.use = store, model, use
        self.name, self.seen = followed(model), 0

    def first(self) -> None:
        """Use what is there now.

        Where the newest champion cannot be loaded, it is the one before, as for a replica that ran through that
        promotion.

        Raises:
            TableError: there is no such model, or no champion. Raises what `use` does, where nothing can be served.
        """
        promoted = newest_first(self.store, self.name) if self.name else iter(())
        if not any(self._tried(promotion) for promotion in promoted):
            self.use(Registry(self.store).load(self.model))

    def follow(self, every: float) -> None:
        """Look for another champion so often, in seconds, in a thread of its own, until this process ends."""
        if self.name:
            threading.Thread(target=self._follow, args=(every,), name="follow", daemon=True).start()

    def _follow(self, every: float) -> None:
        pause = threading.Event()
        while not pause.wait(every):
            try:
                promotion = next(newest_first(self.store, self.name or ""), None)
            except Exception as error:  # noqa: BLE001 - else one bad answer of a storage would end the following
                _log.warning("cannot see who is the champion of %s: %s", self.name, one_line(error))
                continue
            if promotion and promotion.number > self.seen:
                self._tried(promotion)

    def _tried(self, promotion: Promotion) -> bool:
        """Whether the model of a promotion is served now."""
        version = f"{self.name}/{promotion.version}"
        try:
            self.use(Registry(self.store).load(version))
        except StorageError as error:
            _log.warning("cannot read the champion %s, what was served is served on: %s", version, error)
            return False
        except Exception as error:  # noqa: BLE001 - whatever a strange model makes a library raise, others serve on
            trace = not isinstance(error, ViralError)
            _log.error("cannot load the champion %s, what was served is served on: %s", version, error, exc_info=trace)
            self.seen = max(self.seen, promotion.number)
            return False
        _log.info("serves the champion %s", version)
        self.seen = max(self.seen, promotion.number)
        return True
