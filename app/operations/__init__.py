"""What operators see of a running server: whether it is ready, what it counts, where its time goes.

`door` holds the routes; `readiness` the questions behind /readyz; `metrics`, `tracing` and `observer` what is told of
each operation.
"""
