"""Choice of the served model version: a pinned one, or the current champion."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from viral.errors import StorageError, ViralError
from viral.registry.promotions import CHAMPION, Promotion, newest_first
from viral.registry.registry import ModelVersion, Registry
from viral.storage.store import Store, one_line

LoadModel = Callable[[ModelVersion], None]

_log = logging.getLogger("ray.serve")


def champion_name(model: str) -> str | None:
    """Return NAME of `NAME@champion`; None for a model given by version."""
    name, separator, alias = model.partition("@")
    return name if separator and alias == CHAMPION else None


class ChampionWatcher:
    """Loads the champion, and each new one as it is promoted.

    If a new champion fails to load, the failure is logged and the previous model stays in service. Only storage
    failures are retried for the same promotion.

    Args:
        store: the root.
        model: `name/version`, which is pinned, or `name@champion`.
        load: loads a model version and puts it into service; raises if it cannot.
    """

    def __init__(self, store: Store, model: str, load: LoadModel) -> None:
        self.store, self.model, self.load = store, model, load
        self.name, self.last_promotion = champion_name(model), 0

    def load_current(self) -> None:
        """Load the pinned version, or the newest champion that loads.

        A replica that starts while the newest champion is broken thus serves the same model as older replicas.

        Raises:
            TableError: no such model, or no champion. Also whatever `load` raises if no version can be served.
        """
        promotions = newest_first(self.store, self.name) if self.name else iter(())
        if not any(self._try_load(promotion) for promotion in promotions):
            self.load(Registry(self.store).load(self.model))

    def start(self, interval: float) -> None:
        """Poll for a new champion every `interval` seconds in a daemon thread; no-op for a pinned version."""
        if self.name:
            threading.Thread(target=self._poll, args=(interval,), name="follow", daemon=True).start()

    def _poll(self, interval: float) -> None:
        pause = threading.Event()
        while not pause.wait(interval):
            try:
                promotion = next(newest_first(self.store, self.name or ""), None)
            except Exception as error:  # noqa: BLE001 - one failed read of the storage must not end the thread
                _log.warning("cannot look up the champion of %s: %s", self.name, one_line(error))
                continue
            if promotion and promotion.number > self.last_promotion:
                self._try_load(promotion)

    def _try_load(self, promotion: Promotion) -> bool:
        """Load the promoted version, and return whether that succeeded."""
        version = f"{self.name}/{promotion.version}"
        try:
            self.load(Registry(self.store).load(version))
        except StorageError as error:
            _log.warning("cannot read the champion %s, still serving the previous model: %s", version, error)
            return False
        except Exception as error:  # noqa: BLE001 - a broken model may raise anything; the previous one still serves
            trace = not isinstance(error, ViralError)
            _log.error(
                "cannot load the champion %s, still serving the previous model: %s", version, error, exc_info=trace
            )
            self.last_promotion = max(self.last_promotion, promotion.number)
            return False
        _log.info("serving the champion %s", version)
        # `load_current` goes from the newest promotion to older ones: a broken newest one is not tried again.
        self.last_promotion = max(self.last_promotion, promotion.number)
        return True
