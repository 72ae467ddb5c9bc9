"""Cashback: rules as the store keeps them, what a cart would earn, and what a rule would have cost."""
