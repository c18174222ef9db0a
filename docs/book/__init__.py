"""The book's generated pages: what exists elsewhere in the project, as Markdown for Sphinx."""
