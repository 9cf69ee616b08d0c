"""What several files of this room begin with."""

from tests.fakes.forge_fixtures import bench, place  # noqa: F401
