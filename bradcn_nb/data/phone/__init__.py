"""The depth that a phone keeps inside of its own photograph."""

from bradcn_nb.data.phone.read import OWN, read_own_depth, what_is_inside

__all__ = ["OWN", "read_own_depth", "what_is_inside"]
