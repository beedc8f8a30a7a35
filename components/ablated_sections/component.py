"""The component `ablated_sections`: the settings of one variant of an ablation."""

from kfp.dsl import OutputPath


def ablated_sections(
    run: dict,
    rollout: dict,
    curriculum: dict,
    executor: dict,
    ablated_rollout: OutputPath(dict),
    ablated_curriculum: OutputPath(dict),
    ablated_executor: OutputPath(dict),
) -> int:
    """Leave a part of the method out of the settings; return the seed of the run."""
    from pathlib import Path

    from agent0.stages.ablation import ablate
    from agent0.storage.atomic import write_json

    sections = ablate(run["variant"], {"rollout": rollout, "curriculum": curriculum, "executor": executor})
    for name, path in (
        ("rollout", ablated_rollout),
        ("curriculum", ablated_curriculum),
        ("executor", ablated_executor),
    ):
        write_json(Path(path), sections[name])
    return int(run["seed"])
