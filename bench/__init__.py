"""What Coffer's speed is measured with: `python -m bench`, or `make bench`.

ledger   adjustments through the writer, beside the same work done per request by the ORM and by hand
http     the same through GraphQL over HTTP, and reads, with wrk
ways     how each of the compared programs does one adjustment
load     callers, clocks and processor time
report   tables for the terminal, Markdown, JSON and the README
"""
