"""Programs that do what Coffer does, as other teams write them, so that a figure has something beside it.

mercurius   Node: Fastify, Mercurius with its compiler (jit), node-postgres; hand-written SQL on prepared statements
book        Python by the book: Strawberry's own application, Tortoise, a transaction a request

Both work on Coffer's own tables, made by its migrations; do the same for an adjustment (the idempotency key claimed, the
wallet locked, a transaction chained by its hash, the lot, the allocation, the wallet's totals, one commit); believe the
same tokens, and keep what they verified; and give the same JSON, which `require_same_answers` compares. Both leave a
ledger that `verify` finds clean. What they leave out (live updates to other processes, limits, logs of access, the rest of
the schema) is to their advantage.
"""
