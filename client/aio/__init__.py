"""The client for asyncio. ``client/sync`` is made from these modules by ``scripts/build_sync.py``; only ``runtime`` is written twice."""
