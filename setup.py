# For tools that look for this file; everything it could say is in pyproject.toml.
from setuptools import setup

name = "gdpr_consent"
setup(name=name)
