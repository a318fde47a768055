.PHONY: check docs lint lowest test wheels
check: lint test

lint:
	ruff check .
	ruff format --check .
	mypy

test:
	pytest -n auto -m "not slow"

# the site in docs/_build/html, and the examples in pages and docstrings
docs:
	python -m sphinx -b html -E -W --keep-going -q -d docs/_build/trees docs docs/_build/html
	python -m sphinx -b doctest -W -q -d docs/_build/trees docs docs/_build/doctest

# for machines without the internet: docs/deployment.md
wheels:
	python -m pip wheel --wheel-dir wheels .
	python containers/sbom.py wheels

# with the lowest versions that pyproject.toml allows, in an environment of its own
lowest:
	uv venv --quiet --clear .lowest
	uv pip compile --quiet --python .lowest --resolution lowest-direct pyproject.toml -o .lowest/requirements.txt
	uv pip install --quiet --python .lowest -r .lowest/requirements.txt 'pytest>=8' 'pytest-xdist>=3.6' 'hypothesis>=6'
	uv pip install --quiet --python .lowest --no-deps -e .
	.lowest/bin/pytest -q tests/unit/test_imports.py tests/unit/test_cli.py tests/unit/test_preflight.py \
		tests/contract/test_exactness.py tests/contract/test_bad_input.py
