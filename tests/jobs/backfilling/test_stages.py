from __future__ import annotations

from jobs.backfilling.stages import POST_COLUMNS, extraction_request


def test_subtitles_of_a_post_reach_its_extractors() -> None:
    post = dict.fromkeys(POST_COLUMNS) | {"post_id": "a", "subtitles": "so this is it"}
    assert extraction_request(post).context.subtitles == "so this is it"
    del post["subtitles"]
    assert extraction_request(post).context.subtitles is None
