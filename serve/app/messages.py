"""What a page says when something fails: one sentence on what happened, one on what to do."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import streamlit as st

from viral.client.attempts import BAD_RESPONSE, DEADLINE, UNREACHABLE
from viral.errors import EndpointError, UsageError, ViralError

_LOG = logging.getLogger(__name__)
_NO_VIDEO = "This file is no video that can be read. Export it again as MP4 (H.264), and drop that."
_BUSY = "The endpoint is busy with other requests. Wait a few seconds, and press the button again."
_KEY = (
    "The endpoint refuses the key of this app. Stop the app, set VIRAL_API_KEY to a key that the endpoint accepts "
    "(`viral serve keys add`), and start it again."
)
_STORAGE = "The storage behind the endpoint does not answer. Try again in a minute."
SENTENCES: Mapping[str, str] = {
    UNREACHABLE: "The endpoint does not answer. Wait if it has just been started; otherwise start it (`viral serve`), "
    "or start this app without --endpoint.",
    DEADLINE: "The endpoint took too long. Try a shorter video, or try again when it has less to do.",
    BAD_RESPONSE: "The address given as --endpoint is no scoring endpoint. Give the URL of `viral serve`.",
    "unauthorized": _KEY,
    "unknown_model": "The endpoint does not serve this model. Choose another.",
    "unreadable": _NO_VIDEO,
    "no_video_stream": "This file has sound, but no pictures. Drop the video itself.",
    "unsupported_codec": "No decoder here knows the format of this video. Export it as MP4 (H.264), and drop that.",
    "too_long": "The video is longer than the endpoint takes. Cut it, and drop the shorter one.",
    "too_large": "The video is larger than the endpoint takes. Export it with a lower bit rate, and drop that.",
    "timed_out": "Reading the video took too long. Export it again as MP4 (H.264), and drop that.",
    "crashed": _NO_VIDEO,
    "out_of_memory": "The pictures of this video are too large to read. Export it at 1080 by 1920 or less.",
    "nothing_to_score": "There is nothing to score. Drop a video, write a caption, or both.",
    "busy": _BUSY,
    "bytes_in_flight": _BUSY,
    "rate_limited": _BUSY,
    "draining": "The endpoint is stopping. Start it again, then press the button again.",
    "not_ready": "The endpoint is still starting. Wait a few seconds, and press the button again.",
    "slow_body": "The upload to the endpoint was too slow. Try again on a faster network.",
    "storage_error": _STORAGE,
    "missing_object": "The video is no longer here. Drop it again.",
}
"""By the `reason` of an error of the endpoint."""
UNEXPECTED = "Something went wrong that should not. The log of this app says what; press the button to try again."


def sentence(error: ViralError) -> str:
    """Return what a page says of an error."""
    if isinstance(error, EndpointError):
        return SENTENCES.get(
            error.reason, f"The endpoint refused this: {error.detail.rstrip('.')}. Change it, and try again."
        )
    text = str(error)
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


@contextmanager
def friendly() -> Iterator[None]:
    """Show the errors of the block as a sentence, in its place on the page. Any other error is logged as well."""
    try:
        yield
    except EndpointError as error:
        _LOG.warning("the endpoint refused a request: %s", error)
        st.error(sentence(error), icon=":material/error:")
    except UsageError as error:
        st.info(sentence(error), icon=":material/info:")
    except ViralError as error:
        _LOG.warning("%s", error)
        st.error(sentence(error), icon=":material/error:")
    except Exception as error:  # whatever it is, a visitor sees one sentence; the log has the rest
        if type(error).__module__.startswith("streamlit."):  # how it stops and reruns a page
            raise
        _LOG.exception("a page failed")
        st.error(UNEXPECTED, icon=":material/error:")
