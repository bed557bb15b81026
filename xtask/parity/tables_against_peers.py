"""Boosted trees of polytask beside LightGBM and XGBoost on five published tables, at equal settings.

    python3 -m venv VENV && VENV/bin/pip install lightgbm==4.7.0 xgboost-cpu==3.2.0 scikit-learn pandas
    VENV/bin/python xtask/parity/tables_against_peers.py --polytask target/release/polytask --data FOLDER

FOLDER holds bank, avila, adult_train, adult_test, school and landmine as .csv.gz, the last columns `task` (not in
adult) and `target`. A seed is a division of the rows into four fifths and one fifth; all three programs get the same
files. Settings: 200 rounds, a rate of 0.05, 31 leaves split by gain, an L2 penalty of 1, a curvature of 1 and a row in a
leaf at least, 255 bins, a tree for each class. Errors are means over seeds; `ours / better` is the mean over seeds of our
error over that of the better peer in the same seed, with a 95 % interval of these ratios. `wrong` is one minus accuracy.
"""

import argparse
import json
import pathlib
import subprocess
import tempfile
import time

import lightgbm
import numpy
import pandas
import xgboost
from sklearn.metrics import log_loss, roc_auc_score

ROUNDS, RATE, LEAVES, ROWS = 200, 0.05, 31, 1
SETS = ["bank", "avila", "adult", "school", "landmine"]
NUMBERS = {"school"}


def read(folder, name):
    if name == "adult":
        table = pandas.concat([pandas.read_csv(folder / f"adult_{part}.csv.gz") for part in ("train", "test")])
    else:
        table = pandas.read_csv(folder / f"{name}.csv.gz")
    table.columns = [str(column).replace("[", "(").replace("]", ")").replace("<", "") for column in table.columns]
    for column in table.columns:
        if table[column].dtype == object or str(table[column].dtype) in ("str", "string"):
            table[column] = table[column].astype("category")
    # The task is a category to all three: which group a row is of.
    if "task" in table:
        table["task"] = table["task"].astype("category")
    if name not in NUMBERS:
        codes = {label: code for code, label in enumerate(sorted(table["target"].unique()))}
        table["target"] = table["target"].map(codes)
    return table.reset_index(drop=True)


def divide(table, seed):
    order = numpy.random.default_rng(seed).permutation(len(table))
    cut = len(table) // 5
    return table.iloc[order[cut:]], table.iloc[order[:cut]]


def parts(table):
    return table.drop(columns="target"), table["target"].to_numpy()


def of_lightgbm(name, train, test, classes):
    objective = "regression" if name in NUMBERS else "binary" if classes == 2 else "multiclass"
    params = {
        "objective": objective, "num_threads": 1, "learning_rate": RATE, "num_leaves": LEAVES, "max_depth": -1,
        "max_bin": 255, "min_data_in_leaf": ROWS, "min_sum_hessian_in_leaf": 1.0, "lambda_l2": 1.0, "verbosity": -1,
    } | ({"num_class": classes} if objective == "multiclass" else {})
    (x, y), (tx, _) = parts(train), parts(test)
    start = time.perf_counter()
    model = lightgbm.train(params, lightgbm.Dataset(x, label=y), num_boost_round=ROUNDS)
    seconds = time.perf_counter() - start
    return model.predict(tx), seconds


def of_xgboost(name, train, test, classes):
    objective = "reg:squarederror" if name in NUMBERS else "binary:logistic" if classes == 2 else "multi:softprob"
    params = {
        "objective": objective, "nthread": 1, "eta": RATE, "max_leaves": LEAVES, "max_depth": 0, "tree_method": "hist",
        "grow_policy": "lossguide", "max_bin": 255, "min_child_weight": 1.0, "lambda": 1.0,
    } | ({"num_class": classes} if classes > 2 else {})
    (x, y), (tx, _) = parts(train), parts(test)
    start = time.perf_counter()
    data = xgboost.DMatrix(x, label=y, enable_categorical=True)
    model = xgboost.train(params, data, num_boost_round=ROUNDS)
    seconds = time.perf_counter() - start
    return model.predict(xgboost.DMatrix(tx, enable_categorical=True)), seconds


def of_polytask(program, name, train, test, classes, folder):
    (folder / "rows").mkdir(exist_ok=True)
    train.to_csv(folder / "rows" / "train.csv", index=False)
    # Nothing is chosen on valid here; with a file of its own all rows of train are learnt from.
    test.head(50).to_csv(folder / "rows" / "valid.csv", index=False)
    test.drop(columns="target").to_csv(folder / "asked.csv", index=False)
    kind, role = ("table-regression", "value") if name in NUMBERS else ("table-class", "label")
    categories = [column for column in train.columns if str(train[column].dtype) == "category"]
    suite = f"""name = "peers"
[model]
trees = {{ name = "boost", rounds = {ROUNDS}, eta = {RATE}, num_leaves = {LEAVES}, max_depth = 0, leaves = "apart", \
min_data_in_leaf = {ROWS} }}
[train]
baselines = false
threads = 1
[[task]]
name = "target"
kind = "{kind}"
files = {{ train = "rows/train.csv", valid = "rows/valid.csv" }}
categories = {json.dumps(categories)}
columns = {{ {role} = "target" }}
"""
    (folder / "suite.toml").write_text(suite)
    def run(*args):
        ran = subprocess.run([str(program), *args], cwd=folder, capture_output=True, text=True)
        if ran.returncode != 0:
            raise SystemExit(f"polytask {' '.join(args)}: {ran.stderr}")
        return ran.stdout

    run("train", "suite.toml", "--out", "run", "--force", "--quiet")
    seconds = json.loads((folder / "run" / "report.json").read_text())["seconds"]["joint"]
    answers = [json.loads(line) for line in run("predict", "--model", "run", "--task", "target", "--input", "asked.csv").splitlines()]
    if name in NUMBERS:
        return numpy.array([answer["value"] for answer in answers]), seconds
    scores = numpy.zeros((len(answers), classes))
    for row, answer in enumerate(answers):
        for label, score in answer["scores"].items():
            scores[row, int(float(label))] = score
    return (scores[:, 1] if classes == 2 else scores), seconds


def errors(name, said, truth, classes):
    if name in NUMBERS:
        return {"rmse": float(numpy.sqrt(numpy.mean((said - truth) ** 2)))}
    both = numpy.stack([1 - said, said], axis=1) if classes == 2 else said
    found = {
        "log loss": float(log_loss(truth, numpy.clip(both, 1e-9, 1), labels=range(classes))),
        "wrong": float(numpy.mean(both.argmax(axis=1) != truth)),
    }
    return found | ({"1 - auc": float(1 - roc_auc_score(truth, said))} if classes == 2 else {})


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--polytask", required=True, type=pathlib.Path)
    parser.add_argument("--data", required=True, type=pathlib.Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--sets", nargs="*", default=SETS)
    parser.add_argument("--out", type=pathlib.Path)
    args = parser.parse_args()
    results = {}
    for name in args.sets:
        table = read(args.data, name)
        classes = 0 if name in NUMBERS else int(table["target"].nunique())
        found, seconds = {}, {}
        for seed in range(args.seeds):
            train, test = divide(table, seed)
            with tempfile.TemporaryDirectory() as folder:
                ours = lambda *of: of_polytask(args.polytask.resolve(), *of, pathlib.Path(folder))
                for program, fit in [("polytask", ours), ("lightgbm", of_lightgbm), ("xgboost", of_xgboost)]:
                    said, took = fit(name, train, test, classes)
                    seconds.setdefault(program, []).append(took)
                    for metric, error in errors(name, said, parts(test)[1], classes).items():
                        found.setdefault(metric, {}).setdefault(program, []).append(error)
        results[name] = {"errors": found, "seconds": seconds}
        for metric, by in found.items():
            means = {program: numpy.mean(values) for program, values in by.items()}
            better = min(("lightgbm", "xgboost"), key=means.get)
            ratios = numpy.array(by["polytask"]) / numpy.array(by[better])
            half = 1.96 * ratios.std(ddof=1) / numpy.sqrt(len(ratios)) if len(ratios) > 1 else 0.0
            shown = "  ".join(f"{program} {mean:.5f}" for program, mean in means.items())
            print(f"{name:9} {metric:9} {shown}  ours / {better} {ratios.mean():.4f} ± {half:.4f}", flush=True)
        print(f"{name:9} seconds   " + "  ".join(f"{program} {numpy.median(took):.2f}" for program, took in seconds.items()), flush=True)
    if args.out:
        args.out.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
