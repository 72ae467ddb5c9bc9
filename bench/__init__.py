"""Programs that measure the server, and that try to break it: `python -m bench`, or `make bench`, measures.

ledger         adjustments through the writer, beside the same work done per request by the ORM and by hand
growth         every list, search and report in a small store and in a big one
http           the same through GraphQL over HTTP, and reads, with wrk
beside         adjustments and reads over HTTP beside the programs in peers/, which do the same work
live           sockets that watch wallets: thousands at once, one event to all, many events to one each
runtime        the event loop, the parser of HTTP and the garbage collector's settings, one replaced at a time
workers        what a second process of the server brings
wrk            runs wrk, and reads what it tells
plot           bars and curves as SVG
ways           how each of the compared programs does one adjustment
load           callers, clocks and processor time
report         tables for the terminal, Markdown, JSON and the README
verification   how fast a whole ledger is verified
soak           a mixed load for minutes, and the memory of the server
crash          kills the server in the middle of a write load, and looks for what got lost
"""
