"""The GraphQL endpoint: knows GraphQL, knows no wallet.

## What it is for

An application hands over a schema of Strawberry's and some callables: who a caller is, the context of an
operation, what may be spent, who is told of what happened. It gets back an object with routes for HTTP and
for websockets (`endpoint.GraphQLEndpoint`). What a field means is the resolvers' business; what a request may do to
the server is decided here. Of the rest of the program only `app.readings` is imported, by which types say
what their fields read.

## What is where, in an order to read it in

    endpoint        puts the parts together; its routes, and how it ends
    callers         the callables that know who asks
    errors          the codes of errors; what is shown of a refusal, and of a defect
    requests        the shape of a request; JSON in and out
    limits          every bound, and whether a document is too large
    throttle        token buckets
    cost            what an operation may cost, known before it runs
    cache           a memory of texts that forgets what was not asked for longest
    persisted       documents that are named by their hash
    documents       a text becomes operations, once: parsed, measured, validated, priced, prepared
    observing       one observation of each operation, when it is over
    gate            what every operation passes, whichever way it came in
    engine          runs one operation, or answers one event: tasks, time limits, the end

    negotiation     which media type answers
    timing          the moment a credential ends; a time limit without a timer for what is there already
    http            GET and POST, and the short way of a request that is there whole
    streams         server-sent events and multipart
    sharing         one execution for all who would be answered alike
    following       subscriptions that hold no task
    wire            how messages leave a socket
    websockets      graphql-transport-ws

    prepared        operations as functions, what a run of them is, and what is left to graphql-core
    compiling       puts those functions together: all that schema and document decide
    steps           what they are put together of, step by step as graphql-core's executor
    inputs          makes values of variables and arguments, as graphql-core and Strawberry do
    writing         selection sets that are run often, written out as Python

The first part says what callers may do, the second how they are spoken to. The third makes answers quick and adds
nothing to them; it is what to read before graphql-core or Strawberry is upgraded.

## The way of a request

A door (`http`, `websockets`) asks who the caller is, has the gate count the address, and takes the request apart.
The engine finds the text (`persisted`) and its operation, known or examined now (`documents`). The gate compares
the cost with the limit, and takes it from the caller's budget; a subscription takes one of the caller's seats.

The engine makes a context and coerces the variables. Up to here a request can be refused, and no resolver has run.
Then the operation is run as it was prepared, or by graphql-core. Where nothing has to be waited for, that is
the answer. Otherwise a task of the engine's goes on with it, whoever still listens. Errors become what may be
shown, the observer is told, and the answer is written as JSON.

A subscription is begun once. Each of its events is executed as an operation is, with a context of its own, or answered
with what others were given who can't be told apart (`sharing`). On a websocket, events that can be taken as they
come need no task that waits for them (`following`).

## What it promises

- Answers are graphql-core's: data, order of keys, errors with path and place, which resolvers run, in which order.
- No resolver runs twice for one answer. Only what is read of a record (`app.readings`) may be read again.
- A mutation that has begun comes to its end, whether its caller waits, leaves, or is told that it takes too long.
- An execution that is shared has looked at nothing in which those differ who share it.
- Codes of errors are a closed set. A defect is logged with its stack, and shown as the request's id.
- What callers can make grow has a bound: in `limits`, or in a constant beside what is kept.

## What it leaves out

Several operations in one request, uploads, `@defer` and `@stream`, and the older protocol of websockets. A schema with
extensions or directives of its own is refused at the start: they would silently not run. Budgets, seats and
sockets are counted in this process only. Some of graphql-core's and Strawberry's inside is read; both are pinned.

## How parts are switched off

`prepared=False` (the setting `prepared_operations`) has graphql-core run everything, and then nothing is shared.
`onlook=None` (`shared_events`) has each event executed for each subscriber. A server that knows neither entrances
(`HttpDoor.whole`) nor wires serves the same application by ASGI's messages.

## Where its tests are

`tests/execution` has schemas of its own: `test_prepared` and `test_inputs` compare with graphql-core and Strawberry over
generated documents and values; the others go case by case. `tests/api/test_prepared.py` and `test_shared_events.py`
do the same with the real schema, `tests/test_entrance.py` with both ways of a POST. `tests/clients` and
`tests/ecosystem` are other people's clients and audits. Why it is so: docs/adr, 0005, 0010, 0024, 0028 to 0031, 0033, 0036, 0037.
"""
