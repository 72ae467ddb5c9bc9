"""The GraphQL endpoint: knows GraphQL, knows no wallet.

`endpoint` puts the parts together; `engine` runs one operation; `documents` parses and validates each text once;
`http`, `streams` and `websockets` are the three ways in.
"""
