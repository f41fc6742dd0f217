"""Runs: what was done on the root, what failed and why, and the models with their scorecards and promotions."""

from __future__ import annotations

import subprocess

import streamlit as st

from serve.app import charts
from serve.app.messages import friendly
from serve.app.setup import current
from serve.app.tables import sql, store, tables, text
from viral.errors import UsageError, reasons
from viral.evaluation.report.glossary import GLOSSARY
from viral.promotion.champion import PromotionPolicy, format_gain, promote
from viral.promotion.listing import ModelSummary, list_models
from viral.registry.registry import Registry
from viral.tables.run_log import Run, runs

LAST = 30  # runs
FAILED_SHOWN = 20  # posts of a reason
SCORECARD = "scorecard.html"


def page() -> None:
    """Show the page."""
    st.title("Runs")
    with friendly():
        _runs()
    with friendly():
        _failures()
    with friendly():
        _models()


def _runs() -> None:
    st.header("What was done")
    latest = runs(store(), LAST)
    if not latest:
        st.info("Nothing was run on this root yet. Start with `viral ingest`, or see how it goes with `viral demo`.")
        return
    charts.table([_run(run) for run in reversed(latest)])


def _run(run: Run) -> dict[str, object]:
    counts = ", ".join(f"{name} {run.summary[name]:,}" for name in ("ok", "partial", "failed") if name in run.summary)
    causes = ", ".join(f"{reason} {count}" for reason, count in (run.summary.get("reasons") or {}).items())
    progress = f"{run.done:,} of {run.total:,}" if run.total else ""
    return {
        "started (UTC)": run.started_at.replace("T", " ")[:16],
        "command": run.command,
        "state": run.state,
        "minutes": f"{run.seconds / 60:.1f}",
        "outcome": run.error or counts or progress,
        "reasons": causes,
    }


def _failures() -> None:
    st.header("Posts that failed")
    feature_tables = sorted(name for name in tables() if name.startswith("features_"))
    if not feature_tables:
        st.info("No features were extracted yet: `viral backfill` does it.")
        return
    table = st.selectbox("Feature table", feature_tables)
    quoted = '"' + table.replace('"', '""') + '"'
    counts = sql(
        f"SELECT reason, count(*) AS posts FROM {quoted} WHERE status = 'failed' GROUP BY 1 ORDER BY 2 DESC"  # noqa: S608 - quoted
    ).to_pylist()
    if not counts:
        st.success("Every post has its features: none failed.")
        return
    meanings = reasons()
    charts.table([{**row, "meaning": meanings.get(row["reason"], "-")} for row in counts])
    reason = st.selectbox("Look at", [row["reason"] for row in counts])
    failed = sql(
        f"SELECT post_id, detail FROM {quoted} "  # noqa: S608 - quoted
        f"WHERE status = 'failed' AND reason = {text(reason)} ORDER BY post_id LIMIT {FAILED_SHOWN}"
    ).to_pylist()
    charts.table([{"post": row["post_id"], "detail": row["detail"] or "-"} for row in failed])
    _retry(table.removeprefix("features_"), reason)


def _retry(feature_set: str, reason: str) -> None:
    arguments = ["backfill", "--retry-failed", "--reason", reason, "--feature-set", feature_set]
    if not current().retry:
        st.code(" ".join(["viral", *arguments]), language="sh")
        return
    sure = st.checkbox(f"Yes, process all posts with the reason {reason} again, on this machine", key="retry-sure")
    if st.button("Retry", disabled=not sure):
        # The same command that the terminal runs; the table above shows how it goes.
        subprocess.Popen(  # noqa: S603 - our own command line, without a shell
            [*current().retry, *arguments, "--root", current().root],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        st.success("Started. It appears above within seconds; reload the page to see how it goes.")


def _models() -> None:
    st.header("Models")
    models = list(list_models(store()))
    if not models:
        st.info("There is no model yet: `viral label`, then `viral train fusion`, then `viral evaluate`.")
        return
    charts.table([_model(model) for model in reversed(models)])
    chosen = st.selectbox("Model", [model.model for model in reversed(models)])
    name, version = Registry(store()).resolve(chosen)
    key = Registry(store()).key(name, version, SCORECARD)
    if store().exists(key):
        data = store().read(key)
        st.download_button("Its scorecard (HTML)", data, f"{name}-{version}.html", "text/html", on_click="ignore")
    else:
        st.caption(f"It has no scorecard: `viral evaluate --model {chosen}` makes one.")
    _promote(chosen, champion=any(model.champion and model.model == chosen for model in models))


def _model(model: ModelSummary) -> dict[str, object]:
    figures = {GLOSSARY[name].label: value for name, value in model.figures.items()}
    return {
        "model": model.model,
        "champion": model.champion,
        "saved": (model.saved_at or "-")[:16].replace("T", " "),
        "training posts": model.rows,
        **figures,
    }


def _promote(chosen: str, *, champion: bool) -> None:
    if champion:
        st.write(f"**{chosen}** is the champion: endpoints that follow `@champion` serve it.")
        return
    st.write("A model becomes champion only if it beats the present one by more than chance, on the same test posts.")
    sure = st.checkbox(f"Yes, compare {chosen} with the champion, and promote it if it is better", key="promote-sure")
    if st.button("Promote", disabled=not sure):
        try:
            with st.spinner("Comparing …"):
                promotion = promote(store(), chosen, PromotionPolicy())
        except UsageError as error:
            st.warning(f"{str(error)[:1].upper()}{str(error)[1:]}.")
            return
        gain = f" Its gain: {format_gain(promotion.gain)}." if promotion.gain else ""
        st.success(f"{chosen} is the champion now.{gain}")
