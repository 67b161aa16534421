"""The routes, one module for each resource; :mod:`service.api.app` lists the modules."""
