"""A rollout backend: token after token from the model itself. Slow, but all that one has to do."""

from contextlib import asynccontextmanager, nullcontext

import torch

from agent0.rollout import Generation
from agent0.rollout.model_folders import load_model


class Plain:
    def __init__(self, frozen):
        self.frozen, self.concurrency = frozen, 4
        self.model, _ = load_model(frozen.model, "float32")

    @asynccontextmanager
    async def session(self, trajectories, watch):
        self.watch = watch
        yield self

    async def generate(self, request):
        drawn, logprobs, cache, new, finish = [], [], None, request.prompt, "length"
        chance = torch.Generator().manual_seed(request.seed)
        while finish == "length" and len(drawn) < request.max_tokens:
            with torch.no_grad():
                read = self.model(torch.tensor([new]), past_key_values=cache, use_cache=True)
            cache, scores = read.past_key_values, read.logits[0, -1].log_softmax(-1)
            noise = torch.empty_like(scores).exponential_(generator=chance).log()  # Gumbel's way of drawing
            new = [int((scores - self.frozen.sampling.temperature * noise).argmax())]
            drawn, logprobs = drawn + new, [*logprobs, float(scores[new[0]])]
            stops = request.ends or (lambda ids: request.stop and request.stop in self.frozen.tokenizer.decode(ids))
            finish = "eos" if new[0] in self.frozen.end_ids else "stop" if stops(drawn) else "length"
            self.watch.drew(1)
        return Generation(drawn, finish, logprobs)

    def retire(self): ...


def open_plain(frozen):
    return nullcontext(Plain(frozen))
