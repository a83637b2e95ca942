"""So that `%load_ext thanosql` works as the tutorials say; the extension is `thanosql_dbapi`'s."""

from thanosql_dbapi.notebook import load_ipython_extension, unload_ipython_extension

__all__ = ["load_ipython_extension", "unload_ipython_extension"]
