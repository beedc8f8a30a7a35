"""What inspect_ai finds of Agent0: the model provider `agent0/MODEL` and a task `agent0/BENCHMARK` for each benchmark.

For who lives in inspect_ai; `agent0 evaluate` is the shorter way. Samples, seeds, texts and verdicts are the same.
"""

from agent0.inspect.provider import Agent0Model
from agent0.inspect.tasks import TASKS

__all__ = ["TASKS", "Agent0Model"]
