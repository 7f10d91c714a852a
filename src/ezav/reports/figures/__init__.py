"""Figures of a report: each function turns stored results into one panel with its CSV."""
