"""The HTML page of a report. All text from posts is escaped, and the page loads nothing from elsewhere."""

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

_SPLIT_TEXTS = {
    "time_author": "Tested on posts newer than all training posts, by authors that the model has not seen.",
    "time": "Tested on posts newer than all training posts; the model may know their authors, which is optimistic.",
    "author": "Tested on authors that the model has not seen; their posts may be older than the training posts.",
    "sound": "Tested on sounds that the model has not heard; it may know the authors, which is optimistic.",
    "random": "Tested on posts drawn at random. This is optimistic: the model may know their authors and later posts.",
}
_PART_TEXTS = {
    "train": "used to fit the model",
    "validation": "used to tune and calibrate it",
    "test": "evaluated on this page",
    "unused": "left out so that nothing leaks",
}
_LIMITS = (
    "The model sees only the inputs named above. It does not see whom the platform showed a post to, what else was "
    "posted that day, paid promotion, or current events.",
    "Correlation is not causation: adding a trait that viral posts share need not make a post spread.",
    "The results hold for posts like those scraped: a corpus of trending posts, of few authors or of one country says "
    "little about others.",
    "Tastes and platforms change: the metrics hold for the time of the test posts, and less for later ones.",
)


def render(report: Report) -> str:
    """Render the page as HTML."""
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
            groups=_groups(list(model.metrics)),
            tiles=[(GLOSSARY[name], model.metrics[name]) for name in _HEADLINE if name in model.metrics],
            verdicts=[_verdict(report, name) for name in _COMPARED],
            comparisons=_comparisons(report),
            plots=_plots(report),
            verdict_of=verdict_of,
            posts=f"{_posts(report):,}",
            all_compared=report.settings.compared_posts == _posts(report),
            split_text=_SPLIT_TEXTS.get(report.split.kind, report.split.kind),
            part_texts=_PART_TEXTS,
            limits=(*report.about.limits, *page_sections.unseen(report), *_LIMITS),
            label=lambda name: name.replace("_", " "),
            **page_sections.context(report),
        )
    )


def environment() -> Environment:
    """Template environment of all pages, with the filters for numbers and untrusted text."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent.parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {"number": number, "signed": signed, "percent": percent, "plain": plain, "points": points}
    return templates


def verdict_of(difference: Estimate, better: Better) -> str:
    """`better` or `worse` if the interval of a difference excludes 0, else `unclear`."""
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
    """Metrics grouped by the question that they answer."""
    questions: dict[str, list[tuple[str, Meaning]]] = {}
    for name in names:
        questions.setdefault(GLOSSARY[name].question, []).append((name, GLOSSARY[name]))
    return list(questions.items())


def _verdict(report: Report, name: str) -> str:
    meaning = GLOSSARY[name]
    gaps = [(d.baseline, d.metrics[name]) for d in report.differences if d.metrics[name].value is not None]
    if not gaps:
        return f"{meaning.label}: no baseline to compare with."
    beaten = [baseline for baseline, gap in gaps if verdict_of(gap, meaning.better) == "better"]
    lost = [baseline for baseline, gap in gaps if verdict_of(gap, meaning.better) == "worse"]
    text = f"{meaning.label}: clearly better than {len(beaten)} of {len(gaps)} baselines"
    return text + (f", clearly worse than {', '.join(lost).replace('_', ' ')}." if lost else ".")


def _comparisons(report: Report) -> list[Plot]:
    evaluated = [system for system in report.systems if system.unavailable is None]
    names = [system.name.replace("_", " ") for system in evaluated]
    return [
        Plot(
            GLOSSARY[name].label,
            GLOSSARY[name].means,
            plots.comparison(names, [system.metrics[name] for system in evaluated], GLOSSARY[name].label),
        )
        for name in _COMPARED
    ]


def _plots(report: Report) -> list[Plot]:
    data = report.plots
    share = (data.confusion.true_positive + data.confusion.false_negative) / _posts(report)
    items: list[Plot] = []
    if data.roc:
        caption = "The closer the line is to the upper left corner, the better. Dashed: guessing."
        items.append(Plot("ROC curve", caption, plots.roc(data.roc)))
    if data.precision_recall:
        caption = "The higher the line, the fewer false alarms among the posts called viral. Dashed: guessing."
        items.append(Plot("Precision and recall", caption, plots.precision_recall(data.precision_recall, share)))
    caption = "Dots on the dashed line: the probabilities are calibrated. Large dots: many posts."
    items.append(Plot("Reliability", caption, plots.reliability(data.reliability)))
    caption = "Each dot is a post. On the dashed line the prediction is exact."
    items.append(Plot("Predicted and actual score", caption, plots.predicted_and_actual(data.scatter)))
    caption = "Right of the dashed line: the post did better than predicted."
    items.append(Plot("Errors", caption, plots.residuals(data.scatter)))
    return items
