"""The page that shows a trace: markup, style and scripts, joined into one file without network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

# in the order in which they read: small tools first, what uses them after
SCRIPTS = (
    "dom", "numbers", "values", "rules", "colours", "grid", "equation", "curves", "layer",
    "network", "list", "glossary", "jacobian", "walk", "start",
)  # fmt: skip


def page(trace: dict[str, Any]) -> str:
    """One HTML file that needs nothing else.

    Args:
        trace: what `Trace.to_dict` gives.
    """
    data = json.dumps(trace, ensure_ascii=False, separators=(",", ":"))
    data = data.replace("<", "\\u003c")  # neither </script> nor <!-- from a layer's repr
    markup = _read("page.html").replace("__STYLE__", _read("page.css"))
    script = "\n".join(_read(f"{name}.js") for name in SCRIPTS)
    return markup.replace("__SCRIPT__", script).replace("__TRACE__", data)


def _read(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
