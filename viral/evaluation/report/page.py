"""The HTML page of a report. Everything that comes from posts is escaped, and the page may load nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from viral.evaluation.bootstrap.by_author import Estimate
from viral.evaluation.report import page_sections, plots
from viral.evaluation.report.formatting import number, percent, plain, points, signed
from viral.evaluation.report.glossary import GLOSSARY, Better, Meaning
from viral.evaluation.report.page_sections import Plot
from viral.evaluation.report.report import MODEL, Report

if TYPE_CHECKING:
    from jinja2 import Environment

_HEADLINE = ("roc_auc", "spearman", "ece", "coverage")
_COMPARED = ("roc_auc", "spearman")

_SPLIT_WORDS = {
    "time_author": "Tested on posts newer than all training posts, by authors that the model has never seen.",
    "time": "Tested on posts newer than all training posts; the model may know their authors, which flatters it.",
    "author": "Tested on authors that the model has never seen; their posts may be older than the training posts.",
    "sound": "Tested on sounds that the model has never heard; it may know the authors, which flatters it.",
    "random": "Tested on posts drawn at random. This flatters: the model may know their authors and what came later.",
}
_PART_WORDS = {
    "train": "what the model learned from",
    "validation": "what it was tuned and calibrated on",
    "test": "what this page is about",
    "unused": "left out so that nothing leaks",
}
_LIMITS = (
    "The model sees only the inputs named above. It does not see whom the platform showed a post to, what else was "
    "posted that day, paid promotion, or what happens in the world.",
    "Association is not cause: that viral posts share a trait does not mean that adding it makes a post spread.",
    "The posts are those that were scraped, and no more: a corpus of trending posts, of few authors or of one country "
    "says little about others.",
    "Tastes and platforms change: the figures hold for the time of the test posts and fade after it.",
)


def render(report: Report) -> str:
    """The page, as HTML."""
    judged = [system for system in report.systems if system.unavailable is None]
    model = next(system for system in judged if system.name == MODEL)
    return (
        environment()
        .get_template("report/report.html")
        .render(
            report=report,
            model=model,
            judged=judged,
            unavailable=[system for system in report.systems if system.unavailable],
            groups=_groups(list(model.figures)),
            tiles=[(GLOSSARY[name], model.figures[name]) for name in _HEADLINE if name in model.figures],
            verdicts=[_verdict(report, name) for name in _COMPARED],
            comparisons=_comparisons(report),
            plots=_plots(report),
            verdict_of=verdict_of,
            posts=f"{_posts(report):,}",
            all_compared=report.settings.compared_posts == _posts(report),
            split_words=_SPLIT_WORDS.get(report.split.kind, report.split.kind),
            part_words=_PART_WORDS,
            limits=(*report.about.limits, *page_sections.unseen(report), *_LIMITS),
            words=lambda name: name.replace("_", " "),
            **page_sections.context(report),
        )
    )


def environment() -> Environment:
    """Where the templates of pages are found, and how they write numbers and strangers' words."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent.parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"number": number, "signed": signed, "percent": percent, "plain": plain, "points": points}
    return made


def verdict_of(difference: Estimate, better: Better) -> str:
    """`better` or `worse` where the interval of a difference leaves no doubt, else `unclear`."""
    if (
        difference.low is None
        or difference.high is None
        or better == "target"
        or difference.low <= 0 <= difference.high
    ):
        return "unclear"
    return "better" if (difference.low > 0) == (better == "higher") else "worse"


def _posts(report: Report) -> int:
    return sum(report.plots.confusion.model_dump().values())


def _groups(names: Sequence[str]) -> list[tuple[str, list[tuple[str, Meaning]]]]:
    """The figures under the question that they answer."""
    questions: dict[str, list[tuple[str, Meaning]]] = {}
    for name in names:
        questions.setdefault(GLOSSARY[name].question, []).append((name, GLOSSARY[name]))
    return list(questions.items())


def _verdict(report: Report, name: str) -> str:
    meaning = GLOSSARY[name]
    found = [(d.baseline, d.figures[name]) for d in report.differences if d.figures[name].value is not None]
    if not found:
        return f"{meaning.label}: no baseline to compare with."
    beaten = [baseline for baseline, gap in found if verdict_of(gap, meaning.better) == "better"]
    lost = [baseline for baseline, gap in found if verdict_of(gap, meaning.better) == "worse"]
    text = f"{meaning.label}: clearly better than {len(beaten)} of {len(found)} baselines"
    return text + (f", clearly worse than {', '.join(lost).replace('_', ' ')}." if lost else ".")


def _comparisons(report: Report) -> list[Plot]:
    judged = [system for system in report.systems if system.unavailable is None]
    names = [system.name.replace("_", " ") for system in judged]
    return [
        Plot(
            GLOSSARY[name].label,
            GLOSSARY[name].means,
            plots.comparison(names, [system.figures[name] for system in judged], GLOSSARY[name].label),
        )
        for name in _COMPARED
    ]


def _plots(report: Report) -> list[Plot]:
    data = report.plots
    share = (data.confusion.true_positive + data.confusion.false_negative) / _posts(report)
    drawn: list[Plot] = []
    if data.roc:
        reads = "The further the line bends to the upper left, the better. Dashed: guessing."
        drawn.append(Plot("ROC curve", reads, plots.roc(data.roc)))
    if data.precision_recall:
        reads = "The higher the line, the fewer false alarms among the posts called viral. Dashed: guessing."
        drawn.append(Plot("Precision and recall", reads, plots.precision_recall(data.precision_recall, share)))
    reads = "Dots on the dashed line: the probabilities can be taken at their word. Large dots: many posts."
    drawn.append(Plot("Reliability", reads, plots.reliability(data.reliability)))
    reads = "Each dot is a post. On the dashed line the prediction was exact."
    drawn.append(Plot("Predicted and actual score", reads, plots.predicted_and_actual(data.scatter)))
    reads = "Right of the dashed line: the post did better than predicted."
    drawn.append(Plot("Errors", reads, plots.residuals(data.scatter)))
    return drawn
