"""Reports as one HTML page that asks nobody for anything: drawings are inline SVG, pictures data of the page itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from engine.reports.drawings import bars, heat_map, reliability

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1a202c; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.25rem; margin-top: 2.5rem; } h3 { font-size: 1rem; margin-top: 1.6rem; }
table { border-collapse: collapse; } td, th { padding: 0.15rem 0.8rem 0.15rem 0; text-align: left; border-bottom: 1px solid #e2e8f0; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; } svg text { fill: #1a202c; font-family: inherit; }
.wrong { display: flex; flex-wrap: wrap; gap: 0.8rem; } .wrong figure { margin: 0; width: 7.5rem; font-size: 0.8rem; }
.wrong img { width: 100%; image-rendering: pixelated; background: #edf2f7; }
"""
Picture = Callable[[int], str | None]


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(map(_shown, value))
    return escape(str(value))


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows of one kind as a table."""
    if not rows:
        return ""
    kinds = {k: "n" if isinstance(v, int | float) else "" for k, v in rows[0].items()}
    head = "".join(f'<th class="{c}">{escape(k)}</th>' for k, c in kinds.items())
    body = "".join("<tr>" + "".join(f'<td class="{c}">{_shown(row.get(k, ""))}</td>' for k, c in kinds.items()) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _worst(rows: Sequence[Mapping[str, Any]], picture: Picture) -> str:
    """The most wrong samples, with pictures where there are some."""
    pictures = [picture(row["id"]) for row in rows]
    if not any(pictures):
        return _table(rows)
    figures = []
    for row, source in zip(rows, pictures, strict=True):
        said = "<br>".join(f"{escape(k)}: {_shown(v)}" for k, v in row.items())
        image = f'<img src="{escape(source)}" alt="sample {row["id"]}">' if source else ""
        figures.append(f"<figure>{image}<figcaption>{said}</figcaption></figure>")
    return f'<div class="wrong">{"".join(figures)}</div>'


def _section(report: Mapping[str, Any], picture: Picture) -> list[str]:
    """What one report has, each part under its heading."""
    parts = []
    if "perplexity" in report:
        parts.append(_table([{k: report[k] for k in ("tokens", "loss", "perplexity", "accuracy")}]))
    if "confusion_matrix" in report:
        parts += ["<h3>Which class is taken for which</h3>", heat_map(report["confusion_matrix"], report["classes"])]
    if report.get("confused"):
        parts += ["<h3>Classes that are confused most</h3>", _table(report["confused"])]
    if "per_class" in report:
        parts += ["<h3>Each class</h3>", _table(report["per_class"])]
    if "calibration" in report:
        known = report["calibration"]
        parts += [f"<h3>Calibration</h3><p>Expected calibration error: {known['ece']:.4f}</p>", reliability(known["bins"])]
    for i, output in enumerate(report.get("outputs", ())):
        title = f"Residuals of output {i}" if len(report["outputs"]) > 1 else "Residuals: predicted minus true"
        numbers = {**{k: output[k] for k in ("mean", "mae", "rmse")}, **{f"q{k}": v for k, v in output["quantiles"].items()}}
        parts += [f"<h3>{title}</h3>", bars(**output["histogram"]), _table([numbers])]
    if report.get("worst"):
        parts += ["<h3>Most wrong</h3>", _worst(report["worst"], picture)]
    return parts


def page(title: str, reports: Sequence[Mapping[str, Any]], picture: Picture = lambda i: None) -> str:
    """An HTML page of reports, each with its ``split``, ``epoch`` and ``variant``. ``picture`` gives a sample's picture as a ``data:`` address, or None."""
    parts = [f"<h1>{escape(title)}</h1>"]
    for report in reports:
        variant = f" of {report['variant']}" if report.get("variant") else ""
        parts.append(f"<h2>{escape(str(report['split']))}{escape(variant)}, epoch {report['epoch']}: {report['samples']:,} samples</h2>")
        parts += _section(report, picture)
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title><style>{_STYLE}</style>'
    return "\n".join(["<!doctype html>", f'<html lang="en"><head>{head}</head><body>', *parts, "</body></html>", ""])
