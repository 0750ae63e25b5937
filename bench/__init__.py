"""The replay measured beside references; no part of the product, and it needs the material beside the project."""
