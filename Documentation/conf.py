# SPDX-License-Identifier: GPL-2.0-only
"""Sphinx configuration: plain RST, warnings are errors (make docs)."""
project = "kbroker"
author = "the kbroker developers"
master_doc = "index"
extensions = []
exclude_patterns = ["_build", "ABI"]
html_theme = "alabaster"
