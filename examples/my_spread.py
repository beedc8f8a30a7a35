"""A reward term: how many different answers the executor gives, from 0 where all agree to 1 where no two do."""

from agent0.rewards import ProposedTask


def spread(task: ProposedTask) -> float:
    return max(0, task.vote.clusters - 1) / (task.vote.k - 1)
