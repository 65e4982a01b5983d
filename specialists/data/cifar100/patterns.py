"""A small CIFAR-100 of our own: a superclass is a grating of one direction and pitch, its 5 classes colours.

Phase, contrast, brightness and noise differ from image to image, so that a class cannot be looked up.
"""

import colorsys

import numpy as np

GRATINGS = [(angle, pitch) for pitch in (5.0, 8.0, 12.0, 18.0) for angle in (0, 36, 72, 108, 144)]
HUES = {"red": 0.0, "yellow": 0.15, "green": 0.35, "blue": 0.6, "purple": 0.8}
SUPERCLASSES = [f"grating {angle} degrees, {pitch:g} pixels" for angle, pitch in GRATINGS]
CLASSES = [f"{hue} {superclass}" for superclass in SUPERCLASSES for hue in HUES]


def image(fine, rng):
    """(32, 32, 3) uint8 of one class."""
    angle, pitch = GRATINGS[fine // len(HUES)]
    hue = list(HUES.values())[fine % len(HUES)] + rng.normal(0, 0.02)
    turned = np.deg2rad(angle + rng.normal(0, 4))
    y, x = np.mgrid[:32, :32]
    wave = np.sin(2 * np.pi * ((x * np.cos(turned) + y * np.sin(turned)) / pitch + rng.random()))
    light = rng.uniform(0.35, 0.65) + rng.uniform(0.15, 0.35) * wave
    colour = np.array(colorsys.hsv_to_rgb(hue % 1, rng.uniform(0.5, 0.9), 1.0))
    noisy = light[..., None] * colour + rng.normal(0, 0.08, (32, 32, 3))
    return (255 * noisy.clip(0, 1)).astype(np.uint8)
