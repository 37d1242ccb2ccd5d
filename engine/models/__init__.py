"""Model families: each fits arrays and returns factors or scores."""
