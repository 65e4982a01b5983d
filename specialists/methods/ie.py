"""IE: the independent ensemble, base models as they are."""
