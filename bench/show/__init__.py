"""Show the parts of a result: in a terminal, as Markdown, as CSV, on a page, in a notebook."""
