"""Colours of the pages, light and dark. Text has a contrast of at least 4.5 to 1 on each of its grounds (WCAG AA)."""

from __future__ import annotations

THEME = {
    "theme.light.primaryColor": "#1d5fc4",
    "theme.light.backgroundColor": "#ffffff",
    "theme.light.secondaryBackgroundColor": "#f1f4f9",
    "theme.light.textColor": "#0e131b",
    "theme.light.linkColor": "#1553b0",
    "theme.dark.primaryColor": "#366bc4",
    "theme.dark.backgroundColor": "#10151f",
    "theme.dark.secondaryBackgroundColor": "#1b2331",
    "theme.dark.textColor": "#eef2f8",
    "theme.dark.linkColor": "#8fb8ff",
}

# Marks of charts: 3 to 1 or more against both grounds, so one set serves both. Blue and orange differ for every kind of
# colour blindness.
MAIN, SECOND, NEUTRAL = "#3f78d8", "#c8701a", "#7b8698"

# Drawn here: a name of an icon would be fetched from the web.
ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">'
    f'<path d="M1 12 6 7l3 3 6-7" fill="none" stroke="{MAIN}" stroke-width="2.5"/></svg>'
)

STYLE = """
<style>
.block-container {padding-top: 3.2rem; padding-bottom: 4rem; max-width: 60rem;}
@media (max-width: 640px) {
  .block-container {padding-left: 1rem; padding-right: 1rem;}
}
.numbers {overflow-x: auto; margin-bottom: 1rem;}
.numbers table {border-collapse: collapse; width: 100%; font-size: 0.875rem;}
.numbers th, .numbers td {border: 1px solid #7b869866; padding: 0.35rem 0.5rem; text-align: left; vertical-align: top;}
.numbers td {min-width: 3.5rem;}
.numbers td:first-child {min-width: 8rem; overflow-wrap: anywhere;}
[data-testid="stVideo"] {max-height: 70vh;}
</style>
"""
