"""The edge to the job queue and to the clock: what runs without anybody asking."""
