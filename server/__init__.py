"""The REST service: datasets, jobs, event streams, and the page."""
