"""What a token costs the transformers backend, the longer a row grows, next to reading the row anew at each interval.

A small Llama with random weights draws rows that never end, so every row has the length it is asked for:
- the time of a token between two lengths, from 100 to 2,000 drawn tokens, from runs that differ in their length only;
- the time of 1,000 tokens a row with the default interval, against two ways of doing without a kept cache: the prompt
  and everything drawn so far read anew after each interval, and after each token, as a model without a cache would.

`reading_anew` is the way that keeps nothing between intervals. Both sides draw in turns, the best of some rounds counts,
and seconds are those of this process's CPU, so that a busy machine counts as little as may be.
Leaves out tool calls and batches that shrink, which the tests check.
"""
