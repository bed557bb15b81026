"""Three checkpoints of one base become one: the peer of `polytask bench merge`.

mergekit's entry for checkpoints is called within this process, and once more as a process of its own, whose memory is
reported. The proof is every so many-th value of the results, tensors by their names.
"""

import importlib.metadata
import pathlib
import resource
import shutil
import subprocess
import sys

import numpy
import torch
from mergekit.scripts.merge_raw_pytorch import main as mergekit
from safetensors import safe_open

from common import measure, read_job, report, summary


def within(job, method):
    shutil.rmtree(job["out"], ignore_errors=True)
    mergekit.main([f"{job['inputs']}/{method}-of-files.yaml", job["out"], "--quiet"], standalone_mode=False)


def whole(job):
    shutil.rmtree(job["out"], ignore_errors=True)
    program = pathlib.Path(sys.executable).parent / "mergekit-pytorch"
    arguments = [program, f"{job['inputs']}/{job['whole']}-of-files.yaml", job["out"]]
    subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def sample(job):
    tensors = {}
    for file in pathlib.Path(job["out"]).glob("*.safetensors"):
        with safe_open(file, "pt") as weights:
            for name in weights.keys():
                tensors[name] = weights.get_tensor(name).float().flatten()[:: job["every"]].numpy()
    return [tensors[name] for name in sorted(tensors)]


def main():
    job = read_job()
    torch.set_num_threads(job["threads"])
    versions = {name: importlib.metadata.version(name) for name in ("mergekit", "torch")}
    if "prove" in job:
        values = []
        for method in job["methods"]:
            within(job, method)
            values += sample(job)
        numpy.concatenate(values).astype("<f4").tofile(job["prove"])
        report(job, versions)
        return
    parts = []
    for method in job["methods"]:
        parts.append({"mix": method} | summary(measure(lambda: within(job, method), job["runs"], 0)))
    memory = {}
    if job["whole"]:
        times = measure(lambda: whole(job), job["runs"], 0)
        parts.append({"mix": f"{job['whole']}, whole process"} | summary(times))
        unit = 1 if sys.platform == "darwin" else 1024
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit / 2**20
        memory = {"peak_rss_mb": round(peak, 1)}
    report(job, versions, mixes=parts, **memory)


if __name__ == "__main__":
    main()
