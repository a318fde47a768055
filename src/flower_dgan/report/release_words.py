"""What a report says of what clients released with noise."""

from collections.abc import Sequence

from flower_dgan.report.table import table
from flower_dgan.run.crossing_records import NoisyRelease, PrivateSteps


def release_words(releases: Sequence[NoisyRelease]) -> str:
    """Show what each client released with noise, and say what protects its patients and what does not."""
    if releases[-1].honest_sites is not None:
        return _sum_words(releases)
    rows = {each.site: (each.site, f"{each.epsilon:g}", f"{each.delta:g}", f"{each.sigma:.4f}") for each in releases}
    return (
        f"{table(('client', 'epsilon', 'delta', 'noise'), list(rows.values()))}\n\n"
        "Each client sent one sum with Gaussian noise, in units of what a patient adds at most; epsilon is that of "
        "this release, by patient, add or remove one, by the analytic Gaussian mechanism. What patients spent before "
        "is in their owners' books. Public are the clients' names, that they took part, and all settings. Of a "
        "deployed node nobody but itself has to be honest; in a simulation the noise follows from the seed, and "
        "protects nothing."
    )


def _sum_words(releases: Sequence[NoisyRelease]) -> str:
    honest = releases[-1].honest_sites
    rows = {
        each.site: (each.site, f"{each.epsilon:g}", f"{each.alone or 0:.3g}", f"{each.delta:g}", f"{each.sigma:.4f}")
        for each in releases
    }
    heads = ("client", f"epsilon if {honest} sites are honest", "epsilon if all others collude", "delta", "noise")
    return (
        f"{table(heads, list(rows.values()))}\n\n"
        "The server received one sum of all these clients, each of which added a share of Gaussian noise; noise is in "
        f"units of what a patient adds at most, of {honest} shares together. Epsilon is that of this release, by "
        "patient of one site, add or remove one, by the analytic Gaussian mechanism: the first figure if at least so "
        "many of the sites, the patient's own among them, added their noise and kept their keys from the server; the "
        "second if only the patient's own site did. What owners' books charge follows from whom they trust. Public are "
        "the clients' names, that they took part, and all settings. In a simulation noise and masks follow from the "
        "seed, and protect nothing."
    )


def step_words(steps: Sequence[PrivateSteps]) -> str:
    """Show what private steps cost each client: planned, and of the bundles whose answers were used."""
    rows = {
        each.site: (
            each.site,
            f"{each.epsilon:g}",
            "-" if each.spent is None else f"{each.spent:.4g}",
            f"{each.delta:g}",
            "-" if each.sigma is None else f"{each.sigma:.4g}",
            f"{each.share:g}",
            f"{each.done:,} of {each.planned:,}",
        )
        for each in steps
    }
    heads = ("client", "epsilon of all steps", "epsilon of those done", "delta", "noise", "share", "steps")
    return (
        f"{table(heads, list(rows.values()))}\n\n"
        "Each client's discriminator learned by steps of DP-SGD, to which each patient came with the probability "
        "`share` and one image; noise is in units of what a patient adds at most. Epsilon is by patient, add or remove "
        "one, by the RDP accountant of Opacus with Poisson sampling, a noisy number of patients included. Steps done "
        "are those of bundles whose answers were used; a client may have left some of them out, and its owner's book "
        "charges also for bundles whose answers were lost or drawn anew. Public are the clients' names, that they took "
        "part, and all settings. Of a deployed node nobody but itself has to be honest; in a simulation coins and "
        "noise follow from the seed, and protect nothing."
    )
