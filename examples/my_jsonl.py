"""A tracker: whatever is logged becomes a line of a file, one file for each evolution."""

import json
import os
from pathlib import Path


class JsonLines:
    def __init__(self, run):
        self.run = run

    def log_metrics(self, metrics, step):
        self.write(metrics=dict(metrics), step=step)

    def log_params(self, params):
        self.write(params=dict(params))

    def set_tags(self, tags):
        self.write(tags=dict(tags))

    def log_file(self, path, folder=""):
        self.write(file=f"{folder}/{path.name}".lstrip("/"), bytes=path.stat().st_size)

    def set_status(self, status):
        self.write(status=status)

    def write(self, **told):
        folder = Path(os.environ["MY_RUNS"])  # stages work in folders of their own, so it must be a whole path
        folder.mkdir(exist_ok=True)
        with (folder / f"{self.run.evolution}.jsonl").open("a") as file:
            file.write(json.dumps({"run": self.run.name, **told}, default=str) + "\n")
