"""The HTML page of a report. All text from posts is escaped, and the page loads nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from viral.evaluation.bootstrap.by_author import Estimate
from viral.evaluation.report import page_sections, plots
from viral.evaluation.report.formatting import number, percent, plain, points, signed
from viral.evaluation.report.glossary import GLOSSARY, Better, MetricInfo
from viral.evaluation.report.page_sections import Plot
from viral.evaluation.report.report import MODEL, Report
from viral.evaluation.report.summary import MIN_POSTS

if TYPE_CHECKING:
    from jinja2 import Environment

_HEADLINE = ("roc_auc", "spearman", "ece", "coverage")
_COMPARED = ("roc_auc", "spearman")

_SPLIT_TEXTS = {
    "time_author": "Tested on posts newer than all training posts, by authors without training posts.",
    "time": "Tested on posts newer than all training posts. Authors may have training posts: results are optimistic.",
    "author": "Tested on posts by authors without training posts; they may be older than the training posts.",
    "sound": "Tested on posts with new sounds. Their authors may have training posts: results are optimistic.",
    "random": "Tested on random posts. Training posts may be later or by the same authors: results are optimistic.",
}
_PART_TEXTS = {
    "train": "used to fit the model",
    "validation": "used to tune and calibrate it",
    "test": "evaluated on this page",
    "unused": "left out so that nothing leaks",
}
_LIMITS = (
    "The model sees only the inputs named above. It does not know to whom the platform showed a post, what else was "
    "posted that day, paid promotion, or current events.",
    "Correlation is not causation: adding a trait that viral posts share may not make a post spread.",
    "The results hold for posts similar to the scraped ones: a corpus of trending posts, few authors or one country "
    "says little about other posts.",
    "Tastes and platforms change: expect worse metrics on posts later than the test posts.",
)


def render(report: Report) -> str:
    """Return the page as HTML."""
    evaluated = [system for system in report.systems if system.unavailable is None]
    model = next(system for system in evaluated if system.name == MODEL)
    return (
        environment()
        .get_template("report/report.html")
        .render(
            report=report,
            model=model,
            evaluated=evaluated,
            unavailable=[system for system in report.systems if system.unavailable],
            questions=_questions(model.metrics),
            tiles=[(GLOSSARY[name], model.metrics[name]) for name in _HEADLINE if name in model.metrics],
            verdicts=[_verdict(report, name) for name in _COMPARED],
            comparisons=_comparisons(report),
            plots=_plots(report),
            verdict_of=verdict_of,
            posts=f"{_num_posts(report):,}",
            all_compared=report.settings.compared_posts == _num_posts(report),
            split_text=_SPLIT_TEXTS.get(report.split.kind, report.split.kind),
            part_texts=_PART_TEXTS,
            limits=(*report.about.limits, *page_sections.missing_inputs(report), *_LIMITS),
            label=lambda name: name.replace("_", " "),
            **page_sections.context(report),
        )
    )


def environment() -> Environment:
    """Return the template environment of all pages, with filters for numbers and untrusted text."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent.parent),
        # Captions and names are untrusted; StrictUndefined makes a misspelt variable an error.
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {"number": number, "signed": signed, "percent": percent, "plain": plain, "points": points}
    return templates


def verdict_of(difference: Estimate, better: Better) -> str:
    """Return `better` or `worse` if the interval of a difference excludes 0, else `unclear`."""
    low, high = difference.low, difference.high
    # Of a metric with a target value, coverage for example, more is neither better nor worse.
    if low is None or high is None or better == "target" or low <= 0 <= high:
        return "unclear"
    return "better" if (low > 0) == (better == "higher") else "worse"


def _num_posts(report: Report) -> int:
    return sum(report.plots.confusion.model_dump().values())


def _questions(names: Iterable[str]) -> list[tuple[str, list[tuple[str, MetricInfo]]]]:
    questions: dict[str, list[tuple[str, MetricInfo]]] = {}
    for name in names:
        questions.setdefault(GLOSSARY[name].question, []).append((name, GLOSSARY[name]))
    return list(questions.items())


def _verdict(report: Report, name: str) -> str:
    info = GLOSSARY[name]
    gaps = {d.baseline: d.metrics[name] for d in report.differences if d.metrics[name].value is not None}
    if not gaps:
        return f"{info.label}: no baseline to compare with."
    if _num_posts(report) < MIN_POSTS:
        return f"{info.label}: too few test posts to say which is better."
    verdicts = {baseline: verdict_of(gap, info.better) for baseline, gap in gaps.items()}
    beaten = list(verdicts.values()).count("better")
    better_baselines = [baseline.replace("_", " ") for baseline, verdict in verdicts.items() if verdict == "worse"]
    text = f"{info.label}: significantly better than {beaten} of {len(gaps)} baselines"
    return text + (f", significantly worse than {', '.join(better_baselines)}." if better_baselines else ".")


def _comparisons(report: Report) -> list[Plot]:
    evaluated = [system for system in report.systems if system.unavailable is None]
    names = [system.name.replace("_", " ") for system in evaluated]
    estimates = {GLOSSARY[name]: [system.metrics[name] for system in evaluated] for name in _COMPARED}
    return [
        Plot(info.label, info.description, plots.comparison(names, values, info.label))
        for info, values in estimates.items()
    ]


def _plots(report: Report) -> list[Plot]:
    data = report.plots
    items: list[Plot] = []
    if data.roc:
        caption = "The closer the line is to the upper left corner, the better. Dashed: guessing."
        items.append(Plot("ROC curve", caption, plots.roc(data.roc)))
    if data.precision_recall:
        share = (data.confusion.true_positive + data.confusion.false_negative) / _num_posts(report)
        caption = "The higher the line, the fewer false alarms among the posts called viral. Dashed: guessing."
        items.append(Plot("Precision and recall", caption, plots.precision_recall(data.precision_recall, share)))
    caption = "Dots on the dashed line: the probabilities are calibrated. Large dots: many posts."
    items.append(Plot("Reliability", caption, plots.reliability(data.reliability)))
    caption = "Each dot is a post. On the dashed line the prediction is exact."
    items.append(Plot("Predicted and actual score", caption, plots.predicted_and_actual(data.scatter)))
    caption = "Right of the dashed line: the post did better than predicted."
    return [*items, Plot("Errors", caption, plots.residuals(data.scatter))]
