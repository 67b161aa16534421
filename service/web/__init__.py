"""The web pages: one module and one template for each page."""
