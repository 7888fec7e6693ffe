"""Computes the drift numbers of one tool with that tool, for the pairs of CSV files of a folder.

usage: rivals.py TOOL FOLDER. FOLDER holds NAME.reference.csv, NAME.current.csv and NAME.json with the kinds of the columns. Prints
{"version": …, "sets": {name: {column: {statistic: {"value": …, "p": …}}}}}. Numbers are read as float64, categories as text.
"""
import glob
import importlib.metadata
import json
import logging
import os
import sys
import warnings

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)


def pairs(folder):
    import pandas as pd

    for path in sorted(glob.glob(os.path.join(folder, "*.json"))):
        name = os.path.basename(path)[: -len(".json")]
        with open(path, encoding="utf-8") as f:
            kinds = json.load(f)
        dtypes = {c: "float64" if k == "numeric" else "object" for c, k in kinds.items()}
        sides = [
            pd.read_csv(os.path.join(folder, f"{name}.{side}.csv"), usecols=list(kinds), dtype=dtypes, keep_default_na=False, na_values=[""])
            for side in ("reference", "current")
        ]
        yield name, kinds, sides[0], sides[1]


def evidently(folder):
    from evidently.legacy.calculations.stattests import registry
    from evidently.legacy.core import ColumnType

    out = {}
    for name, kinds, ref, cur in pairs(folder):
        for column, kind in kinds.items():
            r, c = ref[column].dropna(), cur[column].dropna()
            of = ColumnType.Numerical if kind == "numeric" else ColumnType.Categorical
            s = out.setdefault(name, {}).setdefault(column, {})

            def score(test):
                return float(registry.get_stattest(r, c, of, test)(r, c, of, None).drift_score)

            s["psi"] = {"value": score("psi")}
            s["kl"] = {"value": score("kl_div")}
            s["js"] = {"value": score("jensenshannon")}
            if kind == "numeric":
                s["wasserstein_normed"] = {"value": score("wasserstein")}
                s["ks"] = {"p": score("ks")}
            else:
                s["chi2"] = {"p": score("chisquare")}
            result = registry.get_stattest(r, c, of, None)(r, c, of, None)
            s["rule"] = {"value": float(result.drifted), "score": float(result.drift_score)}
    return "evidently", out


def nannyml(folder):
    import nannyml as nml

    out = {}
    for name, kinds, ref, cur in pairs(folder):
        for column, kind in kinds.items():
            s = out.setdefault(name, {}).setdefault(column, {})
            numeric = ["jensen_shannon", "hellinger", "kolmogorov_smirnov", "wasserstein"]
            text = ["jensen_shannon", "hellinger", "l_infinity", "chi2"]
            r, c = ref[[column]].copy(), cur[[column]].copy()
            if kind != "numeric":
                r[column], c[column] = r[column].astype("category"), c[column].astype("category")
            calculator = nml.UnivariateDriftCalculator(
                column_names=[column], continuous_methods=numeric, categorical_methods=text,
                treat_as_categorical=[] if kind == "numeric" else [column])
            calculator.fit(r)
            # One chunk that holds the whole window; thresholds stay those of the ten chunks of the reference.
            calculator.chunker = nml.chunk.SizeBasedChunker(chunk_size=len(c))
            frame = calculator.calculate(c).filter(period="analysis").to_df()
            for method, ours in (("jensen_shannon", "js"), ("hellinger", "hellinger"), ("kolmogorov_smirnov", "ks"), ("wasserstein", "wasserstein"),
                                 ("l_infinity", "l_infinity"), ("chi2", "chi2")):
                if (column, method, "value") in frame.columns:
                    s[ours] = {"value": float(frame[(column, method, "value")].iloc[0])}
            s["rule"] = {"value": float(bool(frame[(column, "jensen_shannon", "alert")].iloc[0]))}
            upper = frame[(column, "jensen_shannon", "upper_threshold")].iloc[0]
            if upper is not None:
                s["rule"]["threshold"] = float(upper)
    return "nannyml", out


def popmon(folder):
    import pandas as pd
    from histogrammar.dfinterface.make_histograms import make_histograms
    from popmon.analysis.comparison.hist_comparer import hist_compare

    out = {}
    for name, kinds, ref, cur in pairs(folder):
        for column, kind in kinds.items():
            s = out.setdefault(name, {}).setdefault(column, {})
            r, c = ref[[column]].dropna(), cur[[column]].dropna()
            hists, _, specs = make_histograms(r, features=[column], ret_specs=True)[:3]
            other = make_histograms(c, features=[column], bin_specs=specs)
            row = hist_compare(pd.Series({"a": other[column], "b": hists[column]}), "a", "b")
            for theirs, ours in (("psi", "psi"), ("jsd", "jsd"), ("max_prob_diff", "max_prob_diff")):
                s[ours] = {"value": float(row[theirs])}
            s["chi2"] = {"value": float(row["chi2"]), "p": float(row["chi2_pvalue"])}
            if kind == "numeric":
                s["ks"] = {"value": float(row["ks"]), "p": float(row["ks_pvalue"])}
    return "popmon", out


def scouter(folder):
    from scouter.drift import Drifter, PsiDriftConfig

    out = {}
    for name, kinds, ref, cur in pairs(folder):
        for column, kind in kinds.items():
            s = out.setdefault(name, {}).setdefault(column, {})
            r, c = ref[[column]].dropna().reset_index(drop=True), cur[[column]].dropna().reset_index(drop=True)
            if kind == "numeric":
                config = PsiDriftConfig(space="verify", name="verify", version="0.1.0")
            else:
                known = set(r[column])
                c = c[c[column].isin(known)].reset_index(drop=True)  # the client cannot send others
                r, c = r.astype("string").astype("object"), c.astype("string").astype("object")
                config = PsiDriftConfig(space="verify", name="verify", version="0.1.0", categorical_features=[column])
            drifter = Drifter()
            profile = drifter.create_drift_profile(r, config)
            s["psi"] = {"value": float(drifter.compute_drift(c, profile).features[column])}
    return "scouter-ml", out


def tfdv(folder):
    import tensorflow_data_validation as tfdv

    out = {}
    for name, kinds, ref, cur in pairs(folder):
        stats = [tfdv.generate_statistics_from_dataframe(side) for side in (ref, cur)]
        schema = tfdv.infer_schema(stats[0])
        for column, kind in kinds.items():
            comparator = tfdv.get_feature(schema, column).skew_comparator
            if kind == "numeric":
                comparator.jensen_shannon_divergence.threshold = 0.0
            else:
                comparator.infinity_norm.threshold = 0.0
        anomalies = tfdv.validate_statistics(stats[1], schema, serving_statistics=stats[0])
        for info in anomalies.drift_skew_info:
            for m in info.skew_measurements:
                ours = "js_divergence" if m.type == m.JENSEN_SHANNON_DIVERGENCE else "l_infinity"
                out.setdefault(name, {}).setdefault(info.path.step[0], {})[ours] = {"value": float(m.value)}
    return "tensorflow-data-validation", out


def main():
    distribution, sets = {"evidently": evidently, "nannyml": nannyml, "popmon": popmon, "scouter": scouter, "tfdv": tfdv}[sys.argv[1]](sys.argv[2])
    json.dump({"version": importlib.metadata.version(distribution), "sets": sets}, sys.stdout)


if __name__ == "__main__":
    main()
