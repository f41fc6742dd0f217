"""Near-duplicates: `python -m tests.bench.duplicates [FOLDER OF VIDEOS | --posts 10000 100000]`, from the repository.

With a folder it makes copies of each video (encoded anew at half the bit rate, scaled, cropped by 5 %, mirrored, with a
caption bar), and prints which are found as copies of their original, which pairs of other videos are taken for
copies, and what a hash costs. With `--posts` it does so for random hashes with planted copies, for the time it takes.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from tests.media.copies import COPIES, HARDER, Change, write_copies
from viral.duplicates.pairs import Hashes, near_duplicates
from viral.duplicates.perceptual_hash import KEY_FRAMES, LATE, OPENING, VIDEO_HASH, perceptual_hash, with_hashed_frames
from viral.extractors.feature_set import FeatureSet
from viral.media.decode import decode
from viral.media.limits import MediaLimits
from viral.media.plan import SamplingPlan

VIDEOS = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "tiktok_videos" / "videos"
COPY_SHARE, FLIPPED = 0.05, 0.08  # of the random videos; of the bits of a copy, as of a crop by 5 %


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=VIDEOS)
    parser.add_argument("--copies", type=Path, help="Folder of the copies; those that are there are not made again.")
    parser.add_argument("--harder", action="store_true", help="Also crop by 10 %, and add a bar above the picture.")
    parser.add_argument("--posts", nargs="+", type=int)
    options = parser.parse_args()
    if options.posts:
        for count in options.posts:
            scaling(count)
        return
    with tempfile.TemporaryDirectory() as temporary:
        copies = options.copies or Path(temporary)
        recall(sorted(options.folder.glob("*.mp4")), copies, {**COPIES, **(HARDER if options.harder else {})})


def recall(originals: Sequence[Path], folder: Path, kinds: Mapping[str, Change]) -> None:
    """Make the missing copies, hash all files, and compare."""
    files = [("original", path.stem, path) for path in originals]
    with ThreadPoolExecutor(2) as threads:  # encoders hold no lock
        for name, paths in threads.map(lambda path: (path.stem, copies_of(path, folder, kinds)), originals):
            files += [(kind, name, copy) for kind, copy in paths.items()]
    hashes, seconds = np.zeros(len(files), VIDEO_HASH), np.zeros(len(files))
    for row, (_, _, path) in enumerate(files):
        media = decode(str(path), SamplingPlan.from_requests([OPENING, LATE, KEY_FRAMES]), MediaLimits())
        value = perceptual_hash(media)
        hashes[row] = np.frombuffer(value, VIDEO_HASH)[0] if value else 0
        seconds[row] = media.facts.seen_seconds or 0
    pairs = near_duplicates(hashes, seconds)
    names = [name for _, name, _ in files]
    found = {(a, b) for a, b in zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)}
    for kind in kinds:
        rows = [row for row, (of, *_) in enumerate(files) if of == kind]
        hits = sum((names.index(names[row]), row) in found for row in rows)
        print(f"{kind:14} {hits} of {len(rows)} found, recall {hits / len(rows):.3f}")
    false = [(names[a], names[b]) for a, b in found if names[a] != names[b]]
    others = len(originals) * (len(originals) - 1) // 2
    print(f"false pairs    {len(false)} among {others} pairs of originals, and all pairs with their copies: {false}")
    cost(originals)


def copies_of(path: Path, folder: Path, kinds: Mapping[str, Change]) -> dict[str, Path]:
    paths = {kind: folder / f"{kind}-{path.stem}.mp4" for kind in kinds}
    missing = {kind: change for kind, change in kinds.items() if not paths[kind].exists()}
    if missing:
        write_copies(path, folder, missing)
    return paths


def cost(videos: Sequence[Path]) -> None:
    """CPU seconds per video: the decode of the set `light` without and with the frames of the hash, and the hash."""
    requests, spent = FeatureSet.named("light").requests, np.zeros(3)
    plans = [SamplingPlan.from_requests(plan) for plan in (requests, with_hashed_frames(requests))]
    for path in videos:
        times = [time.process_time()]
        for plan in plans:
            media = decode(str(path), plan, MediaLimits())
            times.append(time.process_time())
        perceptual_hash(media)
        spent += np.diff([*times, time.process_time()])
    without, with_frames, hashing = spent / len(videos)
    print(
        f"CPU seconds    {without:.3f} per video to decode the set light, {with_frames:.3f} with the frames of the hash"
    )
    print(f"               {hashing:.4f} per video for the hash itself")


def scaling(count: int) -> None:
    """Time of the search among random hashes, a share of them copies of others."""
    rng = np.random.default_rng(0)
    hashes, seconds = random_hashes(rng, count), np.round(np.exp(rng.normal(3, 0.7, count)), 2)
    copies = rng.choice(count // 2, round(count * COPY_SHARE), replace=False) + count // 2
    sources = rng.integers(0, count // 2, len(copies))
    for name in ("opening", "later"):
        codes = hashes[name][sources]
        hashes[name][copies] = np.where(codes == 0, 0, flipped(rng, codes))
    hashes["later_ms"][copies], seconds[copies] = hashes["later_ms"][sources], seconds[sources]
    started = time.process_time()
    pairs = near_duplicates(hashes, seconds)
    spent = time.process_time() - started
    planted = set(zip(sources.tolist(), copies.tolist(), strict=True))
    found = planted & set(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{count:9} videos: {spent:7.2f} s of CPU, {len(pairs.first)} pairs, "
        f"{len(found) / len(planted):.4f} of {len(planted)} copies found, {memory:.2f} GiB at most",
        flush=True,
    )


def random_hashes(rng: np.random.Generator, count: int) -> Hashes:
    """Videos of two shots each: the frames of a shot share nine in ten bits."""
    hashes = np.zeros(count, VIDEO_HASH)
    for name, frames in (("opening", 8), ("later", 8)):
        shots = rng.integers(0, 2**64, (count, 2), np.uint64, endpoint=False)
        hashes[name][:, 0] = flipped(rng, np.repeat(shots, [frames // 2, frames - frames // 2], axis=1)) | np.uint64(1)
    hashes["later_ms"] = np.cumsum(rng.integers(1000, 8000, (count, 8)), axis=1) + 3000
    return hashes


def flipped(rng: np.random.Generator, codes: np.ndarray) -> np.ndarray:
    """Flip a share of the bits but the first, `FLIPPED`."""
    flips = np.zeros(codes.shape, np.uint64)
    for bit in range(1, 64):
        flips |= (rng.random(codes.shape, np.float32) < FLIPPED).astype(np.uint64) << np.uint64(bit)
    return codes ^ flips


if __name__ == "__main__":
    main()
