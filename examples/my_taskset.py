"""An environment of the library verifiers, whose tasks are of reasoning-gym, and the domain that it makes."""

import reasoning_gym
import verifiers.v1 as vf

from agent0.environments import environment_domain


class SumData(vf.TaskData):
    answer: str


class SumTask(vf.Task[SumData]):
    @vf.reward
    async def right(self, trace: vf.Trace) -> float:
        return float(trace.last_reply.removeprefix("\\boxed{").removesuffix("}") == self.data.answer)


class SumTaskset(vf.Taskset[SumTask, vf.TasksetConfig]):
    def load(self):
        for made in reasoning_gym.create_dataset("chain_sum", size=400, seed=1):
            yield SumTask(SumData(prompt=made["question"], answer=made["answer"]), self.config.task)


CHAINS = environment_domain(SumTaskset(vf.TasksetConfig()))
