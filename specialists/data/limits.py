"""Ranges of settings, checked before anything is computed with them."""


def within(settings, limits):
    """Refuse a setting outside its limits, {name: (least, most)}."""
    for name, (least, most) in limits.items():
        value = getattr(settings, name)
        if not least <= value <= most:
            raise ValueError(f"{name}: {value} is out of range: {least} to {most}")
