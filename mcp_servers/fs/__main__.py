"""``python -m mcp_servers.fs``"""

from mcp_servers import serving
from mcp_servers.fs.server import build_server

if __name__ == "__main__":
    serving.run(build_server)
