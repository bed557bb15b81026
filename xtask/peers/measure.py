"""Repeated timing with the summary `polytask bench` prints: median_ms, min_ms, max_ms, runs, threads, precision."""

import statistics
import time

import torch


def set_threads(n):
    """Bounds every pool of PyTorch; must come before the first parallel operation."""
    torch.set_num_threads(n)
    torch.set_num_interop_threads(1)


def measure(step, runs, warmup):
    """Milliseconds of `runs` calls after `warmup` unmeasured ones."""
    for _ in range(warmup):
        step()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        step()
        times.append((time.perf_counter() - start) * 1e3)
    return times


def summary(times):
    """The summary of measured milliseconds."""
    return {
        "median_ms": round(statistics.median(times), 3),
        "min_ms": round(min(times), 3),
        "max_ms": round(max(times), 3),
        "runs": len(times),
        "threads": torch.get_num_threads(),
        "precision": "f32",
    }
