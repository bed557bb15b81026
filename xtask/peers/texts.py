"""The texts of `polytask bench embed`, word for word: the same generator, the same words, the same three mixes."""

BITS = (1 << 64) - 1
GAMMA = 0x9E3779B97F4A7C15
PURPOSE_BENCH = 9
SEED = 2

WORDS = (
    "the card has not arrived yet please tell me how to find a good engineer for water systems in city people play "
    "music near river while children run across green field under bright sun and watch small boats move slowly"
).split()

# Words per text: shortest and longest of each mix.
MIXES = {"short": (3, 12), "long": (60, 100), "mixed": (3, 100)}


def mix(z):
    """The finaliser of SplitMix64."""
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & BITS
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & BITS
    return z ^ (z >> 31)


class Rng:
    """A stream of `polytask_core::rng` with the purpose of benchmarks."""

    def __init__(self, seed, coordinates):
        self.count = 0
        self.key = mix(mix((seed + GAMMA) & BITS) ^ mix((PURPOSE_BENCH * GAMMA) & BITS))
        for coordinate in coordinates:
            self.key = mix(self.key ^ mix((coordinate + GAMMA) & BITS))

    def below(self, n):
        self.count += 1
        return (mix((self.key + self.count * GAMMA) & BITS) * n) >> 64


def texts(mix_name, n):
    """`n` texts of a mix."""
    shortest, longest = MIXES[mix_name]
    rng = Rng(SEED, (shortest, longest))
    lengths_then_words = lambda: range(shortest + rng.below(longest - shortest + 1))
    return [" ".join(WORDS[rng.below(len(WORDS))] for _ in lengths_then_words()) for _ in range(n)]
