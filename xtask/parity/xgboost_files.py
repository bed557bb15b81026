"""Models of XGBoost 3.2 with their margins, for the tests of the reader; and margins of files that polytask wrote.

    python3 xgboost_files.py > ../../crates/polytask-boost/tests/xgboost.json     # needs xgboost 3.2 and pandas
    python3 xgboost_files.py --margins MODEL.json ROWS.csv                        # margins, a line per row

Data: 24 rows x 3 columns, column 1 missing where row % 5 == 0, column 2 categories where a case says so.
"""
import json
import sys

import numpy as np
import pandas as pd
import xgboost as xgb


def lcg(seed, n):
    s, out = seed, []
    for _ in range(n):
        s = (1103515245 * s + 12345) % (1 << 31)
        out.append(2 * (s / (1 << 31)) - 1)
    return np.array(out)


def data():
    u = lcg(5, 24 * 4).reshape(24, 4)
    x = np.round(u[:, :3] * 3, 2).astype(np.float32)
    y = np.round(1.5 * x[:, 0] + np.where(x[:, 1] > 0, 1.0, -0.5) - np.abs(x[:, 2]) + 0.3 * u[:, 3], 2)
    x[::5, 1] = np.nan
    return x, y


def cases():
    x, y = data()
    y2 = np.stack([y, -x[:, 0] + 0.5 * y], 1)
    classes = np.digitize(y, [-2, 1])
    codes = (np.abs(x[:, 2]) * 2).astype(int)
    plain = {"max_depth": 2, "tree_method": "hist", "eta": 0.5}
    frame = lambda values: pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "c": pd.Categorical(values)})
    coded = np.column_stack([x[:, 0], x[:, 1], codes]).astype(np.float32)
    sets = {**plain, "max_cat_to_onehot": 1}
    yield "squared", plain, xgb.DMatrix(x, y), x
    yield "logistic", {**plain, "objective": "binary:logistic"}, xgb.DMatrix(x, (y > 0).astype(int)), x
    yield "softprob", {**plain, "objective": "multi:softprob", "num_class": 3}, xgb.DMatrix(x, classes), x
    yield "poisson", {**plain, "objective": "count:poisson"}, xgb.DMatrix(x, classes), x
    yield "quantile", {**plain, "objective": "reg:quantileerror", "quantile_alpha": [0.1, 0.9]}, xgb.DMatrix(x, y), x
    yield "two targets", plain, xgb.DMatrix(x, y2), x
    yield "vector leaves", {**plain, "multi_strategy": "multi_output_tree"}, xgb.DMatrix(x, y2), x
    by_code = codes * 1.0 + np.isin(codes, [1, 4]) * 3
    yield "categories", sets, xgb.DMatrix(frame(codes), by_code, enable_categorical=True), coded
    yield "named categories", sets, xgb.DMatrix(frame([f"k{c}" for c in codes]), by_code, enable_categorical=True), coded


def main():
    if "--margins" in sys.argv:
        at = sys.argv.index("--margins")
        model = xgb.Booster(model_file=sys.argv[at + 1])
        rows = pd.read_csv(sys.argv[at + 2])
        types = model.feature_types or []
        for name, kind in zip(rows.columns, types):
            if kind == "c":
                rows[name] = rows[name].astype("category")
        out = model.predict(xgb.DMatrix(rows, enable_categorical=True), output_margin=True)
        for row in out.reshape(len(rows), -1):
            print(" ".join(repr(float(value)) for value in row))
        return
    out = []
    for name, params, d, rows in cases():
        model = xgb.train(params, d, 3)
        margins = model.predict(d, output_margin=True).reshape(len(rows), -1)
        out.append({"name": name, "model": json.loads(model.save_raw("json")),
                    "rows": [[None if np.isnan(v) else float(f"{v:.2f}") for v in row] for row in rows],
                    "margins": [[float(v) for v in row] for row in margins]})
    json.dump(out, sys.stdout, separators=(",", ":"))


main()
