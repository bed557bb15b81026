"""Boosted trees for several targets: the peers of `polytask bench boost`.

`peer` is lightgbm, which has one target a model, or xgboost, which grows a tree for each in a round. Columns and targets
are files of raw f32, one column or target after the other; a target that is NaN is unknown, and neither peer knows such a
thing: the rows of each target are then taken apart. The proof is what the models of the known targets say of every row.
"""

import numpy

from common import measure, read_job, report, summary


class LightGBM:
    def __init__(self, job, table):
        import lightgbm

        self.lightgbm, self.job, self.table = lightgbm, job, table
        self.versions = {"lightgbm": lightgbm.__version__}
        is_leaf = job["growth"] == "leaf"
        self.params = {
            "objective": "regression",
            "num_threads": job["threads"],
            "learning_rate": 0.1,
            "num_leaves": 31 if is_leaf else 32,
            "max_depth": -1 if is_leaf else 5,
            "max_bin": 255,
            "min_data_in_bin": 1,
            "min_data_in_leaf": 1,
            "min_sum_hessian_in_leaf": 1.0,
            "lambda_l2": 1.0,
            "verbosity": -1,
        }

    def data(self, rows=None, label=None, reference=None):
        table = self.table if rows is None else self.table[rows]
        return self.lightgbm.Dataset(table, label=label, reference=reference, params=self.params, free_raw_data=False)

    def fit(self, targets):
        # Bins are made once: only the label changes, or the rows of a target are binned as all are.
        every = self.data(label=targets[0]).construct() if not numpy.isnan(targets).any() else self.data().construct()
        models = []
        for target in targets:
            known = ~numpy.isnan(target)
            if known.all():
                data = every.set_label(target)
            else:
                data = self.data(known, target[known], every)
            models.append(self.lightgbm.train(self.params, data, num_boost_round=self.job["rounds"]))
        return models

    def predict(self, models):
        return numpy.stack([model.predict(self.table, num_threads=self.job["threads"]) for model in models])


class XGBoost:
    def __init__(self, job, table):
        import xgboost

        self.xgboost, self.job, self.table = xgboost, job, table
        self.versions = {"xgboost": xgboost.__version__}
        is_leaf = job["growth"] == "leaf"
        self.params = {
            "objective": "reg:squarederror",
            "tree_method": "hist",
            "nthread": job["threads"],
            "eta": 0.1,
            "grow_policy": "lossguide" if is_leaf else "depthwise",
            "max_leaves": 31 if is_leaf else 0,
            "max_depth": 0 if is_leaf else 5,
            "max_bin": 255,
            "min_child_weight": 1.0,
            "lambda": 1.0,
        }

    def data(self, table, label):
        return self.xgboost.QuantileDMatrix(table, label=label, max_bin=255, nthread=self.job["threads"])

    def train(self, data):
        return self.xgboost.train(self.params, data, num_boost_round=self.job["rounds"])

    def fit(self, targets):
        if not numpy.isnan(targets).any():
            return [self.train(self.data(self.table, targets.T))]
        known = [~numpy.isnan(target) for target in targets]
        return [self.train(self.data(self.table[rows], target[rows])) for rows, target in zip(known, targets)]

    def predict(self, models):
        said = [model.inplace_predict(self.table) for model in models]
        return numpy.concatenate([numpy.atleast_2d(values.T) for values in said])


PEERS = {"lightgbm": LightGBM, "xgboost": XGBoost}


def main():
    job = read_job()
    load = lambda name: numpy.fromfile(job[name], "<f4")
    columns = load("table").reshape(job["columns"], -1)
    # Rows one after the other, as tables are given to both.
    table = numpy.ascontiguousarray(columns.T)
    del columns
    known, gaps = (load(name).reshape(-1, len(table)) for name in ("known", "gaps"))
    peer = PEERS[job["peer"]](job, table)
    if "prove" in job:
        numpy.ascontiguousarray(peer.predict(peer.fit(known)), dtype="<f4").tofile(job["prove"])
        report(job, peer.versions)
        return
    models = peer.fit(known)
    parts = []
    for name, work in [
        ("fit", lambda: peer.fit(known)),
        ("fit, 30 % unknown", lambda: peer.fit(gaps)),
        ("predict", lambda: peer.predict(models)),
    ]:
        parts.append({"mix": name} | summary(measure(work, job["runs"], 0)))
    report(job, peer.versions, mixes=parts)


if __name__ == "__main__":
    main()
