"""One file per sparsifier, each named by its registry name (see :data:`ham.names.SPARSIFIERS`)."""
