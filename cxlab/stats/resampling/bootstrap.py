"""How often each cluster comes in a bootstrap replicate."""

from __future__ import annotations

import numpy as np

from cxlab.stats.resampling.design import SamplingDesign

Array = np.ndarray


def bootstrap_multipliers(design: SamplingDesign, replicates: int, *, seed: int = 0) -> Array:
    """How often each cluster comes in each bootstrap replicate.

    Parameters
    ----------
    design : SamplingDesign
        From `sampling_design`. With no cluster column a cluster is a row.
    replicates : int
        Number of replicates, at least 1.
    seed : int
        Seed of ``numpy.random.default_rng``; the same seed gives the same digits.

    Returns
    -------
    ndarray of float, shape (clusters, replicates)
        Multipliers of the weights; ``multipliers[design.row_cluster]`` spreads them over
        rows. Without strata they are counts that add to the number of clusters drawn. With
        strata they are the rescaled counts of Rao and Wu: n_h − 1 of the n_h clusters are
        drawn with replacement and multiplied by n_h / (n_h − 1).

    Raises
    ------
    ValueError
        If there are fewer than two clusters to draw from.

    References
    ----------
    Rao & Wu (1988), JASA 83, 231–241; Rao, Wu & Yue (1992), Survey Methodology 18, 209–217.

    Examples
    --------
    >>> from cxlab.stats.resampling import sampling_design
    >>> design = sampling_design(5)
    >>> bootstrap_multipliers(design, 3, seed=1).sum(axis=0)
    array([5., 5., 5.])
    """
    _check_replicates(replicates)
    if int(design.stratum_sizes.max(initial=0)) < 2:
        raise ValueError(
            "`cluster` must have at least 2 clusters to resample; got "
            f"{design.n_clusters}. Ask for no interval, or give the true clusters."
        )
    generator = np.random.default_rng(seed)
    multipliers = np.empty((design.n_clusters, replicates))
    for number, size in enumerate(design.stratum_sizes.tolist()):
        members = np.flatnonzero(design.cluster_stratum == number)
        drawn = size - 1 if design.stratified else size
        counts = _draw_counts(generator, size, drawn, replicates)
        multipliers[members] = counts[: len(members)] * (size / drawn)
    return multipliers


def _check_replicates(replicates: int) -> None:
    if int(replicates) != replicates or replicates < 1:
        raise ValueError(f"`replicates` must be a whole number of 1 or more; got {replicates}.")


def _draw_counts(generator: np.random.Generator, size: int, drawn: int, replicates: int) -> Array:
    """Times each of ``size`` clusters came in ``drawn`` draws: shape (size, replicates)."""
    picks = generator.integers(0, size, size=(replicates, drawn))
    picks += size * np.arange(replicates)[:, None]
    counts = np.bincount(picks.ravel(), minlength=size * replicates)
    return counts.reshape(replicates, size).T
