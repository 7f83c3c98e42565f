"""docs/openapi.json says what the doors are, as the code has them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

import frappe

from gdpr_consent.overrides.core import DOORS

ROOT = Path(__file__).parents[1]
COMMITTED = ROOT / "docs" / "openapi.json"
DOCUMENT = json.loads(COMMITTED.read_text())


def test_the_committed_file_is_what_the_code_makes(tmp_path):
	"""Else: ENV/bin/python script/openapi.py docs/openapi.json"""
	made = tmp_path / "openapi.json"
	subprocess.run([sys.executable, ROOT / "script" / "openapi.py", made], check=True)
	assert made.read_text() == COMMITTED.read_text()


def test_it_is_a_document_of_openapi_3_1():
	assert DOCUMENT["openapi"].startswith("3.1")
	OpenAPIV31SpecValidator(DOCUMENT).validate()


def test_each_method_that_stands_in_front_of_one_of_the_core_is_in_it():
	assert {f"/api/method/{ours}" for ours in DOORS.values()} <= DOCUMENT["paths"].keys()


METHODS = [path.rpartition("/")[2] for path in DOCUMENT["paths"] if path.startswith("/api/method/")]


@pytest.mark.parametrize("name", METHODS)
def test_each_method_is_described(name):
	for operation in DOCUMENT["paths"][f"/api/method/{name}"].values():
		assert operation["summary"]
	function = frappe.get_attr(name)
	assert function in frappe.whitelisted
	allowed = {verb.upper() for verb in DOCUMENT["paths"][f"/api/method/{name}"]}
	assert allowed == set(frappe.allowed_http_methods_for_whitelisted_func[function])
