//! Judgement of polytask: metrics, intervals, comparison with single-task models, report rendering.
