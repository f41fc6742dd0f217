from __future__ import annotations

import pytest

from viral.models.epoch_plan import CHUNK, ClipChunk, epoch_order, training_chunks, validation_chunks

COUNTS = (13, 0, 30, 7, 1)


def posts(chunks: list[ClipChunk]) -> list[tuple[int, int]]:
    return [(chunk.bucket, index) for chunk in chunks for index in range(chunk.start, chunk.stop)]


@pytest.mark.parametrize("world", [1, 2, 3, 7, 51])
def test_workers_of_an_epoch_have_as_many_posts_each_and_none_twice(world: int) -> None:
    parts = [posts(training_chunks(COUNTS, 1, 4, rank, world)) for rank in range(world)]
    assert {len(part) for part in parts} == {sum(COUNTS) // world}
    all_posts = [post for part in parts for post in part]
    assert len(set(all_posts)) == len(all_posts) > sum(COUNTS) - world
    assert all(0 <= index < COUNTS[bucket] for bucket, index in all_posts)


@pytest.mark.parametrize("world", [1, 2, 60])
def test_validation_reads_all_posts_in_order(world: int) -> None:
    all_posts = [post for rank in range(world) for post in posts(validation_chunks(COUNTS, rank, world))]
    assert all_posts == [(bucket, index) for bucket, count in enumerate(COUNTS) for index in range(count)]


def test_chunks_are_small_and_an_epoch_is_decided_by_its_seed_and_number() -> None:
    chunks = training_chunks(COUNTS, 1, 4, 0, 1)
    assert max(chunk.stop - chunk.start for chunk in chunks) == CHUNK
    assert training_chunks(COUNTS, 1, 4, 0, 1) == chunks
    epochs = [training_chunks((5,) * 20, 1, epoch, 0, 1) for epoch in range(3)]
    assert epochs[0] != epochs[1] != epochs[2]
    assert sorted(epoch_order(30, 2, 1, 4)) == list(range(30))
    assert epoch_order(30, 2, 1, 4).tolist() == epoch_order(30, 2, 1, 4).tolist() != epoch_order(30, 2, 1, 5).tolist()
