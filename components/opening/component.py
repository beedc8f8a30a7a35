"""The component `opening`: check the configuration and open the evolution's run, or go on with an unfinished one."""


def opening(
    recipe: str,
    seed: int,
    iterations: int,
    pods: int,
    model: dict,
    rollout: dict,
    sandbox: dict,
    warm_start: dict,
    curriculum: dict,
    generation: dict,
    execution: dict,
    filtering: dict,
    executor: dict,
    training: dict,
    evaluation: dict,
    tracking: dict,
    start_iteration: int,
    curriculum_model_uri: str,
    executor_model_uri: str,
    history_uri: str,
    code_version: str,
    mlflow_run_id: str,
    job: str,
    compiled_with: dict,
    with_warm_start: bool,
) -> str:
    """Fail before any GPU is asked for if a setting is wrong; return the id of the evolution's MLflow run."""
    from agent0.config import Config, parse_section
    from agent0.progress import reported
    from agent0.stages.opening import Beginning, check_graph, open_evolution

    sections = {
        "model": model,
        "rollout": rollout,
        "sandbox": sandbox,
        "warm_start": warm_start,
        "curriculum": curriculum,
        "generation": generation,
        "execution": execution,
        "filtering": filtering,
        "executor": executor,
        "training": training,
        "evaluation": evaluation,
        "tracking": tracking,
    }
    with reported("opening", 0) as progress:
        fixed = {"recipe": recipe, "seed": seed, "iterations": iterations, "pods": pods}
        config = parse_section(Config, {**fixed, **sections})
        check_graph(config, with_warm_start=with_warm_start)
        beginning = Beginning(start_iteration, curriculum_model_uri, executor_model_uri, history_uri)
        run_id = open_evolution(config, beginning, code_version, mlflow_run_id, job, compiled_with)
        progress.end(f"MLflow run {run_id}")
        return run_id
