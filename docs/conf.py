"""Sphinx settings. The build is strict: `sphinx-build -W`, and every reference must lead somewhere (nitpicky)."""

import importlib.metadata

project = "neurosim"
author = "The neurosim developers"
copyright = "2026, The neurosim developers"  # noqa: A001 - Sphinx names it so
try:
    release = importlib.metadata.version("neurosim-chip")
except importlib.metadata.PackageNotFoundError:  # built from a bare tree
    release = "0.1.0"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_build", "gallery"]
html_theme = "furo"
html_title = f"neurosim {release}"

# Headings can be linked to as page.md#heading, the way they can in a source viewer.
myst_heading_anchors = 3
myst_enable_extensions = ["deflist"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True

nitpicky = True
# Types of other packages are not linked (that would need the network), nor types that have no entry in the pages.
nitpick_ignore_regex = [("py:(class|obj|data)", r".*")]
