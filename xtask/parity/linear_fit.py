"""Golden values of polytask-nn's linear models (logistic and ridge regression) from scikit-learn.

Run:  python xtask/parity/linear_fit.py > crates/polytask-nn/src/linear_fit/golden.json
Made with scikit-learn 1.9.1, numpy 2.4.6.

Features are standardised here with StandardScaler; scikit-learn's penalties are brought to ours, which divides the loss by the sum of row
weights: C = 1 / (strength * sum of weights), and alpha = strength * sum of weights for the ridge.
"""

import json
import sys

import numpy as np
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

rng = np.random.default_rng(31)
N, WIDTH, STRENGTH = 60, 5, 0.03

features = np.round(rng.normal(size=(N, WIDTH)) * [1.0, 10.0, 2.0, 3.0, 1.0] + [0.0, 5.0, -1.0, 0.0, 2.0], 3)
features[:, 4] = 2.0  # constant
weights = np.round(rng.uniform(0.5, 2.0, size=N), 2)
standard = StandardScaler().fit_transform(features)
mix = standard[:, :4] @ rng.normal(size=(4, 3)) + rng.normal(size=(N, 3))
total = weights.sum()


def logistic(truth):
    model = LogisticRegression(C=1.0 / (STRENGTH * total), tol=1e-10, max_iter=10_000)
    model.fit(standard, truth, sample_weight=weights)
    return model


labels = mix.argmax(axis=1)
softmax = logistic(labels)
sets = (mix > 0.3).astype(int)
binary = [logistic(sets[:, c]) for c in range(3)]
numbers = np.round(mix[:, :2], 3)
ridge = Ridge(alpha=STRENGTH * total, tol=1e-12).fit(standard, numbers, sample_weight=weights)

json.dump(
    {
        "width": WIDTH,
        "strength": STRENGTH,
        "features": features.flatten().tolist(),
        "weights": weights.tolist(),
        "labels": labels.tolist(),
        "label_outputs": softmax.predict_proba(standard).flatten().tolist(),
        "sets": sets.flatten().tolist(),
        "set_outputs": np.stack([m.predict_proba(standard)[:, 1] for m in binary], axis=1).flatten().tolist(),
        "numbers": numbers.flatten().tolist(),
        "number_outputs": ridge.predict(standard).flatten().tolist(),
    },
    sys.stdout,
)
