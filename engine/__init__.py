"""The recommender: arrays in, arrays out. No Django, no Celery, no Redis, no clock, no global state."""
