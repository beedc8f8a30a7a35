"""Print what the GPU image is, as JSON; run inside it, where there is no GPU and no driver.

A library with the names of the driver's functions, each of which fails, stands in for the driver: enough to load the
kernels of vLLM and to have Triton compile one of its own, with the launcher, for GPUs that are not there.
"""

import ctypes
import importlib
import json
import os
import re
import subprocess
import sys
import sysconfig
from importlib import metadata
from pathlib import Path

PACKAGES = Path(sysconfig.get_paths()["purelib"])
TRITON = PACKAGES / "triton" / "backends" / "nvidia"
STAND_IN = Path("/tmp/driver/libcuda.so.1")
MODULES = (
    "torch", "vllm", "vllm.entrypoints.openai.api_server", "trl", "transformers", "accelerate", "peft", "datasets",
    "agent0", "agent0.rollout.vllm_backend", "agent0_kfp", "mlflow", "boto3", "kubernetes", "inspect_ai", "math_verify",
)  # fmt: skip
KERNEL = """
import triton.language as tl

def double(source, target, count, block: tl.constexpr):
    at = tl.program_id(0) * block + tl.arange(0, block)
    tl.store(target + at, 2 * tl.load(source + at, mask=at < count), mask=at < count)
"""


def stand_in_for_the_driver(libraries: list[Path]) -> None:
    """Make and load a library that has every function of the driver that is asked for."""
    listed = [subprocess.check_output(["nm", "-D", "--undefined-only", path], text=True) for path in libraries]
    asked = set(re.findall(r"\bcu[A-Z]\w+", "".join([*listed, (TRITON / "driver.c").read_text()])))
    STAND_IN.parent.mkdir()
    source = STAND_IN.with_name("driver.c")
    source.write_text("\n".join(f"int {name}(void) {{ return 999; }}" for name in sorted(asked)))
    options = ["-shared", "-fPIC", "-w", f"-Wl,-soname,{STAND_IN.name}", "-o", str(STAND_IN)]
    subprocess.check_call(["gcc", str(source), *options])
    ctypes.CDLL(str(STAND_IN), mode=ctypes.RTLD_GLOBAL)
    os.environ["TRITON_LIBCUDA_PATH"] = str(STAND_IN.parent)


def compiled_by_triton(capability: int) -> int:
    """Return the size of a kernel's code for a GPU of this compute capability."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    sys.path.insert(0, "/tmp")
    Path("/tmp/kernel.py").write_text(KERNEL)
    double = triton.jit(importlib.import_module("kernel").double)
    signature = {"source": "*fp32", "target": "*fp32", "count": "i32", "block": "constexpr"}
    source = ASTSource(double, signature=signature, constexprs={"block": 128})
    return len(triton.compile(source, target=GPUTarget("cuda", capability, 32)).asm["cubin"])


def look_inside() -> dict[str, object]:
    """Import what stages need, load and compile kernels; return what was found."""
    for name in MODULES:
        importlib.import_module(name)
    kernels = sorted(PACKAGES.glob("vllm/**/*.abi3.so"))
    stand_in_for_the_driver(kernels)
    for path in kernels:
        ctypes.CDLL(str(path))
    import torch
    from triton.backends.nvidia.driver import CudaUtils

    from agent0.rollout.vllm_version import require_vllm

    CudaUtils()  # the launcher that Triton compiles with gcc
    executor = [sys.executable, "-m", "kfp.dsl.executor_main", "--help"]
    subprocess.run(executor, env={**os.environ, "_KFP_RUNTIME": "true"}, check=True, stdout=subprocess.DEVNULL)
    leftovers = [Path("/src"), *Path("/var/cache/apt/archives").glob("*.deb")]
    return {
        "user": os.getuid(),
        "cuda": torch.version.cuda,
        "cpu_build_of_vllm": require_vllm().cpu,
        "kernels": [path.name for path in kernels],
        "rms_norm": str(torch.ops._C.rms_norm),
        "triton": {capability: compiled_by_triton(capability) for capability in (80, 90, 100)},
        "help": subprocess.check_output(["agent0", "--help"], text=True),
        "versions": {item.metadata["Name"]: item.version for item in metadata.distributions(path=[str(PACKAGES)])},
        "leftovers": [str(path) for path in leftovers if path.exists()],
    }


if __name__ == "__main__":
    print(json.dumps(look_inside()))
