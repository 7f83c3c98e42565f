"""Comes before tests/conftest.py: v16 opens a log beside the sites as soon as it is imported."""

import os

os.chdir(os.environ["SITES_PATH"])
