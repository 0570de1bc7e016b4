"""pygal adds a finder of an old kind to `sys.meta_path`, about which every later import of the session would warn."""

import sys

import pygal

sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, pygal.PluginImportFixer)]
