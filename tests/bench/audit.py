"""False alarms of the leakage audit on clean corpora, and planted leaks that it finds.

`python tests/bench/audit.py [--corpora 100] [--leaks 10]`. The corpora have 150 to 2,500 posts and 1 to 20 posts per
author; authors explain 10 to 85 % of the variance of log views. Clean inputs are followers, the author's earlier mean,
the hour, a flag of large accounts and content that says something of the views.
"""

from __future__ import annotations

import argparse

from tests.evaluation.clean_corpora import LEAKS, clean_corpus, leak_of
from viral.evaluation.audit import audit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", type=int, default=100)
    parser.add_argument("--leaks", type=int, default=10, help="Corpora in which each leak is planted.")
    parser.add_argument("--first", type=int, default=0, help="Seed of the first corpus.")
    args = parser.parse_args()
    alarms = sum(bool(audit(clean_corpus(args.first + seed).evidence())) for seed in range(args.corpora))
    print(f"clean corpora with a false alarm: {alarms} of {args.corpora}", flush=True)
    for kind in LEAKS if args.leaks else ():
        found = sum(caught(kind, args.first + seed) for seed in range(args.leaks))
        print(f"{kind:<18}{found:>4} of {args.leaks} found", flush=True)


def caught(kind: str, seed: int) -> bool:
    """Whether a planted column is named."""
    corpus = clean_corpus(seed)
    return any("content[7]" in str(finding) for finding in audit(corpus.evidence(leak_of(kind, corpus, seed))))


if __name__ == "__main__":
    main()
