"""A made-up history; its numbers are invented and mean nothing."""

from __future__ import annotations

import math

from agent0.config import load_config
from agent0.report.history import Example, ExecutorScores, History, IterationRecord, ProposalStatistics, Score

LEVELS = ("2x1", "2x2", "3x1", "3x2", "4x2", "5x2")
TRAJECTORY = """I compute it with the tool.
```python
a = 12 + 3 * 45
print(a)
```
```output
147
```
The result is \\boxed{147}."""


def made_up_score(accuracy: float, n: int, tool_calls: float) -> Score:
    margin = 1.96 * math.sqrt(max(accuracy * (1 - accuracy), 0.01) / n)
    return Score(
        accuracy=accuracy,
        ci_low=max(0.0, accuracy - margin),
        ci_high=min(1.0, accuracy + margin),
        n=n,
        tool_calls=tool_calls,
        self_consistency=min(1.0, accuracy + 0.1),
    )


def made_up_scores(iteration: int) -> ExecutorScores:
    gain = 0.3 * (1 - math.exp(-iteration / 1.5))
    levels = {
        name: made_up_score(min(0.97, max(0.04, 0.78 - 0.13 * rank + gain * (0.4 + 0.2 * rank))), 40, 0.5 + gain)
        for rank, name in enumerate(LEVELS)
    }
    overall = made_up_score(sum(level.accuracy for level in levels.values()) / len(levels), 240, 0.55 + 1.2 * gain)
    return ExecutorScores(**overall.model_dump(), samples=4, levels=levels)


def made_up_proposals(iteration: int) -> ProposalStatistics:
    pass_rate, labels = 0.64 - 0.05 * iteration, 0.93 - 0.045 * iteration
    counts = [
        0,
        2,
        6,
        9 + iteration,
        12,
        16 + iteration,
        14,
        13,
        12,
        18 - iteration,
        max(2, 30 - 4 * iteration),
    ]
    kept = sum(counts[3:9])
    return ProposalStatistics(
        generated=160,
        valid=sum(counts),
        kept=kept,
        first_executor_pass_rate=pass_rate,
        first_executor_pass_rate_low=pass_rate - 0.055,
        first_executor_pass_rate_high=pass_rate + 0.055,
        probed=64,
        self_consistency=0.62 - 0.02 * iteration,
        tool_calls=0.8 + 0.15 * iteration,
        label_accuracy=labels,
        label_accuracy_low=labels - 0.06,
        label_accuracy_high=min(1.0, labels + 0.05),
        labelled_with_truth=kept,
        self_consistency_histogram={f"{index / 10:.1f}": count for index, count in enumerate(counts)},
        rejections={"not a question": 11 + iteration, "repeated": 9, "no end token": 2},
        filtered={"too easy": counts[9] + counts[10], "too hard": sum(counts[:3])},
        repetition=0.06 + 0.015 * iteration,
        distinct=0.97 - 0.02 * iteration,
        proposer_tool_calls=0.25 - 0.02 * iteration,
        proposer_agreement=0.4,
    )


def made_up_steps(iteration: int, count: int, slope: float) -> tuple[dict[str, float], ...]:
    return tuple(
        {
            "step": float(step),
            "reward": 0.35 + 0.06 * iteration + slope * step + 0.03 * math.sin(2.1 * step + iteration),
            "clip_ratio/high_mean": 0.004 + 0.002 * abs(math.sin(step)),
            "clip_ratio/low_mean": 0.002 + 0.001 * abs(math.cos(step)),
            "kl": 0.0015 * step * (1 + 0.2 * math.sin(step)),
            "entropy": 0.52 - 0.04 * iteration - 0.006 * step + 0.01 * math.cos(3 * step),
        }
        for step in range(1, count + 1)
    )


def made_up_examples(iteration: int) -> tuple[Example, ...]:
    def example(question: str, answer: str | None, known: str | None, share: float) -> Example:
        return Example(
            iteration=iteration,
            question=question,
            pseudo_label="147",
            known_answer=known,
            self_consistency=share,
            kept=0.3 <= share <= 0.8,
            text=TRAJECTORY,
            answer=answer,
            correct=None if known is None else answer == known,
            tool_calls=1,
        )

    return (
        example("What is 12+(3*45)?", "147", "147", 0.7),
        example("Compute 98*7-41.", "645", "645", 0.4),
        example("Evaluate (71-8)*12.", "746", "756", 0.3),
        example("A train leaves at noon. When does it arrive?", "15:20", None, 0.5),
        example("Find the value of 8*8*8.", None, "512", 0.9),
    )


def made_up_history(iterations: int = 3) -> History:
    records = [
        IterationRecord(iteration=0, executor=made_up_scores(0), proposals=None, stage_seconds={"evaluate": 8.4})
    ]
    for number in range(1, iterations + 1):
        records.append(
            IterationRecord(
                iteration=number,
                executor=made_up_scores(number),
                proposals=made_up_proposals(number),
                training={
                    "curriculum": made_up_steps(number, 12, 0.012),
                    "executor": made_up_steps(number, 12, 0.02),
                },
                examples=made_up_examples(number),
                stage_seconds={
                    "curriculum_training": 41.2,
                    "task_generation": 3.1,
                    "sandboxed_execution": 12.8,
                    "task_filtering": 0.4,
                    "executor_training": 38.9,
                    "evaluate": 8.1,
                },
            )
        )
    return History(
        recipe="tiny",
        seed=0,
        planned_iterations=max(3, iterations),
        code_version="0.1.0+g3f9a1c2",
        mlflow_run_id="0b1d5c5e3d0f4b0c9a7e6f5d4c3b2a10",
        tracking_uri="sqlite:///mlflow.db",
        started_at=1_760_000_000.0,
        finished_at=1_760_000_372.5,
        config=load_config("tiny").model_dump(mode="json"),
        iterations=tuple(records),
    )
