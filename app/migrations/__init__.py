"""The migrations, forward only; `app.db.migrate` applies them."""
