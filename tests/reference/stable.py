"""Systems whose equilibrium is stable, by numpy.roots; each for its own reason."""

from kvsteady.workload import Lengths, Workload, independent

STABLE = {
    "two short classes": Workload.classes([(20, 2), (20, 3)]),
    "three coprime classes": Workload.classes([(100, 7), (100, 11), (100, 13)]),
    "slow coprime pair": Workload.classes([(3000, 15), (3000, 23)]),
    "uniform": independent(Lengths.fixed(50), Lengths.uniform(1, 40)),
    "capped geometric": independent(Lengths.fixed(30), Lengths.geometric(20, 60)),
    "unequal prompts": Workload.classes([(400, 5, 0.3), (100, 8, 0.7)]),
    "no prompt": Workload.from_counts([0, 2], [2, 3], [9, 3]),
}
