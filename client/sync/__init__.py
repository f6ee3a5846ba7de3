"""The client for ordinary code: made from ``client/aio`` by ``scripts/build_sync.py``; only ``runtime`` is written by hand."""
