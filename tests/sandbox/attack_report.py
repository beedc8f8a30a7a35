"""Run the whole corpus in a pool of this process and print what was found as JSON; for tests."""

import json
import os
import sys

from agent0.config import SandboxSettings
from agent0.sandbox import SandboxPool
from agent0.sandbox.attack import World, run_corpus
from agent0.sandbox.attacks import CORPUS

settings = SandboxSettings(preload=(), workers=2, memory_mb=256)
with World() as world, SandboxPool(settings, without=sys.argv[1:]) as pool:
    failures = {v.attack.name: v.why for v in run_corpus(pool, world, CORPUS) if not v.contained}
    layers = {layer.name: layer.on for layer in pool.report.layers}
print(json.dumps({"uid": os.getuid(), "failures": failures, "layers": layers, "attacks": len(CORPUS)}))
