"""Whole calls of each provider, as `tests/journeys.py` replays them."""
