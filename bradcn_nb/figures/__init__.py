"""Plots, and pages that work without a kernel."""
