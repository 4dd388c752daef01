"""Evaluation of separated stems against their references: metrics, data sets as they are on disk, reports."""
