"""Vectors that stand for many: clusters and what is drawn from them."""
from .weighted_kmeans import weighted_kmeans

__all__ = ['weighted_kmeans']
