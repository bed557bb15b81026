//! Training of polytask: the loop, conflict methods, joint run with baselines, checkpoints.
