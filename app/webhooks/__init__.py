"""What a store says to Coffer: each door checks who speaks, and translates it into the same few events."""
