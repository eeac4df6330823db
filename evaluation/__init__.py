"""Scripted conversations measured: scenarios, metrics and reports."""
