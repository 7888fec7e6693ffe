"""The statistics of `driftd analyze --convention scipy` by SciPy and NumPy, column by column, on the cores that it is given.

usage: scipy_analyze.py REFERENCE.parquet CURRENT.parquet WORKERS

Prints one JSON object: column to statistic to value. Conventions: shared/vectors/README.md, section 2.
"""

import json
import multiprocessing
import sys

import numpy as np
import pyarrow.parquet as pq
from scipy import stats

DECILES = np.arange(1, 10) / 10


def column(path, name):
    values = pq.read_table(path, columns=[name], use_threads=False).column(0).to_numpy()
    return values[np.isfinite(values)]


def table(edges, x):
    return np.bincount(np.searchsorted(edges, x, side="left"), minlength=len(edges) + 1)


def divergences(r, c):
    r, c = r / r.sum(), c / c.sum()
    m = (r + c) / 2
    kl = lambda p, q: float(np.sum(np.where(p > 0, p * np.log(np.where(p > 0, p, 1) / np.where(q > 0, q, 1)), 0)))
    floored_r, floored_c = np.maximum(r, 1e-4), np.maximum(c, 1e-4)
    return {
        "psi": float(np.sum((floored_c - floored_r) * np.log(floored_c / floored_r))),
        "kl": float(np.sum(floored_c * np.log(floored_c / floored_r))),
        "kl_reverse": float(np.sum(floored_r * np.log(floored_r / floored_c))),
        "js": float(np.sqrt(max((kl(r, m) + kl(c, m)) / 2 / np.log(2), 0))),
        "hellinger": float(np.sqrt(np.sum((np.sqrt(r) - np.sqrt(c)) ** 2) / 2)),
        "total_variation": float(np.sum(np.abs(r - c)) / 2),
        "l_infinity": float(np.max(np.abs(r - c))),
    }


def compare(job):
    reference, current, name = job
    x, y = column(reference, name), column(current, name)
    edges = np.unique(np.quantile(x, DECILES))
    r, c = table(edges, x), table(edges, y)
    out = divergences(r, c)
    occupied = (r + c) > 0
    out["chi2"] = float(stats.chi2_contingency(np.array([r[occupied], c[occupied]]), correction=False)[0])
    out["ks"] = float(stats.ks_2samp(x, y).statistic)
    out["wasserstein"] = float(stats.wasserstein_distance(x, y))
    out["wasserstein_normed"] = out["wasserstein"] / float(np.std(x))
    out["energy"] = float(stats.energy_distance(x, y))
    out["cramer_von_mises"] = float(stats.cramervonmises_2samp(x, y).statistic)
    out["anderson_darling"] = float(stats.anderson_ksamp([x, y]).statistic)
    out["mann_whitney"] = float(stats.mannwhitneyu(x, y, alternative="two-sided").statistic)
    out["welch_t"] = float(stats.ttest_ind(x, y, equal_var=False).statistic)
    return name, out


def main():
    reference, current, workers = sys.argv[1], sys.argv[2], int(sys.argv[3])
    np.seterr(all="ignore")
    import warnings

    warnings.simplefilter("ignore")  # anderson_ksamp says that its p-value is capped
    names = pq.ParquetFile(reference).schema_arrow.names
    jobs = [(reference, current, name) for name in names]
    if workers == 1:
        results = map(compare, jobs)
    else:
        results = multiprocessing.get_context("fork").Pool(workers).imap(compare, jobs)
    json.dump(dict(results), sys.stdout)


if __name__ == "__main__":
    main()
