"""What an evolution needs before it starts: memory per GPU, tokens and hours per stage, and what to change.

Pure arithmetic over the settings; imports neither torch nor kfp nor mlflow. Formulas: docs/plan.md.
"""

from agent0.planning.alternatives import compare_placements
from agent0.planning.architecture import Architecture, architecture_of
from agent0.planning.devices import check_devices, check_pods, training_host_gib
from agent0.planning.hardware import Cluster, parse_cluster
from agent0.planning.plan import Plan, make_plan
from agent0.planning.proposal import propose
from agent0.planning.rates import rates_from_history, read_rates, write_rates

__all__ = [
    "Architecture", "Cluster", "Plan", "architecture_of", "check_devices", "check_pods", "compare_placements",
    "make_plan", "parse_cluster", "propose", "rates_from_history", "read_rates", "training_host_gib", "write_rates",
]  # fmt: skip
