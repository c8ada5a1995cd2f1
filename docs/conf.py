"""How Sphinx builds this site; docs/building.md says it in words."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).with_name("_ext")))

from sphinx.util.inspect import TypeAliasForwardRef

import kvsteady

project = "kvsteady"
author = "The kvsteady developers"
project_copyright = author
version = release = kvsteady.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "kv_api",
    "kv_figures",
    "kv_kernels",
]
exclude_patterns = ["_build"]
nitpicky = True
# Nothing is fetched while building, so other projects' names have no page to link to.
nitpick_ignore_regex = [
    ("py:.*", r"(numpy|collections|os|pathlib|typing|rich|fractions|msgspec|np|npt)\..*"),
    ("py:class", r"(Float|Int|Complex)Array|Structured"),  # NumPy arrays by element
    ("py:.*", r"kvsteady\.workload\.traces\.(source|peek|checks)\..*|Doubt"),  # for readers only
    ("py:class", r"kvsteady\.memory\.fields\.Fields"),  # a config.json, kept for its notes
    ("py:class", r"kvsteady\.theory\.tiers\.sparse\.Candidates"),  # arrays of a search
    # What the kernels see of a run, an engine, a memory and a policy.
    ("py:class", r"kvsteady\.simulate\.(state\.State|counted\.Counted|engines\..*Habits)"),
    ("py:class", r"kvsteady\.policies\.steady\.state\.SteadyState"),
]
autodoc_type_aliases = {name: name for name in ("FloatArray", "IntArray", "ComplexArray")}
autodoc_type_aliases["npt.ArrayLike"] = "npt.ArrayLike"
# Inside tuple[…] Sphinx 9 shows its own placeholder for such a name instead of the name.
TypeAliasForwardRef.__repr__ = lambda self: self.name
napoleon_google_docstring = False
napoleon_attr_annotations = False  # the signature has the types
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True

html_theme = "furo"
html_title = f"kvsteady {version}"
html_static_path = ["_static"]

myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_show_tb = True  # a cell that fails is a warning, and warnings are errors
nb_execution_timeout = 120
nb_merge_streams = True
nb_output_stderr = "error"
