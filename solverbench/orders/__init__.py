"""Orders of convergence, measured. See `measure`."""

from solverbench.orders.measure import Report, measure
from solverbench.orders.ruler import Slope
from solverbench.orders.subjects import Subject, subject

__all__ = ["Report", "Slope", "Subject", "measure", "subject"]
