.PHONY: check docs lint test wheels
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
