"""From a bundle and a query to a ranking: sources in order, one exclude set, until the page is full."""
