"""The learning rate as a function of the step, and of nothing else."""

import math

from sortal.train.plan import Plan

__all__ = ["learning_rate"]


def learning_rate(plan: Plan, step: int, steps_per_epoch: int) -> float:
    """The rate of step 0, 1, ... of a run.

    Warm-up is linear and its first step is not 0. Cosine: Loshchilov and Hutter 2017, without restarts; the
    step after the last would have `final_lr`. Step: divided by 10 where the share of the run says so.
    """
    total = plan.epochs * steps_per_epoch
    warmup = round(plan.warmup_epochs * steps_per_epoch)
    if step < warmup:
        return plan.peak_lr * (step + 1) / warmup
    if plan.schedule == "step":
        return plan.peak_lr * 0.1 ** sum(step >= at * total for at in plan.steps_at)
    done = (step - warmup) / max(1, total - warmup)
    return plan.peak_lr * (plan.final_lr + (1 - plan.final_lr) * (1 + math.cos(math.pi * done)) / 2)
