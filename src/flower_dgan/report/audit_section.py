"""The section of a report that says what an audit found."""

from pathlib import Path

from flower_dgan.report.table import table
from flower_dgan.report.text import in_markdown
from flower_dgan.run.audit_file import COLUMNS, audit_rows, read_audit

_WHAT = (
    "PSNR is that of the image that was read best; it may be 3 dB better than the mean of all images, which tells of "
    "no single one. AUC is how often a candidate that is inside is placed above one that is not: 0.5 is guessing. "
    "Epsilon is a lower bound, at 95 % confidence. A number without a bound is of something of which this policy "
    "promises nothing."
)


def audit_section(directory: Path) -> str | None:
    """Return the section; None where nothing was audited."""
    audit = read_audit(directory)
    if audit is None:
        return None
    verdict = "What it promises holds." if audit.get("holds") is True else "**What it promises does not hold.**"
    policy = in_markdown(str(audit.get("policy", "")))
    return f"Policy {policy}. {verdict}\n\n{table(COLUMNS, audit_rows(audit))}\n\n{_WHAT}"
