"""Readers of the official formats, and the writers of the stand-ins that speak them."""
