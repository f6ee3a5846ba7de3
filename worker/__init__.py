"""Jobs and datasets: their records in Redis, the queue, the events, and the processes that do the work."""
