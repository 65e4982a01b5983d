"""CIFAR-100 (Krizhevsky 2009): small photographs of a hundred classes."""

GROUP = "superclass"
