"""Embeddings of captions: what they say about views, and how many per second.

`python tests/bench/captions.py vn_tiktok/raw_data.csv` or `… trending_dec2020/trending.json [--rounds 3]`. Ridge
regression of the log of the views on each embedding, five folds by author, Spearman with 90 % intervals by a bootstrap
over authors; differences are paired. With followers in the data, a second target is what they do not explain. Then
captions per second on one core: one by one and in batches.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from py3langid import classify
from report import ROUNDS, interleave, print_table, ratio
from scipy.stats import spearmanr
from sklearn.linear_model import LinearRegression, RidgeCV
from sklearn.model_selection import GroupKFold

from viral.evaluation.bootstrap.by_author import AuthorBootstrap
from viral.extractors.caption import Caption
from viral.extractors.extractor import Context, Extractor, PostInput
from viral.weights.resolve import resolve_local

MODELS = ("all-MiniLM-L6-v2", "multilingual-e5-small")
FOLDS = 5
PENALTIES = 10.0 ** np.arange(-1, 4)  # on vectors of unit length the best lies between 1 and 100
BATCHES = (8, 128)  # posts with and without videos: `viral.features.pipeline`
TIMED = 256  # captions
Floats = npt.NDArray[np.float64]


def read_posts(file: Path) -> list[dict[str, Any]]:
    """Posts with a caption: `caption`, `author`, `views`, `followers`."""
    if file.suffix == ".csv":
        with file.open(encoding="utf-8", newline="") as lines:
            rows = list(csv.DictReader(lines))
        names = {"caption": "vid_caption", "author": "user_name", "views": "vid_nview", "followers": "user_nfollower"}
        posts = [{name: row[column] for name, column in names.items()} for row in rows]
    else:
        content = json.loads(file.read_text(encoding="utf-8"))
        posts = [
            {"caption": row["text"], "author": row["authorMeta"]["name"], "views": row["playCount"], "followers": None}
            for row in (content["collector"] if isinstance(content, dict) else content)
        ]
    for post in posts:
        post.update(views=number(post["views"]), followers=number(post["followers"]), caption=post["caption"].strip())
    return [post for post in posts if post["caption"] and post["views"] is not None]


def number(value: object) -> float | None:
    """A count, also as `541.2K`."""
    text = str(value).strip().upper()
    factor = {"K": 1e3, "M": 1e6, "B": 1e9}.get(text[-1:], 1.0)
    try:
        return float(text.rstrip("KMB")) * factor
    except ValueError:
        return None


def extractor(model: str) -> Extractor:
    return Caption(model=model).build("cpu", resolve_local)  # type: ignore[arg-type]  # the names come from the command line


def inputs(captions: Sequence[str]) -> list[PostInput]:
    return [PostInput(None, Context(caption=caption)) for caption in captions]


def embed(model: str, captions: Sequence[str], size: int = 256) -> Floats:
    encode, distinct = extractor(model), list(dict.fromkeys(captions))
    vectors = [
        vector for start in range(0, len(distinct), size) for vector in encode(inputs(distinct[start : start + size]))
    ]
    by_caption = dict(zip(distinct, vectors, strict=True))
    return np.array([by_caption[caption] for caption in captions], np.float64)


def out_of_fold(
    x: Floats, y: Floats, authors: npt.NDArray[np.int64], followers: Floats | None
) -> tuple[Floats, Floats]:
    """Predictions and targets of posts by authors that the fold's model has not seen."""
    predicted, target = np.empty(len(y)), np.array(y)
    for train, test in GroupKFold(FOLDS).split(x, groups=authors):
        if followers is not None:
            reach = LinearRegression().fit(followers[train], y[train])
            target[test] = y[test] - reach.predict(followers[test])
        goal = y[train] - reach.predict(followers[train]) if followers is not None else y[train]
        predicted[test] = RidgeCV(PENALTIES).fit(x[train], goal).predict(x[test])
    return predicted, target


def quality(posts: list[dict[str, Any]]) -> None:
    codes = {author: code for code, author in enumerate(dict.fromkeys(post["author"] for post in posts))}
    authors = np.array([codes[post["author"]] for post in posts])
    y = np.log1p([post["views"] for post in posts])
    reach = [post["followers"] for post in posts]
    targets: dict[str, Floats | None] = {"log views": None}
    if None not in reach:
        targets["log views without what followers explain"] = np.log1p(np.array(reach, np.float64))[:, None]
    vectors = {model: embed(model, [post["caption"] for post in posts]) for model in MODELS}
    vectors["both"] = np.concatenate(list(vectors.values()), axis=1)
    bootstrap = AuthorBootstrap(authors)
    for title, followers in targets.items():
        print(f"\n{title}: {len(posts)} posts of {len(codes)} authors, Spearman")
        values, drawn = {}, {}
        for name, x in vectors.items():
            predicted, target = out_of_fold(x, y, authors, followers)
            metric = partial(rank_correlation, predicted, target)
            values[name] = metric(np.arange(len(y)))["spearman"]
            drawn[name] = bootstrap.replicates(metric)["spearman"]
            show(name, values[name], drawn[name], bootstrap)
        for name in list(vectors)[1:]:
            show(f"{name} - {MODELS[0]}", values[name] - values[MODELS[0]], drawn[name] - drawn[MODELS[0]], bootstrap)


def rank_correlation(predicted: Floats, target: Floats, rows: npt.NDArray[np.int64]) -> dict[str, float]:
    return {"spearman": float(spearmanr(predicted[rows], target[rows]).statistic)}


def show(name: str, value: float, drawn: Floats, bootstrap: AuthorBootstrap) -> None:
    estimate = bootstrap.estimate(value, drawn)
    print(f"{name:45} {value:+.3f} ({estimate.low:+.3f} to {estimate.high:+.3f})", flush=True)


def speed(captions: Sequence[str]) -> Iterator[tuple[str, float]]:
    """Captions per CPU second of each way."""
    posts = inputs(captions)
    for model in MODELS:
        encode = extractor(model)
        encode(posts[:1])
        for size in (1, *BATCHES) if model == MODELS[1] else (1,):
            start = time.process_time()
            for first in range(0, len(posts), size):
                encode(posts[first : first + size])
            yield f"{model}, {size} at a time", len(posts) / (time.process_time() - start)


def main() -> None:
    import torch

    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    args = parser.parse_args()
    posts = read_posts(args.file)
    quality(posts)
    if with_followers := [post for post in posts if post["followers"] is not None]:
        quality(with_followers)
    print("\nposts with a caption in English")
    quality([post for post in posts if classify(post["caption"])[0] == "en"])
    rng = np.random.default_rng(0)
    captions = [posts[row]["caption"] for row in rng.choice(len(posts), min(TIMED, len(posts)), replace=False)]
    samples = interleave(partial(speed, captions), args.rounds)
    print_table(samples, digits=0)
    alone = samples[f"{MODELS[1]}, 1 at a time"]
    for size in BATCHES:
        print(f"{size} at a time, to one: {ratio(samples[f'{MODELS[1]}, {size} at a time'], alone)}")


if __name__ == "__main__":
    main()
