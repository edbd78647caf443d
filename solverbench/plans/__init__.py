"""A sampler as a short linear program: traced once, optimised once, run by any engine."""

from solverbench.plans.ir import Eval, Input, Instruction, Jump, LinComb, Map, Noise, Plan, operands
from solverbench.plans.trace import State, trace

__all__ = ["Eval", "Input", "Instruction", "Jump", "LinComb", "Map", "Noise", "Plan", "State", "operands", "trace"]
