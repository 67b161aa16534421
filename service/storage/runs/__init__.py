"""Runs in the database: their store, rows, counts and exports, and external results.

``store``: begin, end and read runs. ``rows``: table rows from jobs and outcomes, and records from
rows. ``run_counts``: numbers of runs by study. ``external_results``: runs made outside of this
service. ``export``: all runs and curves, page by page.
"""
