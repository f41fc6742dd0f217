"""`viral score --endpoint URL FILE…`: score files by a running endpoint."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import fields
from typing import TYPE_CHECKING, cast

from jobs.scoring.files import check_failures, print_score
from viral.errors import EndpointError
from viral.extractors.extractor import Context
from viral.features.posts import ExtractionResult
from viral.scoring.scorer import Score

if TYPE_CHECKING:
    from viral.client import DraftFields, EndpointScore

UNAUTHORIZED = 401


def score_by_endpoint(
    url: str, model: str | None, files: Sequence[str], context: Context, views: Sequence[int], *, as_json: bool
) -> None:
    """Score each file and print the result; files without a score are named at the end.

    Args:
        url: of the endpoint; its key comes from `$VIRAL_API_KEY`.
        model: of the endpoint; None: its first one.
        files: paths to upload, or `s3://` addresses that the endpoint reads itself.
        context: of all files.
        views: of the author's earlier posts, for comparison.
        as_json: print a JSON object per file.

    Raises:
        UsageError: some files have no score.
        EndpointError: the endpoint is not ready, or refuses the key.
    """
    failures = asyncio.run(_score(url, [_draft(file, model, context, views) for file in files], files, as_json))
    check_failures(failures, len(files))


async def _score(url: str, drafts: Sequence[DraftFields], files: Sequence[str], as_json: bool) -> list[str]:
    from viral.client import AsyncClient

    failures = []
    async with AsyncClient(url) as client:
        if not await client.ready():  # before uploads are tried again and again
            raise EndpointError(f"no endpoint is ready at {url}: correct the address, or wait for it (GET /healthz)")
        # `score_many` yields the outcomes in the order of the drafts.
        names = iter(files)
        # Closed also after an error, so that the requests in flight end before the client does.
        async with aclosing(client.score_many(drafts)) as outcomes:
            async for outcome in outcomes:
                if isinstance(outcome, EndpointError):
                    failures.append(_failure(next(names), outcome))
                else:
                    result = ExtractionResult(next(names), outcome.status, outcome.reason, outcome.detail)
                    print_score(result, _local_score(outcome), as_json=as_json)
    return failures


def _failure(file: str, error: EndpointError) -> str:
    if error.status == UNAUTHORIZED:
        raise error  # the same for every file
    return f"{file}: {error}"


def _draft(file: str, model: str | None, context: Context, views: Sequence[int]) -> DraftFields:
    # The endpoint takes no subtitles: they are those of a platform, which a draft has not seen yet.
    known = {field.name: getattr(context, field.name) for field in fields(Context) if field.name != "subtitles"}
    place = {"uri": file} if file.startswith("s3://") else {"file": file}
    return cast("DraftFields", {**known, **place, "model": model, "author_views": views or None})


def _local_score(score: EndpointScore) -> Score:
    """Return the same score as a local model would give it, for printing."""
    return Score(**{field.name: getattr(score, field.name) for field in fields(Score)})
