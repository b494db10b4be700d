"""The web face: template helpers, and a blueprint with buttons and lists.

The outer shell: it uses what everybody else may use, and reaches it through
`app.extensions["follows"]`.
"""

from .hooks import Hooks
from .setup import init_app

__all__ = ["Hooks", "init_app"]
