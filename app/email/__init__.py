"""E-mails to customers: rendered from templates that a store can override and translate, and handed to an SMTP server."""
