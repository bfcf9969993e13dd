"""The simulated device API, and the demo that runs against it. Both need the extra `sandbox`."""

from importlib import import_module

from reconciler.errors import ReconcilerError


def require_extra() -> None:
    """Raises ReconcilerError, with the command that helps, unless the extra `sandbox` is installed."""
    for package in ("starlette", "uvicorn"):
        try:
            import_module(package)
        except ModuleNotFoundError as error:
            raise ReconcilerError(
                f"the sandbox needs {package}, which is not installed: pip install 'zequenze-reconciler[sandbox]'"
            ) from error
