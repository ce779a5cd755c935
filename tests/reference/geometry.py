"""How far a sample is from normal, as the authors compute it: a sum over 1,000 points, one after the other."""

import math


def distance(sample, centred=False, points=1000, limit=5.0):
    n = len(sample)
    mean = sum(sample) / n
    sd = math.sqrt(sum((x - mean) ** 2 for x in sample) / n)
    standardised = sorted((x - mean * centred) / sd for x in sample)
    step = 2 * limit / (points - 1)
    total, below = 0.0, 0
    for i in range(points):
        z = -limit + i * step
        while below < n and standardised[below] <= z:
            below += 1
        total += abs(below / n - 0.5 * math.erfc(-z / math.sqrt(2))) * step
    return total
